import { nearestName } from '../utils/edit-distance';

type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = 'PARLEY_';

/** Names shorter than this differ by one letter from too many others, such as PORT from POST. */
const SHORTEST_MISSPELT = 7;

/**
 * Variables that Kubernetes sets in every container for each service of its namespace, and Docker for linked containers:
 * PARLEY_SERVICE_HOST, PARLEY_SERVICE_PORT_HTTP, PARLEY_PORT_3000_TCP_ADDR. PARLEY_PORT is one of them when its value
 * is an address: tcp://10.0.0.7:3000.
 */
const SERVICE_NAME =
  /_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;
const SERVICE_ADDRESS = /^(tcp|udp|sctp):\/\//;

/**
 * Returns the setting that an unknown name in `.env` most likely means. The file belongs to Parley alone, so even a distant
 * name is worth a guess.
 */
export function settingMeantInFile(name: string, settings: readonly string[]): string | undefined {
  return nearestName(name, settings, 3);
}

/**
 * Finds environment variables that look like settings of Parley but are none: a misspelt setting, or a name that begins
 * with PARLEY_. They cannot be errors: the environment also holds the variables of other
 * programs and of the platform. For the same reason a misspelling of a setting that is set is not mentioned.
 * @param isSet whether a setting has a value, from the environment or from `.env`.
 * @returns one line for each such variable.
 */
export function suspiciousNames(
  environment: Environment,
  settings: readonly string[],
  isSet: (setting: string) => boolean,
): string[] {
  const warnings: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (settings.includes(name) || isOfService(name, value)) continue;
    const meant = settingMeant(name, settings);
    if (!name.startsWith(PREFIX) && (meant === undefined || isSet(meant))) continue;
    const guess = meant === undefined ? '' : ` Did you mean ${meant}?`;
    warnings.push(`${name} in the environment is not a setting of Parley and is ignored.${guess}`);
  }
  return warnings;
}

function isOfService(name: string, value = ''): boolean {
  return SERVICE_NAME.test(name) || (name.endsWith('_PORT') && SERVICE_ADDRESS.test(value));
}

/** Returns the setting whose name differs only in case, underscores, the prefix PARLEY_ or one letter. */
function settingMeant(name: string, settings: readonly string[]): string | undefined {
  if (name.startsWith(PREFIX)) {
    const rest = name.slice(PREFIX.length);
    return settings.find((setting) => plain(setting) === plain(rest)) ?? nearestName(rest, settings, 1);
  }
  if (name.length < SHORTEST_MISSPELT - 1) return undefined;
  const long = settings.filter((setting) => setting.length >= SHORTEST_MISSPELT);
  return settings.find((setting) => plain(setting) === plain(name)) ?? nearestName(name, long, 1);
}

function plain(name: string): string {
  return name.replaceAll('_', '').toUpperCase();
}
