import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse as parseDotenv } from 'dotenv';
import { z } from 'zod';
import { ConfigError, type ConfigProblem } from './config-error';
import { checkIceSettings, iceSettings, toIceConfig, type IceConfig } from './ice.config';
import { chooseUploadDir, developmentSecret, prepareDataDir } from './installation-files';
import { monitoringSettings, isTracingSet, toMetricsConfig, type MetricsConfig } from './monitoring.config';
import { settingMeantInFile, suspiciousNames } from './setting-names';
import { flag, minimumVersions, origins, schedule, trustProxy, wholeNumber } from './setting-values';
import type { Schedule } from '../utils/schedule';

export { ConfigError };

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
  SHUTDOWN_DELAY_SECONDS: wholeNumber(0, 300).default(0),
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
  SOCKET_ROUTE: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,63}$/, 'must be 1 to 63 letters, digits, - or _')
    .optional(),
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
  COMPRESSION: flag.default(false),
  MIN_CLIENT_VERSIONS: minimumVersions.default(new Map()),
  PEERJS_ENABLED: flag.default(true),
  PEERJS_CONNECTIONS: wholeNumber(1, 100_000).default(5000),
  PEERJS_PER_ADDRESS: wholeNumber(1, 100_000).default(500),
  ...iceSettings,
  ...monitoringSettings,
  BACKUP_DIR: z.string().min(1).default('./backups'),
  BACKUP_SCHEDULE: schedule.optional(),
  BACKUP_KEEP: wholeNumber(1, 1000).default(7),
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
    /** How long a server that was told to stop still serves, while it reports that it is not ready. */
    shutdownDelaySeconds: number;
    /** Whether answers are compressed for clients that accept it. */
    compression: boolean;
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
    /** How the load balancer names this process; the Engine.IO ids of its connections begin with it. */
    route: string | undefined;
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
  backups: {
    folder: string;
    /** When the server makes backups by itself; undefined: never. */
    schedule: Schedule | undefined;
    /** The number of scheduled backups that are kept. */
    keep: number;
  };
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
  const { settings, problems, warnings, isSet } = readSettings(environment, workingDirectory);
  for (const warning of warnings) warn(warning);
  const [problem] = problems;
  if (problem) throw new ConfigError(problem.message);
  const dataDir = resolve(workingDirectory, settings.DATA_DIR);
  prepareDataDir(dataDir);
  const uploadDir = resolve(workingDirectory, settings.UPLOAD_DIR);
  const production = settings.NODE_ENV === 'production';
  return toConfig(settings, environment, {
    dataDir,
    uploads: chooseUploadDir(uploadDir, dataDir, isSet('UPLOAD_DIR')),
    jwtSecret: settings.JWT_SECRET ?? developmentSecret('JWT_SECRET', dataDir, production),
    encryptionKey: settings.ENCRYPTION_KEY ?? developmentSecret('ENCRYPTION_KEY', dataDir, production),
    backupDir: resolve(workingDirectory, settings.BACKUP_DIR),
  });
}

/** Everything that can be said about a configuration without starting a server. */
export interface ConfigInspection {
  /** With the defaults in place of settings that are not valid, and without secrets that do not exist yet. */
  config: Config;
  /** What is wrong, in sentences. */
  problems: string[];
  /** The names of the settings that are not valid. */
  invalid: ReadonlySet<string>;
  /** One line for each environment variable that looks like a misspelt setting. */
  warnings: string[];
}

/** Reads the configuration as `loadConfig` does, but finds everything that is wrong with it, and creates nothing. */
export function inspectConfig(
  environment: Environment = process.env,
  workingDirectory = process.cwd(),
): ConfigInspection {
  const { settings, problems, warnings, isSet } = readSettings(environment, workingDirectory);
  const dataDir = resolve(workingDirectory, settings.DATA_DIR);
  const uploadDir = resolve(workingDirectory, settings.UPLOAD_DIR);
  const production = settings.NODE_ENV === 'production';
  const invalid = new Set(problems.flatMap(({ setting }) => setting ?? []));
  /** Returns a value, or the replacement if that fails because of a setting that has not been reported yet. */
  const attempt = <Value>(setting: string, replacement: Value, read: () => Value): Value => {
    if (invalid.has(setting)) return replacement;
    try {
      return read();
    } catch (error) {
      problems.push({ setting, message: (error as Error).message });
      invalid.add(setting);
      return replacement;
    }
  };
  const secret = (setting: 'JWT_SECRET' | 'ENCRYPTION_KEY') =>
    attempt(
      setting,
      '',
      () => settings[setting] ?? developmentSecret(setting, dataDir, production, { create: false }),
    );
  const config = toConfig(settings, environment, {
    dataDir,
    uploads: attempt('UPLOAD_DIR', { folder: uploadDir, isFormer: false }, () =>
      chooseUploadDir(uploadDir, dataDir, isSet('UPLOAD_DIR')),
    ),
    jwtSecret: secret('JWT_SECRET'),
    encryptionKey: secret('ENCRYPTION_KEY'),
    backupDir: resolve(workingDirectory, settings.BACKUP_DIR),
  });
  return { config, problems: problems.map(({ message }) => message), invalid, warnings };
}

type Settings = z.output<typeof settingsSchema>;

/** What does not come from the settings alone, but also from the folders of the installation. */
interface Installation {
  dataDir: string;
  uploads: { folder: string; isFormer: boolean };
  jwtSecret: string;
  encryptionKey: string;
  backupDir: string;
}

function toConfig(settings: Settings, environment: Environment, installation: Installation): Config {
  return {
    environment: settings.NODE_ENV,
    http: {
      host: settings.HOST ?? (settings.NODE_ENV === 'production' ? '0.0.0.0' : '127.0.0.1'),
      port: settings.PORT,
      publicUrl: settings.PUBLIC_URL?.replace(/\/+$/, ''),
      corsOrigins: settings.CORS_ORIGINS,
      trustProxy: settings.TRUST_PROXY,
      shutdownDelaySeconds: settings.SHUTDOWN_DELAY_SECONDS,
      compression: settings.COMPRESSION,
    },
    dataDir: installation.dataDir,
    uploadDir: installation.uploads.folder,
    uploadDirIsFormer: installation.uploads.isFormer,
    database: { uri: settings.MONGODB_URI, name: settings.MONGODB_DATABASE },
    auth: {
      jwtSecret: installation.jwtSecret,
      previousJwtSecret: settings.JWT_PREVIOUS_SECRET,
      accessTokenSeconds: settings.ACCESS_TOKEN_SECONDS,
      refreshTokenSeconds: settings.REFRESH_TOKEN_DAYS * 24 * 60 * 60,
      bcryptCost: settings.BCRYPT_COST,
    },
    encryptionKey: installation.encryptionKey,
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
      route: settings.SOCKET_ROUTE,
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
    backups: {
      folder: installation.backupDir,
      schedule: settings.BACKUP_SCHEDULE,
      keep: settings.BACKUP_KEEP,
    },
    logLevel: settings.LOG_LEVEL,
  };
}

/** How long a user may be shown online after leaving, at most. */
const MAX_STALE_PRESENCE_SECONDS = 30;

/** Finds settings that are valid by themselves, but not together. */
function contradictions(settings: Settings): ConfigProblem[] {
  const { SOCKET_PING_SECONDS, SOCKET_PONG_SECONDS, PRESENCE_GRACE_SECONDS } = settings;
  const found: ConfigProblem[] = [];
  if (settings.NODE_ENV === 'production' && settings.BCRYPT_COST < 10) {
    found.push({ setting: 'BCRYPT_COST', message: 'BCRYPT_COST must be at least 10 in production.' });
  }
  // A client that has vanished misses a ping first. One second more: changes are broadcast once a second.
  if (SOCKET_PING_SECONDS + SOCKET_PONG_SECONDS + PRESENCE_GRACE_SECONDS + 1 > MAX_STALE_PRESENCE_SECONDS) {
    const message = `SOCKET_PING_SECONDS, SOCKET_PONG_SECONDS and PRESENCE_GRACE_SECONDS must be at most ${MAX_STALE_PRESENCE_SECONDS - 1} together.`;
    found.push({ message });
  }
  return found;
}

/** The settings of the environment and of `.env`, and everything that is wrong with them. */
interface Reading {
  /** With the default in place of each setting that is not valid. */
  settings: Settings;
  problems: ConfigProblem[];
  warnings: string[];
  isSet: (setting: string) => boolean;
}

function readSettings(environment: Environment, workingDirectory: string): Reading {
  const problems: ConfigProblem[] = [];
  let file: Record<string, string> = {};
  try {
    file = readEnvFile(join(workingDirectory, '.env'));
  } catch (error) {
    problems.push({ message: (error as Error).message });
  }
  problems.push(...unknownNames(file));
  const raw = { ...file, ...definedSettings(environment) };
  const isSet = (setting: string) => Boolean(raw[setting]);
  const warnings = suspiciousNames(environment, SETTING_NAMES, isSet);
  const present = Object.fromEntries(
    Object.entries(raw).filter(([name, value]) => value !== '' && SETTING_NAMES.includes(name)),
  );
  const invalid = problemsOf(settingsSchema.safeParse(present));
  problems.push(...invalid);
  for (const { setting } of invalid) if (setting !== undefined) delete present[setting];
  const settings = settingsSchema.parse(present);
  const together = problemsOf(settingsSchema.superRefine(checkIceSettings).safeParse(present));
  // Only the settings that are given and valid can contradict each other.
  problems.push(...together.filter(({ setting }) => !invalid.some((each) => each.setting === setting)));
  problems.push(...contradictions(settings));
  return { settings, problems, warnings, isSet };
}

/** Returns the first problem of each setting. */
function problemsOf(result: z.ZodSafeParseResult<Settings>): ConfigProblem[] {
  const bySetting = new Map<string, ConfigProblem>();
  for (const { path, message } of result.error?.issues ?? []) {
    const setting = String(path[0]);
    if (!bySetting.has(setting)) bySetting.set(setting, { setting, message: `${setting} ${message}.` });
  }
  return [...bySetting.values()];
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

/** Finds unknown names in `.env`, which contains only settings of Parley. */
function unknownNames(file: Record<string, string>): ConfigProblem[] {
  return Object.keys(file)
    .filter((name) => !SETTING_NAMES.includes(name))
    .map((name) => {
      const meant = settingMeantInFile(name, SETTING_NAMES);
      return {
        message: `${name} in .env is not a setting of Parley.${meant ? ` Did you mean ${meant}?` : ''}`,
      };
    });
}

function toStandardError(warning: string): void {
  process.stderr.write(`Warning: ${warning}\n`);
}
