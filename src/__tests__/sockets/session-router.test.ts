import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  connect as connectTo,
  createServer as createTcpServer,
  type AddressInfo,
  type Socket,
} from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Telemetry } from '../../services/kernel/telemetry';
import { SessionRouter } from '../../sockets/session-router';
import { clientAddress, trustProxy } from '../../utils/trust-proxy';
import { createRoom, signUp, type Person } from '../fixtures/people';
import { counterOf, startTestServer, type TestServer } from '../fixtures/server';
import { connect, type Client } from '../fixtures/sockets';
import { until } from '../fixtures/until';

/** A process as the router sees it: its own listener, and sessions that record what reaches them. */
interface Process {
  router: SessionRouter;
  port: number;
  /** The requests and upgrades that were handled here, with their bodies. */
  handled: { request: IncomingMessage; body: string }[];
  closedSessions: string[];
  /** Answers a request; by default with 200 and its body. */
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;
  /** Continues an upgraded connection; by default it sends back what it receives. */
  converse: (socket: Socket) => void;
  warnings: object[];
  stop(): Promise<void>;
}

let folder: string;
const processes: Process[] = [];
const REST = 'abcdefghijklmnopqrst';
const sessionOf = ({ router }: Process) => `${router.key}${REST}`;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-router-'));
});
afterEach(async () => {
  for (const each of processes.splice(0)) await each.stop();
  await rm(folder, { recursive: true, force: true });
});

async function startProcess({ at = folder, idleMs = 10_000, drainMs = 200 } = {}): Promise<Process> {
  const warnings: object[] = [];
  const router = new SessionRouter({
    folder: at,
    path: '/socket.io/',
    idleMs,
    drainMs,
    logger: { warn: (record: object) => void warnings.push(record) } as never,
    telemetry: new Telemetry(),
  });
  const server: Server = createServer((call, response) => router.handleRequest(call, response));
  server.on('upgrade', (call, socket, head) => {
    socket.on('error', () => socket.destroy());
    router.handleUpgrade(call, socket, head);
  });
  const made: Process = {
    router,
    port: 0,
    handled: [],
    closedSessions: [],
    answer: (call, response, body) => response.setHeader('X-Seen', call.url!).end(body),
    converse: (socket) => socket.pipe(socket),
    warnings,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await router.stopForwarding();
      await router.stop();
    },
  };
  await router.start({
    handleRequest: (call, response) => {
      void text(call).then((body) => {
        made.handled.push({ request: call, body });
        made.answer(call, response, body);
      });
    },
    handleUpgrade: (call, socket, head) => {
      made.handled.push({ request: call, body: '' });
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      socket.unshift(head);
      made.converse(socket as Socket);
    },
    closeSessions: (ids) => made.closedSessions.push(...ids),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  made.port = (server.address() as AddressInfo).port;
  processes.push(made);
  return made;
}

interface Call {
  sid: string;
  method?: string;
  body?: string;
  headers?: Record<string, string>;
  from?: string;
  upgrade?: boolean;
}

/** Sends a request of Socket.IO to a process. */
function open(to: { port: number } | { socketPath: string }, { sid, method, headers, from, ...rest }: Call) {
  const call = request({
    ...to,
    host: '127.0.0.1',
    method: method ?? 'GET',
    path: `/socket.io/?EIO=4&sid=${sid}`,
    headers: { ...headers, ...(rest.upgrade && { Connection: 'Upgrade', Upgrade: 'websocket' }) },
    ...(from !== undefined && { localAddress: from }),
    agent: false,
  });
  call.end(rest.body);
  return call;
}

async function send(to: Parameters<typeof open>[0], call: Call) {
  const [answer] = (await once(open(to, call), 'response')) as [IncomingMessage];
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
}

async function upgrade({ port }: Process, call: Call): Promise<Socket> {
  const [, socket] = (await once(open({ port }, { ...call, upgrade: true }), 'upgrade')) as [unknown, Socket];
  return socket;
}

describe('a request of a session', () => {
  it('is handled by the process that created the session, whichever receives it', async () => {
    const [here, there] = [await startProcess(), await startProcess()];
    const large = 'x'.repeat(200_000);
    const path = `/socket.io/?EIO=4&sid=${sessionOf(there)}`;
    expect(await send(here, { sid: sessionOf(there) })).toMatchObject({
      status: 200,
      headers: { 'x-seen': path },
    });
    const { status, body } = await send(here, { sid: sessionOf(there), method: 'POST', body: large });
    expect([status, body === large]).toEqual([200, true]);
    // Without a length.
    const headers = { 'Transfer-Encoding': 'chunked', Expect: '100-continue', Origin: 'https://a.example' };
    const sent = { sid: sessionOf(there), method: 'POST', body: 'in chunks', headers };
    expect(await send(here, sent)).toMatchObject({ status: 200, body: 'in chunks' });
    expect(there.handled.at(-1)!.request.headers).toMatchObject({ origin: 'https://a.example' });
    expect(there.handled.map(({ request: { method } }) => method)).toEqual(['GET', 'POST', 'POST']);
    expect(here.handled).toEqual([]);
    await send(here, { sid: sessionOf(here) });
    await send(here, { sid: '' });
    expect(here.handled).toHaveLength(2);
  });

  it('is passed on as an upgrade, with everything in both directions', async () => {
    const [here, there] = [await startProcess(), await startProcess()];
    const client = await upgrade(here, { sid: sessionOf(there) });
    const sent = 'é'.repeat(300_000);
    let received = '';
    client.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
    client.end(sent);
    await once(client, 'close');
    expect(received === sent).toBe(true);
    expect(there.handled).toHaveLength(1);
  });

  it.each([
    ['of a process that has ended', (ended: Process) => sessionOf(ended)],
    ['that no process has created', () => `0123456789ab${REST}`],
    ['with a malformed id', () => `..%2F..%2Fsecret${REST}`],
  ])('%s is handled here, so that the client learns that it is unknown', async (_, sidOf) => {
    const [here, ended] = [await startProcess(), await startProcess()];
    await ended.stop();
    const sid = sidOf(ended);
    expect(await send(here, { sid, method: 'POST', body: 'whole' })).toMatchObject({ body: 'whole' });
    (await upgrade(here, { sid })).destroy();
    expect(here.handled).toHaveLength(2);
  });

  it('has the address of the client, which no client can forge', async () => {
    const [here, there] = [await startProcess(), await startProcess()];
    const headers = {
      'Parley-Client-Address': '203.0.113.9',
      'Parley-Sender': 'forged',
      'X-Forwarded-For': '203.0.113.7',
    };
    const call = { sid: sessionOf(there), headers, from: '127.0.0.2' };
    await send(here, call);
    (await upgrade(here, call)).destroy();
    // The process itself ignores them too.
    await send(there, call);
    for (const { request: seen } of there.handled) {
      expect(seen.socket.remoteAddress ?? '127.0.0.2').toBe('127.0.0.2');
      expect(seen.headers['x-forwarded-for']).toBe('203.0.113.7');
    }
    const [passed] = there.handled;
    expect(clientAddress(passed!.request, trustProxy(false))).toBe('127.0.0.2');
    expect(clientAddress(passed!.request, trustProxy('127.0.0.2'))).toBe('203.0.113.7');
    expect(clientAddress(passed!.request, trustProxy('127.0.0.3'))).toBe('127.0.0.2');
  });
});

describe('the socket of a process', () => {
  const fileOf = ({ router }: Process) => join(folder, `${router.key}.sock`);

  it('is for its user alone, and serves only sessions of the process', async () => {
    const [here, there] = [await startProcess(), await startProcess()];
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(fileOf(there))).mode & 0o777).toBe(0o600);
    const to = { socketPath: fileOf(there) };
    const headers = { 'Parley-Client-Address': '203.0.113.7', 'Parley-Sender': here.router.key };
    expect(await send(to, { sid: sessionOf(here), headers })).toMatchObject({ status: 404 });
    expect(await send(to, { sid: sessionOf(there) })).toMatchObject({ status: 404 });
    expect(await send(to, { sid: '', headers })).toMatchObject({ status: 404 });
    const other = request({ ...to, path: `/api/users?sid=${sessionOf(there)}`, headers, agent: false }).end();
    const [answer] = (await once(other, 'response')) as [IncomingMessage];
    expect(answer.resume().statusCode).toBe(404);
    expect(there.handled).toEqual([]);
    expect(await send(to, { sid: sessionOf(there), headers })).toMatchObject({ status: 200 });
  });

  it('is removed when the process stops, or by the next one if it was killed', async () => {
    const [stopped, running] = [await startProcess(), await startProcess()];
    await stopped.stop();
    expect(await readdir(folder)).toEqual([`${running.router.key}.sock`]);
    // A file on which nothing listens, as after kill -9, and files of others.
    await writeFile(join(folder, '0123456789ab.sock'), '');
    await writeFile(join(folder, 'abcdefghijkl.sock.new'), '');
    await writeFile(join(folder, 'notes.txt'), '');
    const next = await startProcess();
    const files = [`${running.router.key}.sock`, `${next.router.key}.sock`];
    expect((await readdir(folder)).sort()).toEqual([...files, 'abcdefghijkl.sock.new', 'notes.txt'].sort());
  });

  it('may be impossible, and the process works without', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    const here = await startProcess({ at: join(file, 'below') });
    const long = await startProcess({ at: join(folder, 'x'.repeat(120)) });
    for (const each of [here, long]) {
      expect(await send(each, { sid: sessionOf(each) })).toMatchObject({ status: 200 });
      expect(await send(each, { sid: `0123456789ab${REST}` })).toMatchObject({ status: 200 });
      expect(each.warnings).toHaveLength(1);
    }
  });
});

describe('a connection that is passed on', () => {
  it('ends with the process that has the session', async () => {
    const [here, there] = [await startProcess(), await startProcess()];
    there.answer = () => undefined;
    const poll = open(here, { sid: sessionOf(there) });
    const client = await upgrade(here, { sid: sessionOf(there) });
    await until(() => there.handled.length === 2);
    const closed = [once(poll, 'close'), once(client.resume(), 'close')];
    poll.on('error', () => undefined);
    await there.stop();
    await Promise.all(closed);
  });

  it('ends when the other process does not answer in time, or the client does not read', async () => {
    const [here, there] = [await startProcess({ idleMs: 300 }), await startProcess()];
    there.answer = () => undefined;
    expect(await send(here, { sid: sessionOf(there) })).toMatchObject({ status: 503 });
    there.converse = () => undefined;
    await once((await upgrade(here, { sid: sessionOf(there) })).resume(), 'close');
    // The other process ends a connection whose client has not read anything.
    const ended = new Promise<void>((resolve) => {
      there.converse = (socket) => socket.once('close', () => resolve()).end(Buffer.alloc(16 * 1024 * 1024));
    });
    const slow = await upgrade(here, { sid: sessionOf(there) });
    slow.pause().on('error', () => undefined);
    await ended;
    slow.destroy();
  });

  it('ends with the client', async () => {
    const [here, there] = [await startProcess(), await startProcess()];
    const ended: Promise<unknown>[] = [];
    there.answer = (_call, response) => void ended.push(once(response, 'close'));
    there.converse = (socket) => void ended.push(once(socket.resume(), 'end'));
    const poll = open(here, { sid: sessionOf(there) }).on('error', () => undefined);
    const client = await upgrade(here, { sid: sessionOf(there) });
    await until(() => ended.length === 2);
    poll.destroy();
    client.destroy();
    await Promise.all(ended);
  });

  it('ends when its process stops, after the other one has been asked to tell the client', async () => {
    const [here, there] = [await startProcess(), await startProcess()];
    const client = await upgrade(here, { sid: sessionOf(there) });
    const closed = once(client.resume(), 'close');
    await here.router.stopForwarding();
    await closed;
    expect(there.closedSessions).toEqual([sessionOf(there)]);
    expect(here.closedSessions).toEqual([]);
  });
});

describe('two servers behind a balancer that is not sticky', () => {
  let here: TestServer;
  let there: TestServer;
  let ada: Person;
  let balancer: { url: string; close(): void };
  const clients: Client[] = [];

  beforeAll(async () => {
    // Nothing listens there: the sessions need no Redis.
    const settings = { REDIS_URL: 'redis://127.0.0.1:1' };
    here = await startTestServer(settings);
    there = await startTestServer({ ...settings, DATA_DIR: here.context.config.dataDir }, { beside: here });
    ada = await signUp(here.api, 'ada');
    balancer = await startBalancer([here.url, there.url]);
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  afterAll(async () => {
    balancer.close();
    await there.close();
    await here.close();
  });

  const forwarded = async (kind: string) => {
    const counts = [here, there].map((each) => counterOf(each, 'parley_sessions_forwarded_total', { kind }));
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  };

  async function connectThrough(url: string, options: object): Promise<Client> {
    const client = await connect(url, ada.token, { reconnection: false, ...options });
    clients.push(client);
    return client;
  }

  it.each([
    ['websocket alone', { transports: ['websocket'] }, 'websocket'],
    ['polling alone', { transports: ['polling'] }, 'polling'],
    ['polling with an upgrade', {}, 'websocket'],
  ])('clients with %s send and receive', async (name, options, transport) => {
    const { channelId } = await createRoom(here.api, ada);
    const connected = await Promise.all([1, 2, 3, 4].map(() => connectThrough(balancer.url, options)));
    await until(() => connected.every(({ socket }) => socket.io.engine.transport.name === transport));
    for (const [index, client] of connected.entries()) {
      for (const round of [1, 2, 3]) {
        const message = {
          channelId,
          clientMessageId: `${name.replaceAll(' ', '-')}-${index}-${round}`,
          body: 'hello',
        };
        expect(await client.ask('message:send', message)).toMatchObject({ ok: true });
        await client.waitForMessage(
          (received) => received.message.clientMessageId === message.clientMessageId,
        );
      }
    }
    if (transport === 'polling') expect(await forwarded('request')).toBeGreaterThan(0);
  });

  it('a client whose connection was upgraded through another process is told when that one stops', async () => {
    // Handshake at one server, everything else at the other one.
    const toOne = await startBalancer([here.url, there.url], (head) => (head.includes('sid=') ? 1 : 0));
    const client = await connectThrough(toOne.url, { reconnection: false });
    await until(() => client.socket.io.engine.transport.name === 'websocket');
    expect(await forwarded('upgrade')).toBeGreaterThan(0);
    const other = await connectThrough(here.url, { transports: ['websocket'] });
    const ended = once(client.socket as never, 'disconnect');
    await there.restart();
    expect(await ended).toEqual(['transport close', expect.anything()]);
    expect(client.events.at(-1)).toEqual({
      event: 'server:closing',
      payload: { reconnectAfter: expect.any(Number) },
    });
    expect(other.socket.connected).toBe(true);
    expect(other.events.filter(({ event }) => event === 'server:closing')).toEqual([]);
    toOne.close();
  });
});

/**
 * Passes each TCP connection to one of the servers.
 * @param choose returns the index of the server by the beginning of the first request; by default they take turns.
 */
async function startBalancer(urls: string[], choose?: (head: string) => number) {
  let next = 0;
  const open = new Set<Socket>();
  const server = createTcpServer((client) => {
    open.add(client);
    client.once('data', (head: Buffer) => {
      const index = choose ? choose(head.toString('latin1')) : next++ % urls.length;
      const target = connectTo(Number(new URL(urls[index]!).port), '127.0.0.1');
      target.write(head);
      client.pipe(target).pipe(client);
      for (const [one, other] of [
        [client, target],
        [target, client],
      ] as const) {
        one.on('error', () => undefined).once('close', () => other.destroy());
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      for (const each of open) each.destroy();
    },
  };
}
