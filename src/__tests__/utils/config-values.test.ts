import { SETTING_NAMES } from '../../config/env.config';
import { emptyFolder, load, refusal, removeFolders } from '../fixtures/config';

const SECRET = 'a secret of more than 32 characters, for tests';

afterAll(removeFolders);

describe('a valid value', () => {
  const dataDir = emptyFolder();
  const cases: [Record<string, string>, object][] = [
    [
      { NODE_ENV: 'production', JWT_SECRET: SECRET, ENCRYPTION_KEY: SECRET },
      { environment: 'production', http: { host: '0.0.0.0' } },
    ],
    [{ HOST: '::1' }, { http: { host: '::1' } }],
    [{ PORT: '0' }, { http: { port: 0 } }],
    [{ PORT: '65535' }, { http: { port: 65535 } }],
    [{ SHUTDOWN_DELAY_SECONDS: '300' }, { http: { shutdownDelaySeconds: 300 } }],
    [{ PUBLIC_URL: 'https://chat.example.org/' }, { http: { publicUrl: 'https://chat.example.org' } }],
    [{ DATA_DIR: dataDir }, { dataDir }],
    [{ UPLOAD_DIR: dataDir }, { uploadDir: dataDir, uploadDirIsFormer: false }],
    [
      { MONGODB_URI: 'mongodb+srv://db.example.org', MONGODB_DATABASE: 'chat_2' },
      { database: { uri: 'mongodb+srv://db.example.org', name: 'chat_2' } },
    ],
    [{ JWT_SECRET: SECRET }, { auth: { jwtSecret: SECRET } }],
    [{ JWT_PREVIOUS_SECRET: SECRET }, { auth: { previousJwtSecret: SECRET } }],
    [{ ENCRYPTION_KEY: SECRET }, { encryptionKey: SECRET }],
    [{ ACCESS_TOKEN_SECONDS: '4' }, { auth: { accessTokenSeconds: 4 } }],
    [{ REFRESH_TOKEN_DAYS: '365' }, { auth: { refreshTokenSeconds: 365 * 86400 } }],
    [{ BCRYPT_COST: '4' }, { auth: { bcryptCost: 4 } }],
    [
      { CORS_ORIGINS: ' https://a.example, http://localhost:4200,' },
      { http: { corsOrigins: ['https://a.example', 'http://localhost:4200'] } },
    ],
    [
      { BACKUP_DIR: dataDir, BACKUP_KEEP: '1' },
      { backups: { folder: dataDir, schedule: undefined, keep: 1 } },
    ],
    [{ BACKUP_SCHEDULE: '03:30' }, { backups: { schedule: { dailyAtMs: 12_600_000 }, keep: 7 } }],
    [{ BACKUP_SCHEDULE: '90m' }, { backups: { schedule: { everyMs: 5_400_000 } } }],
    [{ GROUP_CREATION: 'group_admins' }, { groups: { creation: 'group_admins' } }],
    [{ LINK_PREVIEWS: 'false' }, { linkPreviews: { enabled: false } }],
    [
      { UPLOAD_IMAGE_MB: '1', UPLOAD_MEDIA_MB: '4096', UPLOAD_FILE_MB: '2', UPLOAD_QUOTA_MB: '3' },
      { uploads: { limits: { image: 2 ** 20, media: 2 ** 32, file: 2 ** 21 }, quota: 3 * 2 ** 20 } },
    ],
    [
      { MIN_CLIENT_VERSIONS: 'web/1.4.0, iOS/2.0.0-beta.1' },
      {
        minimumClientVersions: new Map([
          ['web', '1.4.0'],
          ['ios', '2.0.0-beta.1'],
        ]),
      },
    ],
    [{ THROTTLE_ENABLED: 'false' }, { throttle: { enabled: false } }],
    [{ SOCKETS_PER_USER: '1' }, { sockets: { perUser: 1 } }],
    [{ SOCKET_EVENTS_PER_SECOND: '100000' }, { sockets: { eventsPerSecond: 100_000 } }],
    [{ SOCKET_BACKLOG_BYTES: '65536' }, { sockets: { backlogBytes: 65_536 } }],
    [
      { SOCKET_PING_SECONDS: '1', SOCKET_PONG_SECONDS: '3', PRESENCE_GRACE_SECONDS: '25' },
      { sockets: { pingSeconds: 1, pongSeconds: 3 }, presence: { graceSeconds: 25 } },
    ],
    [{ SOCKET_ROUTE: 'parley-0' }, { sockets: { route: 'parley-0' } }],
    [{ PRESENCE_AWAY_SECONDS: '1' }, { presence: { awaySeconds: 1 } }],
    [{ REDIS_URL: 'rediss://cache:6380/1' }, { redisUrl: 'rediss://cache:6380/1' }],
    [{ SMTP_URL: 'smtps://u:p@mail.example' }, { mail: { smtpUrl: 'smtps://u:p@mail.example' } }],
    [{ MAIL_FROM: 'Chat <chat@example.org>' }, { mail: { from: 'Chat <chat@example.org>' } }],
    [{ COMPRESSION: 'true' }, { http: { compression: true } }],
    [{ TRUST_PROXY: 'true' }, { http: { trustProxy: true } }],
    [{ TRUST_PROXY: '2' }, { http: { trustProxy: 2 } }],
    [
      { TRUST_PROXY: 'loopback, 10.0.0.0/8, fd00::/8' },
      { http: { trustProxy: 'loopback, 10.0.0.0/8, fd00::/8' } },
    ],
    [{ PEERJS_ENABLED: 'false' }, { peerjs: { enabled: false } }],
    [
      { PEERJS_CONNECTIONS: '100000', PEERJS_PER_ADDRESS: '1' },
      { peerjs: { connections: { total: 100_000, perNetwork: 1 } } },
    ],
    [{ STUN_URLS: 'stun:192.0.2.1,' }, { ice: { stunUrls: ['stun:192.0.2.1'], turn: undefined } }],
    [
      {
        STUN_URLS: 'stun:a.example, stuns:a.example:5349',
        TURN_URLS: 'turn:[2001:db8::1]:3478?transport=tcp, turns:relay-1.example?transport=udp',
        TURN_SECRET: 'x'.repeat(16),
        TURN_TTL_SECONDS: '300',
      },
      {
        ice: {
          stunUrls: ['stun:a.example', 'stuns:a.example:5349'],
          turn: {
            urls: ['turn:[2001:db8::1]:3478?transport=tcp', 'turns:relay-1.example?transport=udp'],
            secret: 'x'.repeat(16),
            ttlSeconds: 300,
          },
        },
      },
    ],
    [
      { METRICS_PORT: '9464', METRICS_HOST: '::1' },
      { metrics: { listener: { port: 9464, host: '::1' }, token: undefined } },
    ],
    [{ METRICS_TOKEN: 'x'.repeat(16) }, { metrics: { listener: undefined, token: 'x'.repeat(16) } }],
    [
      { SENTRY_DSN: 'http://abc@127.0.0.1:8000/errors/7' },
      { sentryDsn: 'http://abc@127.0.0.1:8000/errors/7' },
    ],
    [{ LOG_LEVEL: 'silent' }, { logLevel: 'silent' }],
  ];

  it.each(cases)('%j is accepted, from the environment and from .env', (settings, expected) => {
    expect(load(settings).config).toMatchObject(expected);
    const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'`);
    expect(load({}, lines.join('\n')).config).toMatchObject(expected);
  });

  it('is listed here for every setting', () => {
    const named = new Set(cases.flatMap(([settings]) => Object.keys(settings)));
    expect([...named].sort()).toEqual([...SETTING_NAMES].sort());
  });
});

describe('a malformed value', () => {
  const cases: Record<string, string[]> = {
    NODE_ENV: ['prod', 'Production'],
    PORT: ['-1', '65536', '3000.5', '0x50', ' 80', 'http', '1e3'],
    SHUTDOWN_DELAY_SECONDS: ['-1', '301', '1.5', '5s'],
    PUBLIC_URL: ['chat.example.org', 'ftp://chat.example.org', 'javascript:alert(1)'],
    MONGODB_URI: ['localhost:27017', 'postgres://localhost', 'mongodb:/localhost'],
    MONGODB_DATABASE: ['a.b', 'a b', '$a', 'x'.repeat(39), 'a/b'],
    JWT_SECRET: ['x'.repeat(31)],
    JWT_PREVIOUS_SECRET: ['x'.repeat(31)],
    ENCRYPTION_KEY: ['x'.repeat(31)],
    ACCESS_TOKEN_SECONDS: ['3', '86401', 'fifteen'],
    REFRESH_TOKEN_DAYS: ['0', '366', '-30'],
    BCRYPT_COST: ['3', '17', '12.0'],
    BACKUP_SCHEDULE: [
      'daily',
      '24:00',
      '3:30',
      '03:60',
      '0h',
      '6',
      '6 h',
      '-1h',
      '1w',
      '366d',
      '03:30,15:30',
    ],
    BACKUP_KEEP: ['0', '1001', 'all'],
    GROUP_CREATION: ['nobody', 'Everyone', 'group_admin'],
    LINK_PREVIEWS: ['on', '1'],
    UPLOAD_IMAGE_MB: ['0', '101', '1.5'],
    UPLOAD_MEDIA_MB: ['0', '4097', '1 GB'],
    UPLOAD_FILE_MB: ['0', '4097'],
    UPLOAD_QUOTA_MB: ['0', '1048577', 'none'],
    MIN_CLIENT_VERSIONS: [
      'web',
      'web/1.4',
      'web/v1.4.0',
      '1.4.0',
      'web/1.4.0,',
      'web/1.4.0,WEB/2.0.0',
      '/1.0.0',
    ],
    THROTTLE_ENABLED: ['yes', '0'],
    COMPRESSION: ['gzip', '1'],
    SOCKETS_PER_USER: ['0', '1001', 'many'],
    SOCKET_EVENTS_PER_SECOND: ['0', '-5', '0.5'],
    SOCKET_BACKLOG_BYTES: ['65535', '4MB'],
    SOCKET_PING_SECONDS: ['0', '26', '12s'],
    SOCKET_PONG_SECONDS: ['0', '26'],
    SOCKET_ROUTE: ['a.b', 'a b', 'x'.repeat(64)],
    PRESENCE_GRACE_SECONDS: ['-1', '26'],
    PRESENCE_AWAY_SECONDS: ['0', '86401'],
    REDIS_URL: ['localhost:6379', 'http://localhost'],
    SMTP_URL: ['mail.example.org', 'http://mail.example.org'],
    CORS_ORIGINS: [
      '*',
      'chat.example.org',
      'https://chat.example.org/',
      'https://a.example,nonsense',
      'a\nb',
    ],
    TRUST_PROXY: ['yes', '10.0.0.0/33', 'fd00::/129', '10.0.0', 'loopback,', '-1', 'True', '10.0.0.1/8/8'],
    PEERJS_ENABLED: ['yes', '1', 'TRUE'],
    PEERJS_CONNECTIONS: ['0', '100001'],
    PEERJS_PER_ADDRESS: ['0', '100001'],
    STUN_URLS: [
      'stun.example.org',
      'stun://a.example',
      'turn:a.example',
      'stun:a.example?transport=udp',
      'stun:',
      'stun:a..example',
      'stun:999.0.0.1',
      'stun:a.example,stun:a b',
      'stun:a.example,'.repeat(9),
    ],
    TURN_URLS: [
      'turn.example.org:3478',
      'turn://a.example',
      'stun:a.example',
      'TURN:a.example',
      'turn:user@a.example',
      'turn:a.example:0',
      'turn:a.example:65536',
      'turn:a.example?transport=sctp',
      'turn:a.example?transport=udp&x=1',
      'turn:[::1',
      'turn:[1.2.3.4]',
      'turn:-a.example',
      'turn:a.example,turns:a.example,nonsense',
    ],
    TURN_SECRET: ['x'.repeat(15)],
    TURN_TTL_SECONDS: ['299', '86401', '1h'],
    METRICS_PORT: ['-1', '65536', 'http'],
    METRICS_TOKEN: ['x'.repeat(15), `${'x'.repeat(16)} y`, 'ä'.repeat(16)],
    SENTRY_DSN: [
      'errors.example.org',
      'https://errors.example.org/1',
      'https://a@b.example/x',
      'ftp://a@b/1',
    ],
    LOG_LEVEL: ['verbose', 'INFO'],
  };

  it.each(Object.entries(cases))('of %s is refused with the name of the setting', (name, values) => {
    for (const value of values) {
      expect(refusal({ [name]: value })).toMatch(new RegExp(`^${name} must `));
      // A quoted value may contain anything but its own quotation mark.
      expect(refusal({}, `${name}='${value}'`)).toMatch(new RegExp(`^${name} must `));
    }
  });

  it('is listed here for every setting except those that accept any text', () => {
    const anyText = ['HOST', 'DATA_DIR', 'UPLOAD_DIR', 'BACKUP_DIR', 'MAIL_FROM', 'METRICS_HOST'];
    expect([...Object.keys(cases), ...anyText].sort()).toEqual([...SETTING_NAMES].sort());
  });

  it('of timings that would show disconnected users for longer than 30 seconds is refused', () => {
    const names = ['SOCKET_PING_SECONDS', 'SOCKET_PONG_SECONDS', 'PRESENCE_GRACE_SECONDS'];
    expect(refusal({ PRESENCE_GRACE_SECONDS: '8' })).toBe(
      `${names[0]}, ${names[1]} and ${names[2]} must be at most 29 together.`,
    );
    expect(() => load({ PRESENCE_GRACE_SECONDS: '7' })).not.toThrow();
  });

  it('of a secret is not shown in the error', () => {
    for (const name of ['JWT_SECRET', 'ENCRYPTION_KEY', 'TURN_SECRET']) {
      expect(refusal({ [name]: 'hunter2hunter' })).not.toContain('hunter2');
    }
    expect(refusal({ TURN_URLS: 'turn:user:hunter2@a.example' })).not.toContain('hunter2');
  });

  it('is a TURN server without its secret', () => {
    expect(refusal({ TURN_URLS: 'turn:a.example' })).toMatch(/^TURN_SECRET must be set with TURN_URLS/);
    expect(refusal({ TURN_URLS: 'turn:a.example', TURN_SECRET: '' })).toMatch(/^TURN_SECRET must be set/);
  });
});
