import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createApi } from '../fixtures/api';
import { Peer } from '../fixtures/peer';
import { createRoom, PASSWORD, signUpAll } from '../fixtures/people';
import { cleanUp, spawnServer, temporaryFolder } from '../fixtures/process';
import { connect } from '../fixtures/sockets';

afterAll(cleanUp);

const SECRET = 'the signing secret of this test, long enough';
const ENCRYPTION_KEY = 'the encryption key of this test, long enough';
const TURN_SECRET = 'the secret of the relay of this test';
const GUESS = 'a wrong guess at a password';

/** Uses many features of a server. @returns everything that must not be in its logs, and the ids of requests. */
async function useEverything(url: string) {
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
  note(await api.post('/api/auth/logout', undefined, ada.token));
  const { accessToken, refreshToken } = refreshed.body;
  const tokens = [ada.token, ada.refreshToken, bob.token, bob.refreshToken, accessToken, refreshToken];
  // Without its signature a token is harmless and its payload is not secret; the signature is.
  const parts = tokens.map((token: string) => token.split('.').at(-1)!);
  return {
    requestIds,
    secrets: [PASSWORD, GUESS, SECRET, ENCRYPTION_KEY, TURN_SECRET, message.body, ...parts],
  };
}

const JSON_TYPE = { 'Content-Type': 'application/json' };

it('are JSON records with the request id, without passwords, tokens or message texts', async () => {
  const server = await spawnServer({
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    BCRYPT_COST: '10',
    JWT_SECRET: SECRET,
    ENCRYPTION_KEY,
    TURN_URLS: 'turn:turn.example.org',
    TURN_SECRET,
    LOG_LEVEL: 'trace',
  });
  const { requestIds, secrets } = await useEverything(await server.listening());
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
