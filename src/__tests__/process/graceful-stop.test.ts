import { Agent, get, request } from 'node:http';
import { connect as connectTcp, type Socket as TcpSocket } from 'node:net';
import { createApi, type Api } from '../fixtures/api';
import { createRoom, signUpAll, type Person } from '../fixtures/people';
import { cleanUp, spawnServer, spawnStore, temporaryFolder } from '../fixtures/process';
import { connectRaw } from '../fixtures/raw-client';
import { HAS_REDIS, startRedis } from '../fixtures/redis';
import { connect, type Client } from '../fixtures/sockets';
import { problemsOfSenders, Sender } from '../fixtures/traffic';
import { until } from '../fixtures/until';

afterAll(cleanUp);

// The tests of this file mostly wait for processes, so they run concurrently.

type ServerProcess = Awaited<ReturnType<typeof spawnServer>>;

/** Until a test fails. Tests that run at the same time compete for the processor. */
const TIMEOUT_MS = 120_000;
/** The longest time that a shutdown may take, in milliseconds. */
const LIMIT_MS = 10_000;
const SETTINGS = {
  LOG_LEVEL: 'error',
  THROTTLE_ENABLED: 'false',
  SOCKETS_PER_USER: '100',
  SOCKET_EVENTS_PER_SECOND: '10000',
};
const POLLING = { transports: ['polling'], upgrade: false, reconnection: false };
const WEB_SOCKET = { transports: ['websocket'], reconnection: false };

/** What a client cannot end by itself: connections and requests that get stuck. */
class StuckClients {
  private readonly sockets: TcpSocket[] = [];
  private readonly agent = new Agent({ keepAlive: true });

  /** Opens a TCP connection and sends part of a request. */
  async sends(url: string, text: string): Promise<TcpSocket> {
    const { hostname, port } = new URL(url);
    const socket = connectTcp(Number(port), hostname);
    socket.on('error', () => undefined);
    this.sockets.push(socket);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    if (text !== '') await new Promise<void>((resolve) => socket.write(text, () => resolve()));
    return socket;
  }

  /** Leaves a connection open after its request. */
  async idles(url: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      get(`${url}/health/live`, { agent: this.agent }, (response) =>
        response.resume().once('end', resolve),
      ).once('error', reject);
    });
  }

  /** Sends the head of an upload and a part of its body, and then nothing. */
  async uploads(url: string, { token }: Person): Promise<void> {
    const call = request(`${url}/api/upload/file`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${token}`,
        'Content-Type': 'multipart/form-data; boundary=x',
        'Content-Length': 100_000,
        Expect: '100-continue',
      },
    });
    call.on('error', () => undefined);
    call.flushHeaders();
    await new Promise((resolve) => call.once('continue', resolve));
    call.write('--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nbegin');
  }

  /** Requests an export, and does not read the answer. */
  async exports(url: string, { token }: Person): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      get(
        `${url}/api/admin/export/messages`,
        { headers: { Authorization: `Bearer ${token}` } },
        (response) => {
          response.on('error', () => undefined).pause();
          this.sockets.push(response.socket);
          resolve();
        },
      ).once('error', reject);
    });
  }

  end(): void {
    this.agent.destroy();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** Sends SIGTERM. @returns the exit, and how long it took in milliseconds. */
async function terminate(server: ServerProcess) {
  const start = performance.now();
  const exit = await server.end('SIGTERM');
  return { exit, milliseconds: performance.now() - start };
}

async function openClients(url: string, people: Person[], options: object): Promise<Client[]> {
  return Promise.all(people.map(({ token }) => connect(url, token, options)));
}

/** How many clients have not learned that the server closes. */
const notTold = (clients: Client[]) =>
  clients.filter(({ events }) => !events.some(({ event }) => event === 'server:closing')).length;

/** Starts senders of each kind. */
function startSenders(api: Api, clients: Client[], people: Person[], channelId: string): Sender[] {
  return [
    ...clients.map((client, index) => Sender.overSocket(client, people[index % people.length]!, channelId)),
    ...people.map((person) => Sender.overRest(api, person, channelId)),
  ];
}

async function sendMany(api: Api, { token }: Person, channelId: string, count: number, length: number) {
  const body = 'x'.repeat(length);
  const send = (index: number) =>
    api.post(`/api/channels/${channelId}/messages`, { clientMessageId: `m${index}`, body }, token);
  await Promise.all(Array.from({ length: count }, (_, index) => send(index)));
}

const isBusy = (senders: Sender[]) => senders.every(({ acknowledged }) => acknowledged.length >= 3);

describe('SIGTERM at full traffic', () => {
  it.concurrent(
    'loses nothing that is acknowledged, and tells every client',
    async () => {
      const folder = await temporaryFolder();
      let server = await spawnServer({ DATA_DIR: folder, ...SETTINGS });
      const url = await server.listening();
      const api = await createApi(url);
      const people = Object.values(await signUpAll(api, 'ada', 'bob', 'cem', 'dan'));
      const { channelId } = await createRoom(api, people[0]!, people.slice(1));
      const crowd = Array.from({ length: 40 }, (_, index) => people[index % people.length]!);
      const webSockets = await openClients(url, crowd, WEB_SOCKET);
      const pollers = await openClients(url, people, POLLING);
      const silent = await connectRaw(url, people[1]!.token);
      silent.webSocket.pause();
      const senders = startSenders(api, [...webSockets.slice(0, 12), ...pollers], people, channelId);
      await until(() => isBusy(senders), 60_000);

      const { exit, milliseconds } = await terminate(server);
      expect(exit).toEqual({ code: 0, signal: null });
      expect(milliseconds).toBeLessThan(LIMIT_MS);
      await Promise.all(senders.map((sender) => sender.stop()));
      expect({ errors: server.stdout.match(/^\{.*$/gm), stderr: server.stderr }).toEqual({
        errors: null,
        stderr: '',
      });
      expect(notTold([...webSockets, ...pollers])).toBe(0);
      for (const { refusals, failures } of senders) {
        // A server that is closing refuses with one code, and then connections end.
        expect([...refusals].filter((code) => code !== 'unavailable')).toEqual([]);
        for (const failure of failures)
          expect(failure).toMatch(
            /^(disconnected|socket has been disconnected|(ECONNRESET|ECONNREFUSED|EPIPE)(:.*)?)$/,
          );
      }
      // What was acknowledged was delivered before the connections were closed.
      const acknowledged = senders.flatMap((sender) => sender.acknowledged.map(({ id }) => id));
      for (const { messages } of webSockets) {
        const received = new Set(messages.map(({ message }) => message.id));
        expect(acknowledged.filter((id) => !received.has(id))).toEqual([]);
      }

      server = await spawnServer({ DATA_DIR: folder, ...SETTINGS });
      expect(await problemsOfSenders(await createApi(await server.listening()), senders)).toEqual([]);
      await server.end('SIGTERM');
      for (const client of [...webSockets, ...pollers]) client.close();
      silent.webSocket.terminate();
    },
    TIMEOUT_MS,
  );

  it.concurrent(
    'does not wait for clients that get stuck',
    async () => {
      const server = await spawnServer(SETTINGS);
      const url = await server.listening();
      const api = await createApi(url);
      const { ada, bob } = await signUpAll(api, 'ada', 'bob');
      const { channelId } = await createRoom(api, ada, [bob]);
      const stuck = new StuckClients();
      await stuck.sends(url, '');
      await stuck.sends(url, 'GET /api/auth/me HTTP/1.1\r\nHost: x\r\n');
      await stuck.sends(url, 'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nUpgrade: websocket\r\n');
      await stuck.idles(url);
      const silent = await Promise.all([0, 1, 2].map(() => connectRaw(url, bob.token)));
      for (const { webSocket } of silent) webSocket.pause();
      // So that much waits for those who do not read.
      await sendMany(api, ada, channelId, 100, 8000);

      const { exit, milliseconds } = await terminate(server);
      expect(exit).toEqual({ code: 0, signal: null });
      // Less than requests in flight would be given.
      expect(milliseconds).toBeLessThan(6000);
      expect(server.stderr).toBe('');
      stuck.end();
      for (const { webSocket } of silent) webSocket.terminate();
    },
    TIMEOUT_MS,
  );

  it.concurrent(
    'gives requests in progress some time, and then ends them',
    async () => {
      const server = await spawnServer(SETTINGS);
      const url = await server.listening();
      const api = await createApi(url);
      const { ada } = await signUpAll(api, 'ada');
      const { channelId } = await createRoom(api, ada);
      await sendMany(api, ada, channelId, 400, 8000);
      const client = await connect(url, ada.token, WEB_SOCKET);
      const stuck = new StuckClients();
      await stuck.uploads(url, ada);
      await stuck.exports(url, ada);
      const { exit, milliseconds } = await terminate(server);
      expect(exit).toEqual({ code: 0, signal: null });
      expect(milliseconds).toBeLessThan(LIMIT_MS);
      expect({ errors: server.stdout.match(/^\{.*$/gm), stderr: server.stderr }).toEqual({
        errors: null,
        stderr: '',
      });
      expect(notTold([client])).toBe(0);
      stuck.end();
      client.close();
    },
    TIMEOUT_MS,
  );
});

(HAS_REDIS ? describe : describe.skip)('SIGTERM while others are down', () => {
  /** Suspends the store, Redis or both, or kills the store, when there is traffic, and then ends the server. */
  async function stopWithout(without: { store?: 'SIGSTOP' | 'SIGKILL'; redis?: 'SIGSTOP' }) {
    const store = await spawnStore(await temporaryFolder());
    const redis = await startRedis();
    const server = await spawnServer({
      ...SETTINGS,
      LOG_LEVEL: 'silent',
      MONGODB_URI: store.uri,
      REDIS_URL: redis.url,
    });
    const url = await server.listening();
    const api = await createApi(url);
    const people = Object.values(await signUpAll(api, 'ada', 'bob'));
    const { channelId } = await createRoom(api, people[0]!, people.slice(1));
    const clients = [
      ...(await openClients(url, people, WEB_SOCKET)),
      ...(await openClients(url, people, POLLING)),
    ];
    const senders = startSenders(api, clients, people, channelId);
    await until(() => isBusy(senders), 60_000);
    if (without.redis) redis.signal(without.redis);
    if (without.store) store.signal(without.store);
    const { exit, milliseconds } = await terminate(server);
    await Promise.all(senders.map((sender) => sender.stop()));
    if (without.redis) redis.signal('SIGCONT');
    if (without.store === 'SIGSTOP') store.signal('SIGCONT');
    for (const client of clients) client.close();
    await redis.close();
    await store.end('SIGTERM');
    expect(exit).toEqual({ code: 0, signal: null });
    expect(milliseconds).toBeLessThan(LIMIT_MS);
    expect(server.stderr).toBe('');
    expect(notTold(clients)).toBe(0);
  }

  it.concurrent.each([
    { what: 'Redis, which does not answer', without: { redis: 'SIGSTOP' as const } },
    { what: 'a database that does not answer', without: { store: 'SIGSTOP' as const } },
    {
      what: 'a database and Redis that do not answer',
      without: { store: 'SIGSTOP' as const, redis: 'SIGSTOP' as const },
    },
    { what: 'a database that was killed', without: { store: 'SIGKILL' as const } },
  ])('ends in time without $what', ({ without }) => stopWithout(without), TIMEOUT_MS);
});

describe('SHUTDOWN_DELAY_SECONDS', () => {
  it.concurrent(
    'keeps the server serving while it is not ready; a second signal ends the delay',
    async () => {
      const server = await spawnServer({ ...SETTINGS, LOG_LEVEL: 'info', SHUTDOWN_DELAY_SECONDS: '300' });
      const url = await server.listening();
      const api = await createApi(url);
      const { ada } = await signUpAll(api, 'ada');
      const { channelId } = await createRoom(api, ada);
      const early = await connect(url, ada.token, WEB_SOCKET);
      server.signal('SIGTERM');
      await until(async () => (await api.get('/health/ready')).status === 503);
      const ready = await api.get('/health/ready');
      expect(ready.body.checks).toMatchObject({ accepting: 'failed', database: 'ok' });
      // Otherwise clients and load balancers would use their open connections until the end.
      expect(ready.headers['connection']).toBe('close');
      expect((await api.get('/health/live')).status).toBe(200);
      const late = await connect(url, ada.token, WEB_SOCKET);
      const sent = await late.ask('message:send', { channelId, clientMessageId: 'late', body: 'late' });
      expect(sent.ok).toBe(true);
      await early.waitForMessage(({ message }) => message.clientMessageId === 'late');
      expect(notTold([early, late])).toBe(2);

      const start = performance.now();
      expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
      expect(performance.now() - start).toBeLessThan(LIMIT_MS);
      expect(notTold([early, late])).toBe(0);
      expect(server.stdout.match(/shutting down/g)).toHaveLength(1);
      for (const client of [early, late]) client.close();
    },
  );
});
