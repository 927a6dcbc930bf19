import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createApi, type Api } from '../fixtures/api';
import { ErrorCollector } from '../fixtures/error-collector';
import { openMailbox, type Mailbox } from '../fixtures/mail';
import { Peer } from '../fixtures/peer';
import { createRoom, PASSWORD, signUpAll, type Person } from '../fixtures/people';
import { cleanUp, spawnServer, temporaryFolder } from '../fixtures/process';
import { connect } from '../fixtures/sockets';
import { until } from '../fixtures/until';

afterAll(cleanUp);

const SECRET = 'the signing secret of this test, long enough';
const ENCRYPTION_KEY = 'the encryption key of this test, long enough';
const TURN_SECRET = 'the secret of the relay of this test';
const GUESS = 'a wrong guess at a password';

/** Uses many features of a server. @returns everything that must not be in its logs, and the ids of requests. */
async function useEverything(url: string, mailbox: Mailbox) {
  const api = await createApi(url);
  const requestIds: string[] = [];
  const note = (answer: { headers: Record<string, string> }) =>
    void requestIds.push(answer.headers['x-request-id']!);
  const { ada, bob } = await signUpAll(api, 'ada', 'bob');
  const { channelId } = await createRoom(api, ada, [bob]);
  const message = { clientMessageId: 'one', body: 'the text of a private message' };
  const path = `/api/channels/${channelId}/messages`;
  note(await api.post(path, message, bob.token));
  note(await api.get(path, ada.token));
  note(await api.post('/api/auth/login', { identifier: ada.username, password: GUESS }));
  note(await api.post('/api/auth/login', { identifier: ada.username, password: PASSWORD, extra: 1 }));
  note(await api.call('post', '/api/auth/login', { body: `{"password":"${GUESS}",`, headers: JSON_TYPE }));
  // Tokens in places where they do not belong.
  note(await api.get(`/nowhere?token=${ada.token}`));
  note(await api.get('/api/auth/me', `${ada.token}x`));
  note(await api.call('get', '/api/auth/me', { headers: { cookie: `token=${ada.token}` } }));
  note(await api.post('/api/auth/refresh', { refreshToken: `${bob.refreshToken}x` }));
  const refreshed = await api.post('/api/auth/refresh', { refreshToken: bob.refreshToken });
  note(await api.post('/api/auth/refresh', { refreshToken: bob.refreshToken }));
  for (const transport of ['websocket', 'polling']) {
    const client = await connect(url, ada.token, { transports: [transport] });
    await client.ask('message:send', { channelId, clientMessageId: transport, body: message.body });
    client.close();
    await expect(connect(url, `${ada.token}x`, { transports: [transport] })).rejects.toThrow();
    const options = { transports: [transport], query: { token: ada.token } };
    await expect(connect(url, '', options)).rejects.toThrow();
  }
  for (const token of [ada.token, `${ada.token}x`]) {
    const peer = new Peer(url, 'peer', token);
    await peer.receives(({ type }) => type === 'OPEN' || type === 'ERROR');
    peer.send('{"type":');
    await peer.receives(({ type }) => type === 'ERROR');
    await peer.close();
  }
  const links = await useMails(api, mailbox, ada, note);
  const { accessToken, refreshToken } = refreshed.body;
  const calls = await useCall(api, url, ada, { ...bob, token: accessToken }, note);
  note(await api.post('/api/auth/logout', undefined, ada.token));
  const tokens = [ada.token, ada.refreshToken, bob.token, bob.refreshToken, accessToken, refreshToken];
  // Without its signature a token is harmless and its payload is not secret; the signature is.
  const parts = tokens.map((token: string) => token.split('.').at(-1)!);
  return {
    requestIds,
    secrets: [
      PASSWORD,
      GUESS,
      SECRET,
      ENCRYPTION_KEY,
      TURN_SECRET,
      message.body,
      ...parts,
      ...links,
      ...calls,
    ],
  };
}

type Note = (answer: { headers: Record<string, string> }) => void;

/** Requests mails with links, and uses their tokens where they belong and elsewhere. @returns the tokens. */
async function useMails(api: Api, mailbox: Mailbox, person: Person, note: Note): Promise<string[]> {
  const address = `${person.username}@example.org`;
  const verifying = await mailbox.takeToken(address, 'verify-email');
  note(await api.post('/api/auth/email/verify', { token: verifying }));
  note(await api.post('/api/auth/password/forgot', { email: address }));
  const resetting = await mailbox.takeToken(address, 'reset-password');
  note(await api.get(`/reset-password/${resetting}`));
  note(await api.get(`/?token=${resetting}`));
  note(await api.post('/api/auth/password/reset', { token: `${resetting}x`, password: GUESS }));
  note(await api.call('get', '/nowhere', { headers: { referer: `https://chat/#/?token=${resetting}` } }));
  return [verifying, resetting];
}

/** Calls somebody. @returns the signatures of the tickets and the credentials of the relay. */
async function useCall(api: Api, url: string, from: Person, to: Person, note: Note): Promise<string[]> {
  const { channelId } = await createRoom(api, from, [to]);
  const { body } = await api.post('/api/video-calls', { channelId }, from.token);
  const joined = await api.post(`/api/video-calls/${body.call.id}/join`, {}, to.token);
  const connections = [body.connection, joined.body.connection];
  const credentials = connections.flatMap(({ iceServers }) =>
    iceServers.flatMap(({ credential }: { credential?: string }) => credential ?? []),
  );
  expect(credentials).toHaveLength(2);
  for (const { peerId, ticket } of connections) {
    const peer = new Peer(url, peerId, ticket);
    await peer.receives(({ type }) => type === 'OPEN');
    peer.send({ type: 'OFFER', dst: 'nobody', payload: credentials[0] });
    await peer.close();
    await new Peer(url, 'another', ticket).closed;
    note(await api.get(`/api/video-calls/${ticket}`, from.token));
    note(await api.get(`/nowhere/${ticket}?ticket=${ticket}`, ticket));
  }
  return [...credentials, ...connections.map(({ ticket }) => ticket.split('.').at(-1)!)];
}

const JSON_TYPE = { 'Content-Type': 'application/json' };

it('are JSON records with the request id, without passwords, tokens or message texts', async () => {
  const mailbox = await openMailbox();
  const server = await spawnServer({
    NODE_ENV: 'production',
    SMTP_URL: mailbox.url,
    HOST: '127.0.0.1',
    BCRYPT_COST: '10',
    JWT_SECRET: SECRET,
    ENCRYPTION_KEY,
    TURN_URLS: 'turn:turn.example.org',
    TURN_SECRET,
    LOG_LEVEL: 'trace',
  });
  const { requestIds, secrets } = await useEverything(await server.listening(), mailbox);
  await mailbox.close();
  expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });

  const records = server.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const line of records) {
    expect(line).toMatchObject({
      level: expect.any(String),
      time: expect.stringMatching(/Z$/),
      msg: expect.any(String),
    });
  }
  const logged = records.map(({ req }) => req?.id).filter(Boolean);
  for (const id of requestIds) expect(logged.filter((each) => each === id)).toHaveLength(1);
  expect(records.find(({ req }) => req?.id === requestIds[0])).toMatchObject({
    level: 'info',
    req: { method: 'POST', path: expect.stringContaining('/messages') },
    res: { statusCode: 201 },
    userId: expect.stringMatching(/^[0-9a-f]{24}$/),
    responseTime: expect.any(Number),
  });
  const output = server.stdout + server.stderr;
  for (const secret of secrets) expect(output).not.toContain(secret);
  expect(records.some(({ level }) => level === 'error' || level === 'fatal')).toBe(false);
});

it('do not contain the secrets that development generates', async () => {
  const folder = await temporaryFolder();
  const server = await spawnServer({ DATA_DIR: folder, LOG_LEVEL: 'trace' });
  await server.listening();
  await server.end('SIGTERM');
  for (const name of ['jwt-secret', 'encryption-key']) {
    const secret = await readFile(join(folder, name), 'utf8');
    expect(secret.length).toBeGreaterThan(32);
    expect(server.stdout + server.stderr).not.toContain(secret);
  }
});

it('of errors have no secrets and no texts, and an error is also reported where errors are tracked', async () => {
  const logger = join(__dirname, '..', '..', '..', 'dist', 'utils', 'logger.js');
  const [jwt, opaque] = [`eyJ${'a'.repeat(9)}.${'b'.repeat(9)}.${'c'.repeat(43)}`, 'd'.repeat(43)];
  const secrets = [jwt, opaque, 'hunter22', 'private words', 'e'.repeat(43)];
  const program = `
    const { createLogger } = require(${JSON.stringify(logger)});
    const message = 'Bearer ${jwt} ${opaque} mongodb://a:hunter22@b ?token=hunter22 dup key: { body: "private words" }';
    const error = Object.assign(new Error(message, { cause: new TypeError('"private words" is not valid JSON') }), {
      code: 11000, writeErrors: [{ op: { body: 'private words' } }],
    });
    const fields = { err: error, job: 'broken', headers: { authorization: 'Basic hunter22', cookie: 'hunter22' },
      newPassword: 'hunter22', handshake: { auth: { token: 'hunter22' } }, ice: { credential: 'hunter22' },
      url: '/x?ticket=hunter22&y=1', refresh: '${'1'.repeat(24)}.${'e'.repeat(43)}.${'e'.repeat(43)}' };
    for (const level of ['info', 'silent']) {
      const reported = [];
      const logger = createLogger(level, (each) => reported.push(each));
      logger.warn(fields, 'not reported');
      logger.child({ req: { id: 'one' } }).error(fields, 'it failed');
      logger.fatal({ err: error }, 'uncaught');
      logger.error({ err: error, res: {} }, 'request errored');
      process.stderr.write(reported.map(({ what, level, fields }) => [what, level, fields.job, fields.req?.id]).join(';') + '\\n');
    }
  `;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  await once(child, 'close');
  const expected = 'it failed,error,broken,one;uncaught,fatal,,';
  expect(stderr).toBe(`${expected}\n${expected}\n`);
  const records = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(records.map(({ msg }) => msg)).toEqual(['not reported', 'it failed', 'uncaught', 'request errored']);
  expect(records[1]).toMatchObject({
    req: { id: 'one' },
    err: { type: 'Error', code: 11000, stack: expect.stringContaining('at '), cause: { type: 'TypeError' } },
  });
  for (const secret of secrets) expect(stdout).not.toContain(secret);
});

it('have errors that nothing has caught, and these are reported before the process ends', async () => {
  const collector = new ErrorCollector();
  const folder = await temporaryFolder();
  const faults = join(folder, 'faults.cjs');
  await writeFile(
    faults,
    `process.on('SIGUSR2', () => { throw new Error('Bearer ${'x'.repeat(50)} was not caught'); });
     process.on('SIGHUP', () => void Promise.reject(new Error('nobody has handled it')));`,
  );
  const server = await spawnServer({
    SENTRY_DSN: await collector.start(),
    NODE_OPTIONS: `--require ${faults}`,
    LOG_LEVEL: 'silent',
  });
  await server.listening();
  server.signal('SIGHUP');
  await until(() => collector.events.length === 1);
  expect(await server.end('SIGUSR2')).toEqual({ code: 1, signal: null });
  expect(collector.events).toMatchObject([
    {
      level: 'error',
      logger: 'unhandled rejection',
      exception: { values: [{ value: 'nobody has handled it' }] },
    },
    { level: 'fatal', exception: { values: [{ value: 'Bearer [redacted] was not caught' }] } },
  ]);
  await collector.close();
});

const onFullDisk = existsSync('/dev/full') ? it : it.skip;

onFullDisk('that cannot be written stop nothing, and take no more than a bound', async () => {
  const logger = join(__dirname, '..', '..', '..', 'dist', 'utils', 'logger.js');
  const program = `
    const logger = require(${JSON.stringify(logger)}).createLogger('info');
    for (let line = 0; line < 20_000; line++) logger.info('x'.repeat(1000));
    setImmediate(() => process.stderr.write(String(process.memoryUsage().rss), () => process.exit(7)));
  `;
  const full = await open('/dev/full', 'w');
  // It used to throw at the first record, and later to hang.
  const child = spawn(process.execPath, ['-e', program], {
    stdio: ['ignore', full.fd, 'pipe'],
    timeout: 20_000,
  });
  let memory = '';
  child.stderr!.on('data', (text: Buffer) => (memory += text.toString()));
  expect(await once(child, 'close')).toEqual([7, null]);
  expect(Number(memory)).toBeLessThan(200 * 1024 * 1024);
  await full.close();
});
