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
import { join, resolve } from 'node:path';
import { parse as parseDotenv } from 'dotenv';
import { z } from 'zod';
import { checkIceSettings, iceSettings, toIceConfig, type IceConfig } from './ice.config';
import { monitoringSettings, isTracingSet, toMetricsConfig, type MetricsConfig } from './monitoring.config';
import { settingMeantInFile, suspiciousNames } from './setting-names';
import { flag, minimumVersions, origins, trustProxy, wholeNumber } from './setting-values';

/** An invalid setting. The message is one line and names the setting. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Every setting, as it is written in the environment or in `.env`. `.env.example` documents each of them, which a test
 * checks.
 */
const settingsSchema = z.object({
  NODE_ENV: z
    .enum(['development', 'production', 'test'], 'must be development, production or test')
    .default('development'),
  HOST: z.string().min(1).optional(),
  PORT: wholeNumber(0, 65535).default(3000),
  PUBLIC_URL: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
  DATA_DIR: z.string().min(1).default('./data'),
  UPLOAD_DIR: z.string().min(1).default('./uploads'),
  MONGODB_URI: z
    .string()
    .regex(/^mongodb(\+srv)?:\/\//, 'must start with mongodb:// or mongodb+srv://')
    .optional(),
  MONGODB_DATABASE: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,38}$/, 'must be 1 to 38 letters, digits, - or _')
    .default('parley'),
  JWT_SECRET: z.string().min(32, 'must have at least 32 characters').optional(),
  JWT_PREVIOUS_SECRET: z.string().min(32, 'must have at least 32 characters').optional(),
  ENCRYPTION_KEY: z.string().min(32, 'must have at least 32 characters').optional(),
  ACCESS_TOKEN_SECONDS: wholeNumber(4, 86_400).default(900),
  REFRESH_TOKEN_DAYS: wholeNumber(1, 365).default(30),
  BCRYPT_COST: wholeNumber(4, 16).default(12),
  GROUP_CREATION: z
    .enum(['everyone', 'group_admins'], 'must be everyone or group_admins')
    .default('everyone'),
  LINK_PREVIEWS: flag.default(true),
  UPLOAD_IMAGE_MB: wholeNumber(1, 100).default(20),
  UPLOAD_MEDIA_MB: wholeNumber(1, 4096).default(100),
  UPLOAD_FILE_MB: wholeNumber(1, 4096).default(50),
  UPLOAD_QUOTA_MB: wholeNumber(1, 1_048_576).default(1024),
  THROTTLE_ENABLED: flag.default(true),
  SOCKETS_PER_USER: wholeNumber(1, 1000).default(20),
  SOCKET_EVENTS_PER_SECOND: wholeNumber(1, 100_000).default(50),
  SOCKET_BACKLOG_BYTES: wholeNumber(65_536, 1_073_741_824).default(4_194_304),
  SOCKET_PING_SECONDS: wholeNumber(1, 25).default(12),
  SOCKET_PONG_SECONDS: wholeNumber(1, 25).default(10),
  PRESENCE_GRACE_SECONDS: wholeNumber(0, 25).default(5),
  PRESENCE_AWAY_SECONDS: wholeNumber(1, 86_400).default(600),
  REDIS_URL: z
    .string()
    .regex(/^rediss?:\/\//, 'must start with redis:// or rediss://')
    .optional(),
  SMTP_URL: z
    .string()
    .regex(/^smtps?:\/\//, 'must start with smtp:// or smtps://')
    .optional(),
  MAIL_FROM: z.string().min(3).default('Parley <parley@localhost>'),
  CORS_ORIGINS: origins.default([]),
  TRUST_PROXY: trustProxy.default(false),
  MIN_CLIENT_VERSIONS: minimumVersions.default(new Map()),
  PEERJS_ENABLED: flag.default(true),
  PEERJS_CONNECTIONS: wholeNumber(1, 100_000).default(5000),
  PEERJS_PER_ADDRESS: wholeNumber(1, 100_000).default(500),
  ...iceSettings,
  ...monitoringSettings,
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'must be a level from trace to silent',
    )
    .default('info'),
});

/** The names of all settings, in the order in which they are documented. */
export const SETTING_NAMES = Object.keys(settingsSchema.shape);

export interface Config {
  environment: 'development' | 'production' | 'test';
  http: {
    host: string;
    /** 0 for a free port that the system chooses. */
    port: number;
    /** The address by which users reach the server, if it differs from the one it listens on. */
    publicUrl: string | undefined;
    /** The origins of browser clients that may call the API; empty for the same origin only. */
    corsOrigins: string[];
    trustProxy: boolean | number | string;
  };
  dataDir: string;
  /** The folder of uploaded avatars, images and files. */
  uploadDir: string;
  /** Whether `uploadDir` is the folder in which versions before UPLOAD_DIR kept uploads, because it still has files. */
  uploadDirIsFormer: boolean;
  database: {
    /** Undefined: the embedded store on `dataDir`. */
    uri: string | undefined;
    name: string;
  };
  auth: {
    jwtSecret: string;
    /** The secret before a rotation: tokens that it signed stay valid until they expire. */
    previousJwtSecret: string | undefined;
    accessTokenSeconds: number;
    refreshTokenSeconds: number;
    bcryptCost: number;
  };
  /** The keys that encrypt secrets in the database are derived from it. */
  encryptionKey: string;
  groups: {
    /** `group_admins` means the global roles group_admin and super_admin. */
    creation: 'everyone' | 'group_admins';
  };
  /** Whether the server fetches the pages that messages link to. */
  linkPreviews: { enabled: boolean };
  /** Limits of attachments, in bytes. */
  uploads: {
    /** The largest file, by its category: image, audio or video, other. */
    limits: { image: number; media: number; file: number };
    /** The files of one user together. */
    quota: number;
  };
  /** The oldest allowed version of each client that sends its name, by the name in lower case. */
  minimumClientVersions: ReadonlyMap<string, string>;
  throttle: { enabled: boolean };
  /** The Redis that several nodes share; undefined with one node. */
  redisUrl: string | undefined;
  sockets: {
    perUser: number;
    /** Per socket, as an average over ten seconds. */
    eventsPerSecond: number;
    /** How many bytes are buffered for a client that does not read. */
    backlogBytes: number;
    /** The ping interval, and the time in which a client has to answer. */
    pingSeconds: number;
    pongSeconds: number;
  };
  presence: {
    /** How long a user counts as connected after the last connection was lost. */
    graceSeconds: number;
    /** How long a user without activity counts as online. */
    awaySeconds: number;
  };
  mail: {
    /** Undefined: mail goes to the log in development, and is refused in production. */
    smtpUrl: string | undefined;
    from: string;
  };
  peerjs: {
    enabled: boolean;
    /** Limits of simultaneous PeerJS connections: of all clients, and from one network. */
    connections: { total: number; perNetwork: number };
  };
  ice: IceConfig;
  metrics: MetricsConfig;
  /** Where errors are sent; undefined: nowhere. */
  sentryDsn: string | undefined;
  /** Whether traces are sent. OpenTelemetry reads its other variables itself. */
  tracing: boolean;
  logLevel: z.infer<typeof settingsSchema>['LOG_LEVEL'];
}

/** In bytes. */
const MB = 1024 * 1024;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration: process.env first, then the file `.env` in the working directory.
 * Creates the data folder, and in development the secrets of the installation in it.
 * @param warn receives one line for each environment variable that looks like a misspelt setting.
 * @throws ConfigError that names the setting which is malformed, missing or, in `.env`, unknown.
 */
export function loadConfig(
  environment: Environment = process.env,
  workingDirectory = process.cwd(),
  warn: (line: string) => void = toStandardError,
): Config {
  const file = readEnvFile(join(workingDirectory, '.env'));
  rejectUnknown(file);
  const raw = { ...file, ...definedSettings(environment) };
  for (const warning of suspiciousNames(environment, SETTING_NAMES, (name) => Boolean(raw[name])))
    warn(warning);
  const settings = parseSettings(raw);

  const production = settings.NODE_ENV === 'production';
  if (production && settings.BCRYPT_COST < 10) {
    throw new ConfigError('BCRYPT_COST must be at least 10 in production.');
  }
  refuseStalePresence(settings);
  const dataDir = resolve(workingDirectory, settings.DATA_DIR);
  prepareDataDir(dataDir);
  const uploads = chooseUploadDir(
    resolve(workingDirectory, settings.UPLOAD_DIR),
    dataDir,
    Boolean(raw['UPLOAD_DIR']),
  );

  return {
    environment: settings.NODE_ENV,
    http: {
      host: settings.HOST ?? (production ? '0.0.0.0' : '127.0.0.1'),
      port: settings.PORT,
      publicUrl: settings.PUBLIC_URL?.replace(/\/+$/, ''),
      corsOrigins: settings.CORS_ORIGINS,
      trustProxy: settings.TRUST_PROXY,
    },
    dataDir,
    uploadDir: uploads.folder,
    uploadDirIsFormer: uploads.isFormer,
    database: { uri: settings.MONGODB_URI, name: settings.MONGODB_DATABASE },
    auth: {
      jwtSecret: settings.JWT_SECRET ?? developmentSecret('JWT_SECRET', dataDir, production),
      previousJwtSecret: settings.JWT_PREVIOUS_SECRET,
      accessTokenSeconds: settings.ACCESS_TOKEN_SECONDS,
      refreshTokenSeconds: settings.REFRESH_TOKEN_DAYS * 24 * 60 * 60,
      bcryptCost: settings.BCRYPT_COST,
    },
    encryptionKey: settings.ENCRYPTION_KEY ?? developmentSecret('ENCRYPTION_KEY', dataDir, production),
    groups: { creation: settings.GROUP_CREATION },
    linkPreviews: { enabled: settings.LINK_PREVIEWS },
    uploads: {
      limits: {
        image: settings.UPLOAD_IMAGE_MB * MB,
        media: settings.UPLOAD_MEDIA_MB * MB,
        file: settings.UPLOAD_FILE_MB * MB,
      },
      quota: settings.UPLOAD_QUOTA_MB * MB,
    },
    minimumClientVersions: settings.MIN_CLIENT_VERSIONS,
    throttle: { enabled: settings.THROTTLE_ENABLED },
    redisUrl: settings.REDIS_URL,
    sockets: {
      perUser: settings.SOCKETS_PER_USER,
      eventsPerSecond: settings.SOCKET_EVENTS_PER_SECOND,
      backlogBytes: settings.SOCKET_BACKLOG_BYTES,
      pingSeconds: settings.SOCKET_PING_SECONDS,
      pongSeconds: settings.SOCKET_PONG_SECONDS,
    },
    presence: { graceSeconds: settings.PRESENCE_GRACE_SECONDS, awaySeconds: settings.PRESENCE_AWAY_SECONDS },
    mail: { smtpUrl: settings.SMTP_URL, from: settings.MAIL_FROM },
    peerjs: {
      enabled: settings.PEERJS_ENABLED,
      connections: { total: settings.PEERJS_CONNECTIONS, perNetwork: settings.PEERJS_PER_ADDRESS },
    },
    ice: toIceConfig(settings),
    metrics: toMetricsConfig(settings),
    sentryDsn: settings.SENTRY_DSN,
    tracing: isTracingSet(environment),
    logLevel: settings.LOG_LEVEL,
  };
}

/** How long a user may be shown online after leaving, at most. */
const MAX_STALE_PRESENCE_SECONDS = 30;

/** Refuses settings by which a client that has vanished would be shown online for too long: it misses a ping first. */
function refuseStalePresence(settings: z.infer<typeof settingsSchema>): void {
  const { SOCKET_PING_SECONDS, SOCKET_PONG_SECONDS, PRESENCE_GRACE_SECONDS } = settings;
  // One second more: changes are broadcast once a second.
  if (SOCKET_PING_SECONDS + SOCKET_PONG_SECONDS + PRESENCE_GRACE_SECONDS + 1 <= MAX_STALE_PRESENCE_SECONDS)
    return;
  throw new ConfigError(
    `SOCKET_PING_SECONDS, SOCKET_PONG_SECONDS and PRESENCE_GRACE_SECONDS must be at most ${MAX_STALE_PRESENCE_SECONDS - 1} together.`,
  );
}

function readEnvFile(path: string): Record<string, string> {
  if (!existsSync(path)) return {};
  try {
    return parseDotenv(readFileSync(path));
  } catch (error) {
    throw new ConfigError(`.env cannot be read: ${(error as Error).message}`);
  }
}

/** Drops empty variables: compose files and shells often cannot unset one. */
function definedSettings(environment: Environment): Record<string, string> {
  const entries = SETTING_NAMES.map((name) => [name, environment[name]] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => Boolean(entry[1])));
}

/** Refuses unknown names in `.env`, which contains only settings of Parley. */
function rejectUnknown(file: Record<string, string>): void {
  for (const name of Object.keys(file)) {
    if (SETTING_NAMES.includes(name)) continue;
    const meant = settingMeantInFile(name, SETTING_NAMES);
    throw new ConfigError(
      `${name} in .env is not a setting of Parley.${meant ? ` Did you mean ${meant}?` : ''}`,
    );
  }
}

function toStandardError(warning: string): void {
  process.stderr.write(`Warning: ${warning}\n`);
}

function parseSettings(raw: Record<string, string>): z.infer<typeof settingsSchema> {
  const present = Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== ''));
  const result = settingsSchema.superRefine(checkIceSettings).safeParse(present);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new ConfigError(`${String(issue?.path[0])} ${issue?.message ?? 'is not valid'}.`);
}

function prepareDataDir(dataDir: string): void {
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
function chooseUploadDir(
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
 */
function developmentSecret(setting: keyof typeof SECRET_FILES, dataDir: string, production: boolean): string {
  if (production) {
    throw new ConfigError(`${setting} must be set in production (openssl rand -base64 48 generates one).`);
  }
  const path = join(dataDir, SECRET_FILES[setting]);
  try {
    if (!existsSync(path))
      writeFileSync(path, randomBytes(48).toString('base64url'), { mode: 0o600, flag: 'wx' });
    const secret = readFileSync(path, 'utf8').trim();
    if (secret.length >= 32) return secret;
  } catch (error) {
    throw new ConfigError(`DATA_DIR ${dataDir} cannot store ${setting}: ${(error as Error).message}`);
  }
  throw new ConfigError(`The secret in ${path} is damaged; restore the file, or set ${setting}.`);
}
