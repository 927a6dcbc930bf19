import { lt, valid } from 'semver';

/** A client program and its version, as it names itself: `web/1.4.2`. */
export interface ClientVersion {
  /** In lower case. */
  name: string;
  /** As https://semver.org defines versions. */
  version: string;
}

/** What `parseClientVersion` takes, for messages and docs. */
export const CLIENT_VERSION_FORM = 'must be a name and a version such as web/1.4.2';

/** @returns undefined for what is not of the form. */
export function parseClientVersion(text: string): ClientVersion | undefined {
  const [, name, version] = /^([a-z0-9][a-z0-9.-]{0,31})\/(\d[0-9a-z.+-]{0,63})$/i.exec(text) ?? [];
  if (name === undefined || version === undefined || valid(version) === null) return undefined;
  return { name: name.toLowerCase(), version };
}

/** Whether one version comes before another; a pre-release comes before its release. */
export function isOlder(version: string, than: string): boolean {
  return lt(version, than);
}
