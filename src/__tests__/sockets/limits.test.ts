import type { IncomingMessage } from 'node:http';
import { connect as connectTcp, type Socket as TcpSocket } from 'node:net';
import supertest from 'supertest';
import type { Socket } from 'socket.io-client';
import { WebSocket } from 'ws';
import { THROTTLES } from '../../models/operations/throttle.model';
import { createRoom, signUp, type Person } from '../fixtures/people';
import { connectRaw, openRaw } from '../fixtures/raw-client';
import { counterOf, startTestServer, type TestServer } from '../fixtures/server';
import { connect, type Client } from '../fixtures/sockets';
import { until } from '../fixtures/until';

const PER_USER = 3;
/** The limit is an average over ten seconds, so a burst of ten times as many is accepted. */
const EVENTS = 10 * 5;

let server: TestServer;
let ada: Person;
let bob: Person;
let channelId: string;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer({
    SOCKETS_PER_USER: String(PER_USER),
    SOCKET_EVENTS_PER_SECOND: '5',
    SOCKET_BACKLOG_BYTES: '65536',
    THROTTLE_ENABLED: 'true',
  });
  ada = await signUp(server.api, 'ada');
});
beforeEach(async () => {
  bob = await signUp(server.api, 'bob');
  ({ channelId } = await createRoom(server.api, ada, [bob]));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server.close());

async function connectClient(person: Person, options: object = {}): Promise<Client> {
  const client = await connect(server.url, person.token, { reconnection: false, ...options });
  clients.push(client);
  return client;
}

const endedFor = (reason: 'too_slow' | 'too_many_events' | 'too_many_packets') =>
  counterOf(server, 'parley_connections_ended_total', { protocol: 'socket.io', reason });
const isConnected = ({ id }: Person) => server.context.services.connections.connectionsOf(id).length > 0;
const leaving = ({ socket }: Client) =>
  new Promise<string>((resolve) => socket.once('disconnect', (reason) => resolve(reason)));

test('events beyond the limit are refused, and a client that continues is disconnected', async () => {
  const [client, other] = [await connectClient(bob), await connectClient(bob)];
  const stop = () => client.ask('typing:stop', { channelId });
  const answers = await Promise.all(Array.from({ length: EVENTS + 10 }, stop));
  expect(answers.filter(({ ok }) => ok)).toHaveLength(EVENTS);
  const { error } = answers.at(-1) as { error: any };
  expect(error).toMatchObject({ code: 'rate_limited', retryAfter: expect.any(Number) });
  expect(error.retryAfter).toBeGreaterThanOrEqual(1);
  expect(error.retryAfter).toBeLessThanOrEqual(10);
  // Other devices are not affected.
  expect((await other.ask('typing:stop', { channelId })).ok).toBe(true);

  const left = leaving(client);
  const raw = client.socket as unknown as Socket;
  for (let count = 0; count < EVENTS; count++) raw.emit('typing:stop', { channelId });
  expect(await left).toBe('io server disconnect');
  expect(client.events.at(-1)).toEqual({ event: 'socket:ended', payload: { reason: 'too_many_events' } });
  expect(await endedFor('too_many_events')).toBe(1);
  expect(other.socket.connected).toBe(true);
});

test('packets that are not events are counted, too', async () => {
  const client = await connectRaw(server.url, bob.token);
  for (let count = 0; count < 5 * 40; count++) client.send('3');
  await client.closed;
  expect(await endedFor('too_many_packets')).toBe(1);
});

test('a connection may try a limited number of tokens', async () => {
  const client = await openRaw(server.url);
  for (let count = 0; count < 12; count++) client.send('40{"token":"invented"}');
  await client.closed;
});

test('a user has a limited number of connections, however many connect at once', async () => {
  const tries = await Promise.allSettled(Array.from({ length: 3 * PER_USER }, () => connectClient(bob)));
  const refused = tries.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  expect(refused).toHaveLength(2 * PER_USER);
  for (const { reason } of refused) {
    expect(reason.data).toMatchObject({ code: 'too_many_connections', retryAfter: 10 });
  }
  expect(server.context.services.connections.connectionsOf(bob.id)).toMatchObject(
    Array(PER_USER).fill({ address: expect.stringContaining('127.0.0.1'), since: expect.any(Date) }),
  );
  clients.pop()!.close();
  await until(() => server.context.services.connections.connectionsOf(bob.id).length < PER_USER);
  await connectClient(bob);
  // Other users are not affected.
  await connectClient(ada);
});

describe('a client that does not read', () => {
  /** Fills the channel until a client is disconnected. @returns how many messages it took. */
  async function fillUntilDisconnected(person: Person): Promise<number> {
    const body = '€'.repeat(8000);
    let sent = 0;
    const send = () => {
      const input = { clientMessageId: `${channelId}-${++sent}`, body };
      return server.api.post(`/api/channels/${channelId}/messages`, input, ada.token);
    };
    while (isConnected(person) && sent < 3000) await Promise.all(Array.from({ length: 20 }, send));
    expect(isConnected(person)).toBe(false);
    return sent;
  }

  test('over WebSocket is disconnected, and others receive everything', async () => {
    const before = await endedFor('too_slow');
    const slow = await connectRaw(server.url, bob.token);
    const reader = await connectClient(ada);
    slow.webSocket.pause();
    const sent = await fillUntilDisconnected(bob);
    expect(await endedFor('too_slow')).toBe(before + 1);
    await until(() => reader.messages.length === sent, 30_000);
    slow.webSocket.terminate();
  }, 120_000);

  test('over polling is disconnected', async () => {
    const before = await endedFor('too_slow');
    const lazy = supertest(server.url);
    const path = '/socket.io/?EIO=4&transport=polling';
    const { text } = await lazy.get(path).expect(200);
    const sid: string = JSON.parse(text.slice(1)).sid;
    const token = `40${JSON.stringify({ token: bob.token })}`;
    await lazy.post(`${path}&sid=${sid}`).set('Content-Type', 'text/plain').send(token).expect(200);
    await until(() => isConnected(bob));
    await fillUntilDisconnected(bob);
    expect(await endedFor('too_slow')).toBe(before + 1);
    await lazy.get(`${path}&sid=${sid}`).expect(400);
  }, 120_000);
});

test('an address that opens too many connections is refused for a while', async () => {
  const { throttle } = server.context.services;
  for (let open = true; open;) {
    open = await throttle.countCall(THROTTLES.connect, '127.0.0.1').then(
      () => true,
      () => false,
    );
  }
  const answer = await supertest(server.url).get('/socket.io/?EIO=4&transport=polling');
  expect(answer).toMatchObject({
    status: 429,
    body: { error: { code: 'rate_limited', retryAfter: expect.any(Number) } },
  });
  expect(answer.headers['retry-after']).toBe(String(answer.body.error.retryAfter));
  const webSocket = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const refusal = await new Promise<IncomingMessage>((resolve) =>
    webSocket.once('unexpected-response', (_request, response) => resolve(response)),
  );
  expect(refusal.statusCode).toBe(429);
  expect(Number(refusal.headers['retry-after'])).toBeGreaterThanOrEqual(1);
});

test('a stopping server answers what it has accepted, and spreads the reconnections of its clients', async () => {
  const closing = await startTestServer();
  const carl = await signUp(closing.api, 'carl');
  const room = await createRoom(closing.api, carl);
  const devices = await Promise.all(Array.from({ length: 8 }, () => connect(closing.url, carl.token)));
  const goodbyes = Promise.all(devices.map((device) => device.waitFor('server:closing')));
  const disconnects = Promise.all(devices.map(leaving));
  const sends = Array.from({ length: 30 }, (_, index) =>
    devices[0]!
      .ask('message:send', { channelId: room.channelId, clientMessageId: `m${index}`, body: 'x' })
      // A send without an answer was interrupted: its sender will retry it.
      .catch(() => ({ ok: false as const, error: { code: 'unavailable' } })),
  );
  await sends[0];
  await closing.close();
  const answers = await Promise.all(sends);
  const received = new Set(devices[1]!.messages.map(({ message }) => message.clientMessageId));
  for (const [index, answer] of answers.entries()) {
    // What was accepted was answered, and the rest changed nothing.
    expect(answer.ok).toBe(received.has(`m${index}`));
    if (!answer.ok) expect(answer.error.code).toBe('unavailable');
  }
  const times = (await goodbyes).map(({ reconnectAfter }) => reconnectAfter);
  for (const time of times) {
    expect(time).toBeGreaterThanOrEqual(500);
    expect(time).toBeLessThanOrEqual(2500);
  }
  expect(new Set(times).size).toBeGreaterThan(1);
  // A client reconnects by itself after this, but not after a disconnect by the server.
  expect(new Set(await disconnects)).toEqual(new Set(['transport close']));
  for (const device of devices) device.close();
});

/** Opens a TCP connection and sends the beginning of a request, which the server has read when this resolves. */
async function beginRequest({ url, context }: TestServer): Promise<TcpSocket> {
  const { hostname, port } = new URL(url);
  const socket = connectTcp(Number(port), hostname);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  socket.write('GET ');
  expect(context.refusing).toBe(false);
  return socket;
}

/** Completes a request. @returns the whole answer, after which the server closes the connection. */
function answerOn(socket: TcpSocket, rest: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    socket.setEncoding('utf8').on('data', (data: string) => (answer += data));
    socket.once('close', () => resolve(answer));
    socket.write(rest);
  });
}

test('a closing server refuses requests and handshakes on connections that were open before', async () => {
  const closing = await startTestServer();
  const late = await Promise.all([0, 1, 2, 3].map(() => beginRequest(closing)));
  // Keeps the server from ending.
  const upload = await beginRequest(closing);
  upload.write(
    '/api/auth/me HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  );
  await until(async () => (await counterOf(closing, 'parley_http_requests_in_flight')) > 0);
  const closed = closing.close();
  await until(() => closing.context.refusing);
  const end = 'HTTP/1.1\r\nHost: x\r\n';
  const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n`;
  const answers = await Promise.all(
    [
      `/api/auth/me ${end}`,
      `/health/ready ${end}`,
      `/socket.io/?EIO=4&transport=polling ${end}`,
      `/socket.io/?EIO=4&transport=websocket ${end}${upgrade}`,
    ].map((rest, index) => answerOn(late[index]!, `${rest}\r\n`)),
  );
  for (const answer of answers) {
    expect(answer).toMatch(/^HTTP\/1.1 503 /);
    expect(answer).toMatch(/^Connection: close\r$/m);
  }
  expect(answers[1]).toContain('"accepting":"failed"');
  for (const index of [0, 2, 3]) expect(answers[index]).toContain('"code":"unavailable"');
  upload.destroy();
  await closed;
});
