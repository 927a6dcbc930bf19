import { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { inspectConfig } from '../../config/env.config';
import { connectDatabase, openDatabase } from '../../db/mongodb';
import { callsCheck } from '../../scripts/doctor/calls';
import { reportCertificate } from '../../scripts/doctor/certificate';
import { runChecks, type Check, type Finding } from '../../scripts/doctor/check';
import { assessClock } from '../../scripts/doctor/clocks';
import { assessTopology, assessVersion, databaseCheck } from '../../scripts/doctor/database';
import { assessSpace, folderChecks } from '../../scripts/doctor/folders';
import { examine } from '../../scripts/doctor/index';
import { mailCheck } from '../../scripts/doctor/mail';
import { networkChecks } from '../../scripts/doctor/network';
import { redisCheck } from '../../scripts/doctor/redis';
import { asText } from '../../scripts/doctor/report';
import { iceAddressOf } from '../../scripts/doctor/stun-client';
import { emptyFolder, removeFolders } from '../fixtures/config';
import { HAS_COTURN, startCoturn } from '../fixtures/coturn';
import { freePort } from '../fixtures/free-port';
import { cleanUp, runScript, spawnServer, temporaryFolder } from '../fixtures/process';
import { startProxy } from '../fixtures/proxy';
import { HAS_REDIS, startRedis, type RedisProcess } from '../fixtures/redis';
import { until } from '../fixtures/until';

const STRONG = 'kT7vQ2mZx9LrB4nWc8YsH3pJd6FgA1eU';
const OTHER_STRONG = 'Zq5RwN8tXy2KcV7mBj4HfL9sDp3GaE6u';

if (!HAS_REDIS) console.warn('Skipped: the doctor on Redis, for want of redis-server.');
if (!HAS_COTURN) console.warn('Skipped: the doctor on TURN, for want of coturn.');

afterAll(async () => {
  await cleanUp();
  removeFolders();
});

/** Runs checks on a configuration, in an empty folder. @returns their findings, each as one text with its status. */
async function found(
  checks: Check | Check[],
  settings: Record<string, string>,
  folder = emptyFolder(),
): Promise<string[]> {
  const { config, invalid } = inspectConfig(settings, folder);
  const results = await runChecks([checks].flat(), config, invalid);
  return results.flatMap(({ findings }) => findings).map(asLine);
}

function asLine({ status, message, advice }: Finding): string {
  return `${status}: ${message}${advice === undefined ? '' : ` (${advice})`}`;
}

const matching = (text: string): unknown => expect.stringMatching(text);

describe('the doctor', () => {
  it('reports every setting that is not valid, skips what depends on it, and runs all other checks', async () => {
    const folder = emptyFolder();
    writeFileSync(join(folder, '.env'), 'MONGO_URI=mongodb://elsewhere\nREDIS_URL=ftp://x\n', {
      mode: 0o644,
    });
    const results = await examine(
      {
        NODE_ENV: 'production',
        PORT: '99999',
        SMTP_URL: 'mail.example.org',
        MONGODB_URL: 'x',
        BCRYPT_COST: '4',
        PRESENCE_GRACE_SECONDS: '25',
        TURN_URLS: 'turn:127.0.0.1',
        ENCRYPTION_KEY: STRONG,
      },
      folder,
    );
    const lines = results.flatMap(({ findings }) => findings).map(asLine);
    for (const problem of [
      'MONGO_URI in .env is not a setting',
      'PORT must be a whole number',
      'REDIS_URL must start',
      'SMTP_URL must start',
      'TURN_SECRET must be set',
      'BCRYPT_COST must be at least 10',
      'PRESENCE_GRACE_SECONDS must be at most',
      'JWT_SECRET must be set',
    ])
      expect(lines).toContainEqual(matching(`^error: .*${problem}`));
    expect(lines).toContainEqual(matching('^warning: MONGODB_URL in the environment'));
    for (const skipped of ['Redis', 'SMTP', 'STUN and TURN', 'Port and proxy'])
      expect(lines).toContainEqual(matching(`^skipped: ${skipped}: not checked, because`));
    expect(lines).toContainEqual('ok: embedded store: it will be created at the start');
    expect(lines).toContainEqual(matching('^ok: UPLOAD_DIR'));
    // It has created nothing.
    expect(readdirSync(folder)).toEqual(['.env']);
  });

  it('shows what other checks have found when one fails or hangs', async () => {
    const { config } = inspectConfig({ REDIS_URL: `redis://:${STRONG}@localhost` }, emptyFolder());
    const check = (title: string, run: Check['run']): Check => ({ group: 'Test', title, settings: [], run });
    let isAborted = false;
    const results = await runChecks(
      [
        check('failing', () => Promise.reject(new Error(`wrong password ${STRONG}`))),
        check('hanging', (_config, report, signal) => {
          signal.addEventListener('abort', () => (isAborted = true));
          report('ok', 'the first step');
          return new Promise(() => undefined);
        }),
        check('quick', (_config, report) => report('warning', 'odd', 'mend it')),
      ],
      config,
      new Set(),
      50,
    );
    expect(results.map(({ findings }) => findings.map(asLine))).toEqual([
      ['error: failing: wrong password [redacted]'],
      ['ok: the first step', 'error: hanging: the check has not ended within 0.05 s'],
      ['warning: odd (mend it)'],
    ]);
    expect(isAborted).toBe(true);
    expect(asText(results)).toBe(
      [
        'Test',
        '  ✗ failing: wrong password [redacted]',
        '  ✓ the first step',
        '  ✗ hanging: the check has not ended within 0.05 s',
        '  ! odd',
        '      mend it',
        '',
        '2 errors, 1 warning.',
      ].join('\n'),
    );
  });

  it('does not wait for servers that accept connections and never answer', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const checks = [databaseCheck, redisCheck, mailCheck, callsCheck, networkChecks[0]!];
    const lines = await found(checks, {
      MONGODB_URI: `mongodb://${address}/?directConnection=true`,
      REDIS_URL: `redis://${address}`,
      SMTP_URL: `smtp://${address}`,
      TURN_URLS: `turn:${address}?transport=tcp,turns:${address},turn:${address}`,
      TURN_SECRET: STRONG,
      PUBLIC_URL: `http://${address}`,
      PORT: '0',
    });
    expect(lines).toEqual([
      matching('^error: MongoDB: cannot be reached'),
      matching('^error: Redis cannot be used'),
      matching('^error: the mail server 127.0.0.1:\\d+ cannot be used'),
      matching('^error: turn:.*transport=tcp cannot be used: The server does not answer'),
      matching('^error: turns:.* cannot be used: The server does not answer'),
      matching('^error: turn:[^?]* cannot be used'),
      'ok: PORT is 0: the system chooses one',
      matching('^warning: PUBLIC_URL .* cannot be reached from this machine: There is no answer within 4 s'),
    ]);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });
});

describe('secrets and addresses', () => {
  const production = { NODE_ENV: 'production', JWT_SECRET: STRONG, ENCRYPTION_KEY: OTHER_STRONG };
  const settingLines = async (settings: Record<string, string>) => {
    const results = await examine(
      { ...production, PORT: '0', PEERJS_ENABLED: 'false', ...settings },
      emptyFolder(),
    );
    return results
      .filter(({ group }) => group === 'Settings')
      .flatMap(({ findings }) => findings.map(asLine));
  };

  it('are accepted when they are good', async () => {
    expect(await settingLines({ PUBLIC_URL: 'https://127.0.0.1.invalid' })).toEqual([
      'ok: every setting is valid',
      'skipped: there is no .env here: settings come from the environment',
      'ok: no secret can be guessed',
    ]);
  });

  it.each([
    [{ JWT_SECRET: 'a'.repeat(40) }, 'JWT_SECRET can be guessed'],
    [{ ENCRYPTION_KEY: 'CHANGE-ME-kT7vQ2mZx9LrB4nWc8YsH3pJd6FgA1eU' }, 'ENCRYPTION_KEY can be guessed'],
    [{ METRICS_TOKEN: '1111111111111111' }, 'METRICS_TOKEN can be guessed'],
    [{ ENCRYPTION_KEY: STRONG }, 'JWT_SECRET and ENCRYPTION_KEY are equal'],
    [{ METRICS_PORT: '9464', METRICS_HOST: '0.0.0.0' }, 'metrics are served on 0.0.0.0 to everyone'],
    [{}, 'PUBLIC_URL is not set'],
    [{ PUBLIC_URL: 'http://chat.invalid' }, 'is not encrypted'],
    [{ PUBLIC_URL: 'https://localhost' }, 'is an address of this machine'],
    [
      { PUBLIC_URL: 'https://chat.invalid', CORS_ORIGINS: 'https://a.invalid,http://localhost:4200' },
      'CORS_ORIGINS allows http://localhost:4200',
    ],
  ])('%j causes a warning', async (settings, message) => {
    const lines = await settingLines(settings as Record<string, string>);
    expect(lines).toContainEqual(matching(`^warning: .*${message}`));
    expect(lines.join('\n')).not.toContain(STRONG);
  });
});

describe('folders', () => {
  it('that cannot be written are errors, also for root', async () => {
    const file = join(emptyFolder(), 'file');
    writeFileSync(file, '');
    expect(await found(folderChecks, { DATA_DIR: '/proc/parley', UPLOAD_DIR: file })).toEqual([
      matching('^error: DATA_DIR /proc/parley cannot be written: '),
      matching('^error: UPLOAD_DIR .*/file cannot be written: .* is not a folder'),
      'ok: embedded store: it will be created at the start',
    ]);
  });

  it.each([
    [10e6, 100, 50, 'error'],
    [500e6, 100, 50, 'warning'],
    [50e9, 100, 1, 'warning'],
    [50e9, 0, 0, 'ok'],
  ])('with %d bytes and %d inodes, of which %d are free: %s', (free, files, freeFiles, status) => {
    expect(assessSpace('DATA_DIR x', free, files, freeFiles)[0]).toBe(status);
  });
});

describe('MongoDB', () => {
  const settings = (name: string) => ({
    MONGODB_URI: process.env['TEST_MONGODB_URI']!,
    MONGODB_DATABASE: name,
  });
  const opening = (name: string) => ({ uri: process.env['TEST_MONGODB_URI'], name, dataDir: emptyFolder() });
  const newName = () => `test_${randomUUID().replaceAll('-', '').slice(0, 24)}`;

  it('is checked without a write', async () => {
    const name = newName();
    const lines = await found(databaseCheck, settings(name));
    expect(lines).toEqual([
      matching('^ok: '),
      matching('^(ok|warning): replica set \\w+ with'),
      matching('^(ok: write concern majority|skipped: write concern)'),
      matching('^ok: storage engine (lmdb|wiredTiger)'),
      matching('^ok: MongoDB requires'),
      'ok: the clock of MongoDB agrees with that of this machine',
      `ok: the database ${name} is empty: the first start creates everything in it`,
      'ok: no index is missing',
    ]);
    const { client, close } = await connectDatabase(opening(name));
    const { databases } = await client.db('admin').admin().listDatabases();
    expect(databases.map((each) => each.name)).not.toContain(name);
    await close();
  });

  it('has pending and unknown migrations, and missing indexes', async () => {
    const name = newName();
    const database = await openDatabase(opening(name));
    const { db } = database;
    const prepared = await found(databaseCheck, settings(name));
    expect(prepared.slice(-2)).toEqual(['ok: no pending migrations', 'ok: no index is missing']);
    const migrations = db.collection<{ _id: number | string }>('migrations');
    await migrations.deleteOne({ _id: 1 });
    await db.collection('users').dropIndex('display_search');
    expect((await found(databaseCheck, settings(name))).slice(-2)).toEqual([
      matching('^warning: pending migrations: 1 \\(.*Back up first'),
      matching('^warning: missing indexes: users.display_search '),
    ]);
    await migrations.insertOne({ _id: 999 });
    await migrations.updateOne({ _id: 'schema' }, { $set: { minimum: 999 } });
    expect(await found(databaseCheck, settings(name))).toContainEqual(
      matching('^error: migrations: The database was changed by a newer version'),
    );
    await db.dropDatabase();
    await database.close();
  });

  it('is judged by its version and its members', () => {
    const version = (text: string) => assessVersion({ version: text })[0];
    expect(['3.6.23', '4.2.24', '4.4.0', '5.0.1', '8.2.0', '9.0.0'].map(version)).toEqual([
      ...['error', 'error', 'ok', 'ok', 'ok', 'warning'],
    ]);
    const topology = (hello: object) => assessTopology(hello)[0];
    expect(topology({})).toBe('error');
    expect(topology({ msg: 'isdbgrid' })).toBe('ok');
    expect(topology({ setName: 'rs', hosts: ['a'] })).toBe('ok');
    expect(topology({ setName: 'rs', hosts: ['a', 'b'] })).toBe('warning');
    expect(topology({ setName: 'rs', hosts: ['a', 'b'], arbiters: ['c'] })).toBe('warning');
    expect(topology({ setName: 'rs', hosts: ['a', 'b', 'c'] })).toBe('ok');
    expect([10, 2000, 7000].map((difference) => assessClock('x', difference)[0])).toEqual([
      ...['ok', 'warning', 'error'],
    ]);
  });
});

(HAS_REDIS ? describe : describe.skip)('Redis', () => {
  let redis: RedisProcess;
  let admin: Redis;
  const check = (settings: Record<string, string>) =>
    found(redisCheck, {
      MONGODB_URI: process.env['TEST_MONGODB_URI']!,
      MONGODB_DATABASE: 'doctor',
      ...settings,
    });
  beforeAll(async () => {
    redis = await startRedis();
    admin = new Redis(redis.url);
  });
  afterAll(async () => {
    admin.disconnect();
    await redis.close();
  });

  it('is fine with the defaults, and has little use with the embedded store', async () => {
    const fine = [
      matching('^ok: Redis \\d+\\.\\d+'),
      'ok: maxmemory-policy noeviction',
      matching('^ok: Redis accepts writes'),
      matching('^(ok|warning): Redis answers in'),
      'ok: Redis requires no password, on this machine',
      'ok: the clock of Redis agrees with that of this machine',
      matching('^ok: 0 running nodes use the name doctor'),
    ];
    expect(await check({ REDIS_URL: redis.url })).toEqual(fine);
    expect(await found(redisCheck, { REDIS_URL: redis.url, MONGODB_DATABASE: 'doctor' })).toEqual([
      matching('^warning: REDIS_URL has little use with the embedded store'),
      ...fine,
    ]);
  });

  it('must not forget keys when its memory is full', async () => {
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await check({ REDIS_URL: redis.url })).toContainEqual(
      matching('^warning: maxmemory-policy is allkeys-lru: .*Set maxmemory-policy noeviction'),
    );
    await admin.config('SET', 'maxmemory-policy', 'noeviction');
  });

  it('must not be shared with another installation of the same name', async () => {
    const stranger = new Redis(redis.url, { connectionName: 'parley:doctor:elsewhere:17:commands' });
    const other = new Redis(redis.url, { connectionName: 'parley:doctor2:elsewhere:18:commands' });
    await Promise.all([stranger.ping(), other.ping()]);
    expect(await check({ REDIS_URL: redis.url })).toContainEqual(
      matching('^error: 1 running nodes use the name doctor in this Redis, but only 0 of them this database'),
    );
    stranger.disconnect();
    other.disconnect();
  });

  it('requires the right password, which is not shown', async () => {
    await admin.config('SET', 'requirepass', STRONG);
    const urlWith = (password: string) => redis.url.replace('//', `//:${password}@`);
    const wrong = await check({ REDIS_URL: urlWith('sesame-open') });
    expect(wrong).toEqual([matching('^error: Redis cannot be used: WRONGPASS.*The user or the password')]);
    expect(wrong.join()).not.toContain('sesame-open');
    expect(await check({ REDIS_URL: redis.url })).toEqual([
      matching('^error: Redis cannot be used: NOAUTH.*Redis requires a password'),
    ]);
    expect(await check({ REDIS_URL: urlWith(STRONG) })).toContain('ok: Redis requires a password');
    await admin.config('SET', 'requirepass', '');
  });
});

it('a mail server must accept the login of SMTP_URL, and no mail is sent', async () => {
  let mails = 0;
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _session, callback) =>
      password === 'right word' ? callback(null, { user: username }) : callback(new Error('No such user.')),
    onMailFrom: (_address, _session, callback) => {
      mails++;
      callback();
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  const url = (password: string) => `smtp://ada:${encodeURIComponent(password)}@${address}`;
  expect(
    await found(mailCheck, { SMTP_URL: url('right word'), MAIL_FROM: 'Chat <chat@example.org>' }),
  ).toEqual([`ok: the mail server ${address} accepts the login`]);
  expect(await found(mailCheck, { SMTP_URL: url('right word') })).toContainEqual(
    matching('^warning: MAIL_FROM is Parley <parley@localhost>'),
  );
  const wrong = await found(mailCheck, { SMTP_URL: url('wrong word') });
  expect(wrong).toEqual([
    matching(
      '^error: the mail server .* cannot be used: .*No such user.*The user or the password in SMTP_URL',
    ),
  ]);
  expect(wrong.join()).not.toMatch(/wrong(%20| )word/);
  expect(mails).toBe(0);
  await new Promise<void>((resolve) => server.close(resolve));
  expect(await found(mailCheck, { SMTP_URL: url('right word') })).toEqual([
    matching('^error: the mail server .* cannot be used: .*ECONNREFUSED'),
  ]);
});

it('certificates that browsers refuse are errors', async () => {
  // It has a self-signed certificate of its own.
  const warning = jest.spyOn(console, 'error').mockImplementation(() => undefined);
  const server = new SMTPServer({ secure: true });
  warning.mockRestore();
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  const lines = await found([mailCheck, callsCheck, networkChecks[0]!], {
    SMTP_URL: `smtps://${address}`,
    TURN_URLS: `turns:${address}`,
    TURN_SECRET: STRONG,
    PUBLIC_URL: `https://${address}`,
    PORT: '0',
  });
  expect(lines).toEqual([
    matching('^error: the mail server .* cannot be used: .*Check its certificate'),
    matching('^error: turns:.* cannot be used: .*Check the certificate'),
    'ok: PORT is 0: the system chooses one',
    matching('^error: PUBLIC_URL .*Browsers refuse it, too'),
  ]);
  await new Promise<void>((resolve) => server.close(resolve));
});

describe('STUN and TURN', () => {
  it('URLs have the default ports and transports', () => {
    expect(iceAddressOf('turn:a.example')).toEqual({ host: 'a.example', port: 3478, transport: 'udp' });
    expect(iceAddressOf('turns:a.example')).toEqual({ host: 'a.example', port: 5349, transport: 'tls' });
    expect(iceAddressOf('turn:[::1]:7?transport=tcp')).toEqual({ host: '::1', port: 7, transport: 'tcp' });
    expect(iceAddressOf('turns:a:7?transport=udp')).toEqual({ host: 'a', port: 7, transport: 'dtls' });
    expect(iceAddressOf('stun:192.0.2.1')).toEqual({ host: '192.0.2.1', port: 3478, transport: 'udp' });
  });

  (HAS_COTURN ? it : it.skip)('a relay is allocated with the right secret only, and released', async () => {
    const coturn = await startCoturn(STRONG);
    const settings = {
      TURN_URLS: `${coturn.url},${coturn.url}?transport=tcp`,
      STUN_URLS: coturn.url.replace('turn:', 'stun:'),
    };
    expect(await found(callsCheck, { ...settings, TURN_SECRET: STRONG })).toEqual([
      matching('^ok: stun:.* answers'),
      matching('^ok: turn:.*\\d relays at 127.0.0.1'),
      matching('^ok: turn:.*tcp relays at 127.0.0.1'),
    ]);
    await until(() => coturn.log.match(/refreshed, realm=.* lifetime=0$/gm)?.length === 2);
    const refused = await found(callsCheck, { ...settings, TURN_SECRET: OTHER_STRONG });
    expect(refused).toEqual([
      matching('^ok: stun:.* answers'),
      matching('^error: turn:.*\\d refuses the credentials .*static-auth-secret'),
      matching('^error: turn:.*tcp refuses the credentials'),
    ]);
    await coturn.close();
  });

  it('a certificate that expires soon causes a warning', () => {
    const statuses: string[] = [];
    for (const days of [40, 3]) {
      const expiry = new Date(Date.now() + days * 24 * 3600 * 1000);
      reportCertificate('x', expiry, (status) => void statuses.push(status));
    }
    expect(statuses).toEqual(['ok', 'warning']);
  });
});

describe('a proxy in front of a server that does not run', () => {
  const REACHED = matching('^ok: PUBLIC_URL .* leads to this machine');
  const WEB_SOCKETS = 'ok: WebSocket connections pass the proxy';
  const POLLING = 'ok: long polling passes the proxy';

  it.each([
    ['false', {}, '^warning: TRUST_PROXY does not trust the proxy .*127.0.0.1'],
    ['1', {}, '^ok: TRUST_PROXY finds the address of a client'],
    ['loopback', {}, '^skipped: TRUST_PROXY=loopback also trusts this machine'],
    ['true', {}, '^error: clients can choose their addresses: TRUST_PROXY trusts more'],
    ['2', {}, '^error: clients can choose their addresses: TRUST_PROXY trusts more'],
    ['1', { forwardedFor: 'keep' }, '^error: clients can choose .* unchanged'],
    ['1', { forwardedFor: 'remove' }, '^warning: the proxy .* does not tell the addresses'],
  ] as const)(
    'with TRUST_PROXY=%s and %j is judged by what arrives',
    async (TRUST_PROXY, options, judgement) => {
      const port = await freePort();
      const proxy = await startProxy(port, options);
      const settings = { PORT: String(port), PUBLIC_URL: proxy.url, TRUST_PROXY };
      expect(await found(networkChecks, settings)).toEqual([
        `ok: PORT ${port} on 127.0.0.1 is free`,
        REACHED,
        WEB_SOCKETS,
        POLLING,
        matching(judgement),
      ]);
      await proxy.close();
    },
  );

  it('must let WebSocket connections pass, and reach the server at all', async () => {
    const port = await freePort();
    const proxy = await startProxy(port, { upgrades: false });
    const settings = { PORT: String(port), PUBLIC_URL: proxy.url, TRUST_PROXY: '1' };
    expect(await found(networkChecks, settings)).toContainEqual(
      matching('^error: WebSocket connections do not pass the proxy .*Upgrade'),
    );
    expect(await found(networkChecks, { ...settings, PORT: String(await freePort()) })).toContainEqual(
      matching('^error: the proxy at .* answers 502: it cannot reach the server'),
    );
    await proxy.close();
  });
});

it('`npm run doctor` examines the site of a running server, which is not disturbed', async () => {
  const folder = await temporaryFolder();
  const port = await freePort();
  const proxy = await startProxy(port);
  const settings = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: String(port),
    PUBLIC_URL: proxy.url,
    TRUST_PROXY: '1',
    JWT_SECRET: STRONG,
    ENCRYPTION_KEY: OTHER_STRONG,
    METRICS_PORT: String(await freePort()),
    BCRYPT_COST: '10',
  };
  const server = await spawnServer({ ...settings, DATA_DIR: folder });
  await server.listening();
  const text = await runScript('doctor', [], folder, settings);
  expect(text.stdout).toContain(`  ✓ embedded store: in use by the running process`);
  expect(text.stdout).toContain(`  ✓ a server of Parley is running on PORT ${port}`);
  expect(text.stdout).toContain('  ✓ WebSocket connections pass the proxy');
  expect(text.stdout).toContain('  ✓ long polling passes the proxy');
  expect(text.stdout).toContain('  – TRUST_PROXY: a running server does not tell');
  expect(text.stdout).toMatch(/\n0 errors, \d+ warnings\.$/);
  expect(text).toMatchObject({ code: 0, stderr: '' });

  const wrong = {
    ...settings,
    SMTP_URL: 'smtp://ada:open-sesame@127.0.0.1:1',
    PORT: String(await freePort()),
  };
  const json = await runScript('doctor', ['--json'], folder, wrong);
  expect(json.code).toBe(1);
  const { ok, checks } = JSON.parse(json.stdout);
  expect(ok).toBe(false);
  expect(checks.find(({ title }: { title: string }) => title === 'SMTP')).toEqual({
    group: 'Mail',
    title: 'SMTP',
    findings: [{ status: 'error', message: expect.any(String), advice: expect.any(String) }],
  });
  for (const secret of [STRONG, OTHER_STRONG, 'open-sesame'])
    expect(json.stdout + json.stderr + text.stdout).not.toContain(secret);
  expect((await server.end('SIGTERM')).code).toBe(0);
  await proxy.close();
});
