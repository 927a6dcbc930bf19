import { AppError } from '../../utils/errors';
import { isOlder, parseClientVersion } from '../../utils/client-version';

/** Refuses clients that are too old for the server. */
export class ClientVersions {
  /** @param minimums the oldest allowed version of each client, by its name in lower case. */
  constructor(private readonly minimums: ReadonlyMap<string, string>) {}

  /**
   * Refuses a client that is older than its minimum version. Clients without a minimum or without a name are accepted.
   * @param client `name/version`, as `clientVersion` validates it.
   * @throws AppError client_outdated, with `{client, version, minimum}` as details
   */
  admit(client: string | undefined): void {
    const parsed = client === undefined ? undefined : parseClientVersion(client);
    const minimum = parsed && this.minimums.get(parsed.name);
    if (!parsed || minimum === undefined || !isOlder(parsed.version, minimum)) return;
    throw new AppError('client_outdated', `This client is too old: update it to ${minimum} or later.`, {
      client: parsed.name,
      version: parsed.version,
      minimum,
    });
  }
}
