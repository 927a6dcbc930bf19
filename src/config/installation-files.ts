import { randomBytes } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  opendirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from './config-error';

/** Creates the data folder. @throws ConfigError when it cannot be written */
export function prepareDataDir(dataDir: string): void {
  // New files are readable by the user of this process alone, also in a folder that others may read.
  process.umask(0o077);
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new ConfigError(`DATA_DIR ${dataDir} cannot be written: ${(error as Error).message}`);
  }
}

/**
 * Chooses the folder of uploads. Older versions used `uploads` in the data folder. A site with files there keeps using it
 * until its operator moves them or sets UPLOAD_DIR: an older version, or another node that still runs it, would not find
 * files that this one had moved.
 * @param folder the value of UPLOAD_DIR, or its default, as an absolute path.
 * @throws ConfigError when UPLOAD_DIR is not set and both folders have files.
 */
export function chooseUploadDir(
  folder: string,
  dataDir: string,
  isSet: boolean,
): { folder: string; isFormer: boolean } {
  const former = join(dataDir, 'uploads');
  if (isSet || former === folder || !hasUploads(former)) return { folder, isFormer: false };
  if (!hasUploads(folder)) return { folder: former, isFormer: true };
  throw new ConfigError(
    `UPLOAD_DIR must be set, because both ${former} and ${folder} have uploaded files; see docs/files.md.`,
  );
}

/**
 * Whether a folder of uploads has files in one of its folders (`avatars`, `images`, …). Incomplete uploads in `tmp` do not
 * count.
 * @throws ConfigError when it cannot be read.
 */
function hasUploads(folder: string): boolean {
  try {
    return (
      existsSync(folder) &&
      readdirSync(folder, { withFileTypes: true }).some(
        (entry) => !entry.isFile() && entry.name !== 'tmp' && !isEmpty(join(folder, entry.name)),
      )
    );
  } catch (error) {
    throw new ConfigError(`The uploads in ${folder} cannot be read: ${(error as Error).message}`);
  }
}

/** Whether a folder is empty. Reads one entry at most. */
function isEmpty(path: string): boolean {
  const folder = opendirSync(path);
  try {
    return folder.readSync() === null;
  } finally {
    folder.closeSync();
  }
}

/** The files in which development keeps its generated secrets. */
const SECRET_FILES = { JWT_SECRET: 'jwt-secret', ENCRYPTION_KEY: 'encryption-key' } as const;

/**
 * Returns the generated secret of development. It is kept in a file, so that sessions and encrypted values stay valid after
 * a restart.
 * @param create false returns an empty text in place of a secret that does not exist yet.
 * @throws ConfigError in production, and when the file cannot be used
 */
export function developmentSecret(
  setting: keyof typeof SECRET_FILES,
  dataDir: string,
  production: boolean,
  { create = true } = {},
): string {
  if (production) {
    throw new ConfigError(`${setting} must be set in production (openssl rand -base64 48 generates one).`);
  }
  const path = join(dataDir, SECRET_FILES[setting]);
  try {
    if (!existsSync(path)) {
      if (!create) return '';
      writeFileSync(path, randomBytes(48).toString('base64url'), { mode: 0o600, flag: 'wx' });
    }
    const secret = readFileSync(path, 'utf8').trim();
    if (secret.length >= 32) return secret;
  } catch (error) {
    throw new ConfigError(`DATA_DIR ${dataDir} cannot store ${setting}: ${(error as Error).message}`);
  }
  throw new ConfigError(`The secret in ${path} is damaged; restore the file, or set ${setting}.`);
}
