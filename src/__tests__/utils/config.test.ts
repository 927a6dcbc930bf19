import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { loadConfig, SETTING_NAMES, type Config } from '../../config/env.config';
import { emptyFolder, load, refusal, removeFolders } from '../fixtures/config';

const SECRET = 'a secret of more than 32 characters, for tests';
const PROJECT = join(__dirname, '..', '..', '..');

/** The secrets that development stores in the data folder, by file. */
const SECRETS: [string, (config: Config) => string][] = [
  ['jwt-secret', ({ auth }) => auth.jwtSecret],
  ['encryption-key', ({ encryptionKey }) => encryptionKey],
];

afterAll(removeFolders);

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

describe('without any settings', () => {
  it('uses the defaults', () => {
    const { config, folder } = load();
    expect(config).toEqual({
      environment: 'development',
      http: {
        host: '127.0.0.1',
        port: 3000,
        publicUrl: undefined,
        corsOrigins: [],
        trustProxy: false,
        shutdownDelaySeconds: 0,
        compression: false,
      },
      dataDir: join(folder, 'data'),
      uploadDir: join(folder, 'uploads'),
      uploadDirIsFormer: false,
      database: { uri: undefined, name: 'parley' },
      auth: {
        jwtSecret: expect.any(String),
        previousJwtSecret: undefined,
        accessTokenSeconds: 15 * 60,
        refreshTokenSeconds: 30 * 24 * 60 * 60,
        bcryptCost: 12,
      },
      encryptionKey: expect.any(String),
      groups: { creation: 'everyone' },
      linkPreviews: { enabled: true },
      uploads: {
        limits: { image: 20 * 1024 ** 2, media: 100 * 1024 ** 2, file: 50 * 1024 ** 2 },
        quota: 1024 ** 3,
      },
      minimumClientVersions: new Map(),
      throttle: { enabled: true, redisUrl: undefined },
      sockets: {
        perUser: 20,
        eventsPerSecond: 50,
        backlogBytes: 4_194_304,
        pingSeconds: 12,
        pongSeconds: 10,
      },
      presence: { graceSeconds: 5, awaySeconds: 600 },
      mail: { smtpUrl: undefined, from: 'Parley <parley@localhost>' },
      peerjs: { enabled: true, connections: { total: 5000, perNetwork: 500 } },
      ice: { stunUrls: [], turn: undefined },
      metrics: { listener: undefined, token: undefined },
      sentryDsn: undefined,
      tracing: false,
      backups: { folder: join(folder, 'backups'), schedule: undefined, keep: 7 },
      logLevel: 'info',
    });
  });

  it('makes the data folder readable for its owner only, with secrets that persist', () => {
    const { config, folder } = load();
    expect(statSync(join(folder, 'data')).mode & 0o777).toBe(0o700);
    expect(config.encryptionKey).not.toBe(config.auth.jwtSecret);
    const again = loadConfig({}, folder);
    const other = load().config;
    for (const [file, secretOf] of SECRETS) {
      const path = join(folder, 'data', file);
      const secret = secretOf(config);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(secret.length).toBeGreaterThanOrEqual(32);
      expect(readFileSync(path, 'utf8')).toBe(secret);
      expect(secretOf(again)).toBe(secret);
      expect(secretOf(other)).not.toBe(secret);
    }
  });

  it.each(SECRETS)('reports that the stored %s is damaged, and leaves it as it is', (file) => {
    const { folder } = load();
    const path = join(folder, 'data', file);
    writeFileSync(path, 'short');
    expect(refusal({}, undefined, folder)).toContain(`The secret in ${path} is damaged`);
    expect(readFileSync(path, 'utf8')).toBe('short');
  });
});

describe('an empty value', () => {
  it.each(SETTING_NAMES)('of %s counts as not set', (name) => {
    expect(load({ [name]: '' }).config).toMatchObject({ http: { port: 3000, host: '127.0.0.1' } });
    expect(load({}, `${name}=`).config).toMatchObject({ http: { port: 3000, host: '127.0.0.1' } });
  });

  it('in the environment does not hide the one in .env', () => {
    expect(load({ PORT: '' }, 'PORT=4000').config.http.port).toBe(4000);
  });
});

describe('an unknown name', () => {
  it('in .env prevents the start, with a suggestion', () => {
    expect(refusal({}, 'PORT=1\nPROT=80')).toBe(
      'PROT in .env is not a setting of Parley. Did you mean PORT?',
    );
    expect(refusal({}, 'FAVOURITE_COLOUR=blue')).toBe('FAVOURITE_COLOUR in .env is not a setting of Parley.');
  });

  it.each([
    ['JWTSECRET', 'JWT_SECRET'],
    ['jwt_secret', 'JWT_SECRET'],
    ['DATA_DIRS', 'DATA_DIR'],
    ['LOG_LEVL', 'LOG_LEVEL'],
    ['MONGO_DB_URI', 'MONGODB_URI'],
    ['MONGODB_URL', 'MONGODB_URI'],
    ['REDIS_URI', 'REDIS_URL'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['PARLEY_PORT', 'PORT'],
    ['PARLEY_REDIS_URI', 'REDIS_URL'],
  ])('%s in the environment causes a warning as a misspelt %s', (name, meant) => {
    expect(load({ [name]: 'x' }).warnings).toEqual([
      `${name} in the environment is not a setting of Parley and is ignored. Did you mean ${meant}?`,
    ]);
  });

  it('that resembles a setting which is set belongs to another program', () => {
    expect(load({ REDIS_URI: 'x', REDIS_URL: 'redis://r' }).warnings).toEqual([]);
    expect(load({ MONGODB_URL: 'x' }, 'MONGODB_URI=mongodb://m').warnings).toEqual([]);
  });

  it('with the prefix PARLEY_ causes a warning, even if nothing similar exists', () => {
    expect(load({ PARLEY_COLOUR: 'blue' }).warnings).toEqual([
      'PARLEY_COLOUR in the environment is not a setting of Parley and is ignored.',
    ]);
    expect(refusal({}, 'PARLEY_COLOUR=blue')).toBe('PARLEY_COLOUR in .env is not a setting of Parley.');
  });

  it('causes a warning also when the start fails because the intended setting is missing', () => {
    const folder = emptyFolder();
    const warn = jest.fn();
    expect(() => loadConfig({ NODE_ENV: 'production', JWT_SECRETS: SECRET }, folder, warn)).toThrow(
      /^JWT_SECRET must be set/,
    );
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('JWT_SECRETS'));
  });

  it('that Kubernetes sets for a service is ignored', () => {
    const service = (name: string, port: number) => ({
      [`${name}_SERVICE_HOST`]: '10.0.0.7',
      [`${name}_SERVICE_PORT`]: String(port),
      [`${name}_SERVICE_PORT_HTTP`]: String(port),
      [`${name}_PORT`]: `tcp://10.0.0.7:${port}`,
      [`${name}_PORT_${port}_TCP`]: `tcp://10.0.0.7:${port}`,
      [`${name}_PORT_${port}_TCP_PROTO`]: 'tcp',
      [`${name}_PORT_${port}_TCP_PORT`]: String(port),
      [`${name}_PORT_${port}_TCP_ADDR`]: '10.0.0.7',
    });
    const environment = {
      ...service('PARLEY', 3000),
      ...service('PARLEY_WEB', 80),
      ...service('REDIS', 6379),
      ...service('MONGODB', 27017),
      ...service('SMTP', 25),
    };
    const { config, warnings } = load(environment);
    expect(warnings).toEqual([]);
    expect(config.http.port).toBe(3000);
    expect(config.redisUrl).toBeUndefined();
  });

  it('of another program is ignored', () => {
    const others = {
      PATH: '/bin',
      HOME: '/root',
      PWD: '/',
      npm_config_loglevel: 'warn',
      REPORT: '1',
      POST: '',
    };
    const { config, warnings } = load({
      ...others,
      HOSTNAME: 'box',
      NODE_OPTIONS: '',
      TEST_MONGODB_URI: 'x',
    });
    expect([config.http.port, warnings]).toEqual([3000, []]);
  });
});

describe('the file .env', () => {
  it('is overridden by the environment', () => {
    expect(load({ PORT: '5000' }, 'PORT=4000\nLOG_LEVEL=warn').config).toMatchObject({
      http: { port: 5000 },
      logLevel: 'warn',
    });
  });

  it('prevents the start when it cannot be read', () => {
    const folder = emptyFolder();
    mkdirSync(join(folder, '.env'));
    expect(refusal({}, undefined, folder)).toMatch(/^\.env cannot be read: /);
  });
});

describe('DATA_DIR', () => {
  it('that is a file, or below one, is refused by name', () => {
    const folder = emptyFolder();
    writeFileSync(join(folder, 'file'), '');
    for (const path of [join(folder, 'file'), join(folder, 'file', 'below')]) {
      expect(refusal({ DATA_DIR: path })).toContain(`DATA_DIR ${path} cannot be written: `);
    }
  });

  // The superuser may write anywhere, except without the capability for it.
  const folder = emptyFolder();
  chmodSync(folder, 0o500);
  (isWritable(folder) ? it.skip : it)('that may not be written is refused by name', () => {
    expect(refusal({ DATA_DIR: folder })).toContain(`DATA_DIR ${folder} cannot be written: `);
  });
});

describe('UPLOAD_DIR', () => {
  /** A working directory in which a start has created these upload folders, containing these files. */
  function folderWith(files: string[]): string {
    const folder = emptyFolder();
    for (const uploads of ['uploads', 'data/uploads', 'elsewhere']) {
      for (const name of ['avatars', 'images', 'files', 'tmp']) {
        mkdirSync(join(folder, uploads, name), { recursive: true });
      }
    }
    for (const file of files) writeFileSync(join(folder, file), 'content');
    return folder;
  }
  const choice = (folder: string, settings: Record<string, string> = {}) => {
    const { uploadDir, uploadDirIsFormer } = load(settings, undefined, folder).config;
    return [uploadDir, uploadDirIsFormer];
  };

  it('is relative to the working directory, like DATA_DIR, and may be anywhere', () => {
    const folder = emptyFolder();
    expect(choice(folder)).toEqual([join(folder, 'uploads'), false]);
    expect(choice(folder, { UPLOAD_DIR: 'a/b' })).toEqual([join(folder, 'a', 'b'), false]);
    expect(choice(folder, { UPLOAD_DIR: '/srv/files' })).toEqual(['/srv/files', false]);
    // The start of the server creates it.
    expect(existsSync(join(folder, 'uploads'))).toBe(false);
  });

  it.each(['avatars', 'images', 'files'])('stays in the data folder while it contains %s', (name) => {
    const folder = folderWith([`data/uploads/${name}/file`, 'uploads/tmp/half-received']);
    expect(choice(folder)).toEqual([join(folder, 'data', 'uploads'), true]);
    expect(choice(folder, { UPLOAD_DIR: 'elsewhere' })).toEqual([join(folder, 'elsewhere'), false]);
  });

  it('leaves the data folder when it only contains leftovers of a crash', () => {
    const folder = folderWith([
      'data/uploads/tmp/half-received',
      'data/uploads/notes.txt',
      'uploads/images/file',
    ]);
    expect(choice(folder)).toEqual([join(folder, 'uploads'), false]);
  });

  it('must be set when both folders contain files', () => {
    const folder = folderWith(['data/uploads/images/file', 'uploads/files/file']);
    const [former, current] = [join(folder, 'data', 'uploads'), join(folder, 'uploads')];
    expect(refusal({}, undefined, folder)).toBe(
      `UPLOAD_DIR must be set, because both ${former} and ${current} have uploaded files; see docs/files.md.`,
    );
    expect(choice(folder, { UPLOAD_DIR: former })).toEqual([former, false]);
  });
});

describe('production', () => {
  it('refuses to start without its secrets, and with cheap password hashes', () => {
    const production = { NODE_ENV: 'production' };
    expect(refusal(production)).toMatch(/^JWT_SECRET must be set in production/);
    expect(refusal({ ...production, JWT_SECRET: SECRET })).toMatch(
      /^ENCRYPTION_KEY must be set in production/,
    );
    const settings = { ...production, JWT_SECRET: SECRET, ENCRYPTION_KEY: SECRET };
    expect(refusal({ ...settings, BCRYPT_COST: '9' })).toMatch(/^BCRYPT_COST must be at least 10/);
    expect(load({ ...settings, BCRYPT_COST: '10' }).config.auth.bcryptCost).toBe(10);
  });
});

describe('.env.example', () => {
  const text = readFileSync(join(PROJECT, '.env.example'), 'utf8');

  it('lists exactly the settings, in their order', () => {
    const names = [...text.matchAll(/^#?([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(names).toEqual(SETTING_NAMES);
  });

  it('shows the defaults', () => {
    const { config, folder } = load({}, text);
    rmSync(join(folder, '.env'));
    expect(config).toEqual(loadConfig({}, folder));
  });

  it('has examples that are valid as they stand, but for secrets', () => {
    expect(() => load({ TURN_SECRET: SECRET }, text.replace(/^#(?=[A-Z_]+=)/gm, ''))).not.toThrow();
  });
});
