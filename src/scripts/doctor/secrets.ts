import type { Config } from '../../config/env.config';
import { REDACTED, redactText } from '../../utils/redact';

/** Shorter texts are not replaced: they would be found everywhere. */
const SHORTEST_SECRET = 4;

/** Returns a function that removes the secrets of a configuration from a text, such as the message of a library. */
export function asRedacted(config: Config): (text: string) => string {
  const { auth, encryptionKey, ice, metrics, database, redisUrl, mail, sentryDsn } = config;
  const secrets = [
    auth.jwtSecret,
    auth.previousJwtSecret,
    encryptionKey,
    ice.turn?.secret,
    metrics.token,
    ...[database.uri, redisUrl, mail.smtpUrl, sentryDsn].flatMap(passwordsOf),
  ];
  // The longest first: one may contain another.
  const found = [...new Set(secrets)]
    .filter((secret) => secret !== undefined && secret.length >= SHORTEST_SECRET)
    .sort((a, b) => b!.length - a!.length) as string[];
  return (text) => redactText(found.reduce((rest, secret) => rest.replaceAll(secret, REDACTED), text));
}

/** Returns the password in a URL, as it is written and decoded. The URLs of MongoDB may name several hosts. */
function passwordsOf(url: string | undefined): string[] {
  const [, written] = /^[a-z+]+:\/\/[^/@:]*:([^/@]*)@/i.exec(url ?? '') ?? [];
  if (written === undefined) return [];
  try {
    return [written, decodeURIComponent(written)];
  } catch {
    return [written];
  }
}
