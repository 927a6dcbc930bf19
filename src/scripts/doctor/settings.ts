import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Config, ConfigInspection } from '../../config/env.config';
import { isLoopback } from './addresses';
import type { Check, Report } from './check';

const GROUP = 'Settings';

/** What a random secret of the recommended length has at least, in bits, and the least that is accepted silently. */
const STRONG_BITS = 100;
const STRONG_TOKEN_BITS = 60;
/** Secrets that were copied from an example. */
const EXAMPLE = /change.?me|example|replace|secret.*(here|key)|password|123456/i;

/** Checks the settings themselves. @param inspection what is wrong with them */
export function settingChecks({ problems, warnings, invalid }: ConfigInspection): Check[] {
  return [
    {
      group: GROUP,
      title: 'Settings',
      settings: [],
      run: (_config, report) => {
        for (const problem of problems) report('error', problem, '.env.example describes every setting.');
        for (const warning of warnings) report('warning', warning);
        if (problems.length === 0) report('ok', 'every setting is valid');
      },
    },
    {
      group: GROUP,
      title: '.env',
      settings: [],
      run: async (_config, report) => {
        const path = resolve('.env');
        const state = await stat(path).catch(() => undefined);
        if (!state) report('skipped', 'there is no .env here: settings come from the environment');
        else if ((state.mode & 0o044) !== 0 && process.platform !== 'win32')
          report('warning', `other users of this machine may read ${path}`, `chmod 600 ${path}`);
        else report('ok', `only its owner may read ${path}`);
      },
    },
    {
      group: GROUP,
      title: 'Secrets',
      // One that is not valid has no value here.
      settings: [],
      run: (config, report) => checkSecrets(config, invalid, report),
    },
    {
      group: GROUP,
      title: 'Addresses',
      settings: ['NODE_ENV', 'PUBLIC_URL', 'CORS_ORIGINS'],
      run: checkAddresses,
    },
    {
      group: GROUP,
      title: 'Metrics',
      settings: ['METRICS_PORT', 'METRICS_HOST', 'METRICS_TOKEN', 'PORT'],
      run: ({ metrics: { listener, token } }, report) => {
        if (!listener || token !== undefined) return;
        if (isLoopback(listener.host)) report('ok', 'metrics are served on this machine only');
        else
          report(
            'warning',
            `metrics are served on ${listener.host} to everyone who can connect`,
            'Set METRICS_TOKEN, or let only the monitoring reach METRICS_PORT.',
          );
      },
    },
  ];
}

function checkSecrets(config: Config, invalid: ReadonlySet<string>, report: Report): void {
  const { auth, encryptionKey, ice, metrics } = config;
  const secrets: [name: string, value: string | undefined, bits: number][] = [
    ['JWT_SECRET', auth.jwtSecret, STRONG_BITS],
    ['JWT_PREVIOUS_SECRET', auth.previousJwtSecret, STRONG_BITS],
    ['ENCRYPTION_KEY', encryptionKey, STRONG_BITS],
    ['TURN_SECRET', ice.turn?.secret, STRONG_TOKEN_BITS],
    ['METRICS_TOKEN', metrics.token, STRONG_TOKEN_BITS],
  ];
  const set = secrets.filter(([name, value]) => value !== undefined && value !== '' && !invalid.has(name));
  const weak = set.filter(([, value = '', bits]) => EXAMPLE.test(value) || entropyOf(value) < bits);
  for (const [name] of weak)
    report('warning', `${name} can be guessed`, 'Set it to a random value: openssl rand -base64 48');
  const byValue = new Map<string, string[]>();
  for (const [name, value = ''] of set) byValue.set(value, [...(byValue.get(value) ?? []), name]);
  const equal = [...byValue.values()].filter((names) => names.length > 1);
  for (const names of equal)
    report('warning', `${names.join(' and ')} are equal`, 'Give each one a value of its own.');
  if (weak.length + equal.length === 0 && set.length > 0) report('ok', 'no secret can be guessed');
}

/** Estimates the entropy of a text from how often it has each character, in bits. */
export function entropyOf(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  const shares = [...counts.values()].map((count) => count / text.length);
  return text.length * -shares.reduce((sum, share) => sum + share * Math.log2(share), 0);
}

function checkAddresses(
  { environment, http: { publicUrl, corsOrigins, port } }: Config,
  report: Report,
): void {
  if (environment !== 'production') return;
  if (publicUrl === undefined)
    report(
      'warning',
      `PUBLIC_URL is not set: links in mails lead to http://localhost:${port}`,
      'Set it to the address that users have in their browsers.',
    );
  else if (isLoopback(new URL(publicUrl).hostname))
    report(
      'warning',
      `PUBLIC_URL ${publicUrl} is an address of this machine`,
      'Set it to the address for users.',
    );
  else if (publicUrl.startsWith('http:'))
    report(
      'warning',
      `PUBLIC_URL ${publicUrl} is not encrypted: passwords can be read on the way`,
      'Use HTTPS. Browsers allow calls and notifications only with it.',
    );
  const odd = corsOrigins.filter(
    (origin) =>
      isLoopback(new URL(origin).hostname) || (origin.startsWith('http:') && publicUrl?.startsWith('https:')),
  );
  if (odd.length > 0)
    report(
      'warning',
      `CORS_ORIGINS allows ${odd.join(', ')}`,
      'Remove the origins that are only needed in development.',
    );
  else if (corsOrigins.length > 0) report('ok', `CORS_ORIGINS allows ${corsOrigins.join(', ')}`);
}
