import { Agent, request, type ClientRequest, type IncomingMessage } from 'node:http';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createApi, type Api } from '../fixtures/api';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../fixtures/people';
import { cleanUp, spawnServer, temporaryFolder } from '../fixtures/process';
import { until } from '../fixtures/until';

afterAll(cleanUp);

// The tests of this file mostly wait for processes, so they run concurrently.

/** Whether a server accepts connections at this address. */
const isListening = (url: string) =>
  new Promise<boolean>((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Opens a request and stops before its body, once the server has answered "100 Continue". */
function openRequest(url: string, person: Person, path: string, body: string, agent: Agent) {
  const call = request(`${url}${path}`, {
    method: 'POST',
    agent,
    headers: {
      Authorization: `Bearer ${person.token}`,
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      Expect: '100-continue',
    },
  });
  call.flushHeaders();
  return new Promise<ClientRequest>((resolve, reject) => {
    call.once('continue', () => resolve(call)).once('error', reject);
  });
}

const answerOf = (call: ClientRequest, body: string) =>
  new Promise<{ status: number; body: any }>((resolve, reject) => {
    call.once('error', reject).once('response', (response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) }));
    });
    call.end(body);
  });

describe('SIGTERM and SIGINT', () => {
  it.concurrent('stop accepting requests, finish those in progress and exit cleanly', async () => {
    const folder = await temporaryFolder();
    let server = await spawnServer({ DATA_DIR: folder });
    let url = await server.listening();
    const api = await createApi(url);
    const ada = await signUp(api, 'ada');
    const { channelId } = await createRoom(api, ada);
    const path = `/api/channels/${channelId}/messages`;
    const sent: any[] = [];
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const body = JSON.stringify({ clientMessageId: signal, body: 'sent while the server was ending' });
      // A client that keeps its connection open must not delay the shutdown.
      const agent = new Agent({ keepAlive: true });
      const call = await openRequest(url, ada, path, body, agent);

      server.signal(signal);
      const listened = url;
      await until(async () => !(await isListening(listened)));
      const answer = await answerOf(call, body);
      const answeredAt = Date.now();
      expect(answer).toMatchObject({ status: 201, body: { message: { clientMessageId: signal } } });
      expect(await server.exited).toEqual({ code: 0, signal: null });
      expect(Date.now() - answeredAt).toBeLessThan(3000);
      expect(server.stderr).toBe('');
      agent.destroy();

      server = await spawnServer({ DATA_DIR: folder });
      url = await server.listening();
      const history = await (await createApi(url)).get(path, ada.token);
      sent.push(answer.body.message);
      const inOrder = history.body.messages.sort((one: any, other: any) => one.seq - other.seq);
      expect(inOrder).toEqual(sent);
    }
    await server.end('SIGTERM');
  });

  it.concurrent.each(['SIGTERM', 'SIGINT'] as const)(
    '%s sent a second time does not interrupt the shutdown',
    async (signal) => {
      const server = await spawnServer({});
      await server.listening();
      server.signal(signal);
      expect(await server.end(signal)).toEqual({ code: 0, signal: null });
    },
  );
});

describe('a request that never ends', () => {
  it.concurrent('delays the shutdown for a while, but not for ever', async () => {
    const server = await spawnServer({});
    const url = await server.listening();
    const api = await createApi(url);
    const ada = await signUp(api, 'ada');
    const call = await openRequest(url, ada, '/api/groups', '{"name":"never"}', new Agent());
    const broken = new Promise((resolve) => call.once('error', resolve));
    const signalledAt = Date.now();
    const exit = await server.end('SIGTERM');
    await broken;
    expect(exit).toEqual({ code: 0, signal: null });
    expect(Date.now() - signalledAt).toBeLessThan(10_000);
  });
});

describe('an unhandled error', () => {
  /** Starts a server in which a signal causes an error outside of any request. */
  async function spawnFaulty(fault: string) {
    const folder = await temporaryFolder();
    const preload = join(folder, 'fault.js');
    await writeFile(preload, `process.on('SIGUSR2', () => { ${fault} });`);
    return spawnServer({ DATA_DIR: folder, NODE_OPTIONS: `--require=${preload}`, LOG_LEVEL: 'error' });
  }

  it.concurrent('in a promise is logged, and the server continues', async () => {
    const server = await spawnFaulty("void Promise.reject(new Error('stray'));");
    const api = await createApi(await server.listening());
    server.signal('SIGUSR2');
    await until(() => server.stdout.includes('stray'));
    expect((await api.get('/health/live')).status).toBe(200);
    expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
  });

  it.concurrent('as an exception is logged, and the server shuts down in order', async () => {
    const server = await spawnFaulty("setImmediate(() => { throw new Error('stray'); });");
    const ada = await signUp(await createApi(await server.listening()), 'ada');
    expect(ada.token).toBeTruthy();
    server.signal('SIGUSR2');
    expect(await server.exited).toEqual({ code: 1, signal: null });
    expect(server.stdout).toMatch(/"level":"fatal".*stray/);
  });
});

describe('kill -9 at any moment', () => {
  /** Sends messages until the server has exited. @returns the messages that were acknowledged. */
  async function sendUntilKilled(api: Api, person: Person, path: string, kill: () => void) {
    const acknowledged: any[] = [];
    const sendRepeatedly = async (name: number) => {
      for (let index = 0; ; index++) {
        const input = { clientMessageId: `${name}-${index}`, body: `message ${index} of ${name}` };
        const { body } = await api.post(path, input, person.token);
        acknowledged.push(body.message);
        if (acknowledged.length === 60) kill();
      }
    };
    const lines = await Promise.allSettled([0, 1, 2, 3].map(sendRepeatedly));
    for (const { reason } of lines as PromiseRejectedResult[]) {
      // Senders stop because the connection is closed, never because of a wrong answer.
      expect((reason as NodeJS.ErrnoException).code).toMatch(/^(ECONNRESET|ECONNREFUSED|EPIPE)$/);
    }
    return acknowledged;
  }

  it.concurrent('loses no acknowledged message, account or session', async () => {
    const folder = await temporaryFolder();
    let server = await spawnServer({ DATA_DIR: folder });
    let api = await createApi(await server.listening());
    const { ada, bob } = await signUpAll(api, 'ada', 'bob');
    const { groupId, channelId } = await createRoom(api, ada, [bob]);
    const path = `/api/channels/${channelId}/messages`;
    const usedToken = bob.refreshToken;
    for (let time = 0; time < 2; time++) {
      const { body } = await api.post('/api/auth/refresh', { refreshToken: bob.refreshToken });
      bob.refreshToken = body.refreshToken;
    }

    const acknowledged = await sendUntilKilled(api, ada, path, () => server.signal('SIGKILL'));
    expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' });
    expect(acknowledged.length).toBeGreaterThanOrEqual(60);

    server = await spawnServer({ DATA_DIR: folder });
    api = await createApi(await server.listening());
    // Access tokens and refresh tokens are still valid, and a used refresh token stays used.
    expect((await api.get('/api/auth/me', ada.token)).body.user).toMatchObject({ role: 'super_admin' });
    expect((await api.post('/api/auth/refresh', { refreshToken: ada.refreshToken })).status).toBe(200);
    expect((await api.post('/api/auth/refresh', { refreshToken: bob.refreshToken })).status).toBe(200);
    expect((await api.post('/api/auth/refresh', { refreshToken: usedToken })).body.error.code).toBe(
      'refresh_token_reused',
    );
    const login = { identifier: bob.username, password: PASSWORD };
    const { body: credentials } = await api.post('/api/auth/login', login);
    expect(credentials.user).toMatchObject({ id: bob.id, role: 'client' });
    expect((await api.get(`/api/groups/${groupId}`, ada.token)).body.group.memberCount).toBe(2);

    const stored: any[] = [];
    for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null;) {
      const { body } = await api.get(path, credentials.accessToken, { before, limit: 200 });
      stored.push(...body.messages);
      before = body.nextCursor;
    }
    const byId = new Map(stored.map((message) => [message.clientMessageId, message]));
    expect(byId.size).toBe(stored.length);
    for (const message of acknowledged) expect(byId.get(message.clientMessageId)).toEqual(message);
    // A retry of an acknowledged message returns the stored one; a new message gets the next seq.
    const { clientMessageId, body } = acknowledged[0];
    const repeated = await api.post(path, { clientMessageId, body }, ada.token);
    expect([repeated.status, repeated.body.message]).toEqual([200, acknowledged[0]]);
    const next = await api.post(path, { clientMessageId: 'next', body: 'next' }, ada.token);
    expect(next.body.message.seq).toBeGreaterThan(stored[0].seq);
    await server.end('SIGTERM');
  });
});
