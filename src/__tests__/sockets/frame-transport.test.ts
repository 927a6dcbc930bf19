import type { Socket as EngineSocket } from 'engine.io';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocket } from 'ws';
import { Backlog, PollResponses } from '../../sockets/backlog';
import { EncodedEvent } from '../../sockets/encoded-event';
import { encodeFrame, FrameEngine, FrameTransport } from '../../sockets/frame-transport';
import { until } from '../fixtures/until';

/** These tests fail if Engine.IO or ws no longer works as FrameTransport requires. */
let http: Server;
let engine: FrameEngine;
let url: string;
const clients: WebSocket[] = [];

beforeAll(async () => {
  http = createServer();
  engine = new FrameEngine({ pingInterval: 60_000 });
  http.on('upgrade', (request, socket, head) => engine.handleUpgrade(request as never, socket, head));
  http.on('request', (request, response) => engine.handleRequest(request as never, response));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  url = `127.0.0.1:${(http.address() as AddressInfo).port}/engine.io/?EIO=4`;
});
afterEach(() => {
  for (const client of clients.splice(0)) client.terminate();
});
afterAll(async () => {
  engine.close();
  await new Promise((resolve) => http.close(resolve));
});

/** Connects a client. @returns both sides, and what the client receives after the handshake. */
async function connect() {
  const client = new WebSocket(`ws://${url}&transport=websocket`);
  clients.push(client);
  const received: (string | Buffer)[] = [];
  const [[conn]] = (await Promise.all([once(engine, 'connection'), once(client, 'message')])) as unknown as [
    [EngineSocket],
  ];
  client.on('message', (data: Buffer, isBinary) => received.push(isBinary ? data : data.toString()));
  const { transport } = conn;
  if (!(transport instanceof FrameTransport)) throw new Error('The connection does not use FrameTransport.');
  const { socket } = conn.request as IncomingMessage;
  await until(() => transport.unsentBytes === 0);
  return { client, conn, transport, received, writes: countWrites(socket) };
}

function countWrites(socket: Socket) {
  const calls = { count: 0 };
  for (const name of ['_write', '_writev'] as const) {
    const original = socket[name]!.bind(socket) as (...parameters: unknown[]) => void;
    Object.assign(socket, { [name]: (...parameters: unknown[]) => (calls.count++, original(...parameters)) });
  }
  return calls;
}

const greeting = new EncodedEvent('greeting', { text: 'Grüße' });

test('what is sent in one turn arrives in order with one write, and Engine.IO holds nothing back', async () => {
  const { conn, received, writes, transport } = await connect();
  conn.send('first');
  greeting.sendTo(conn);
  conn.send('€'.repeat(100));
  greeting.sendTo(conn);
  expect(writes.count).toBe(0);
  await until(() => received.length === 4);
  expect(received).toEqual(['4first', '42["greeting",{"text":"Grüße"}]', `4${'€'.repeat(100)}`, received[1]]);
  expect(writes.count).toBe(1);
  expect(transport.unsentBytes).toBe(0);
  expect(conn).toMatchObject({ writeBuffer: [], sentCallbackFn: [], packetsFn: [] });
});

test('connections with the same frames share what is written', async () => {
  const written: unknown[] = [];
  const second = new EncodedEvent('second', {});
  for (const { conn } of [await connect(), await connect()]) {
    const { socket } = conn.request as IncomingMessage;
    jest.spyOn(socket, 'write').mockImplementation((buffer) => written.push(buffer) > 0);
    greeting.sendTo(conn);
    second.sendTo(conn);
  }
  await until(() => written.length === 2);
  expect(written[0]).toBe(written[1]);
});

test('frames of every length are those of the protocol', async () => {
  const { conn, received } = await connect();
  const lengths = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 200_000];
  for (const length of lengths) conn.send('x'.repeat(length));
  conn.send(Buffer.from([1, 2, 3]));
  await until(() => received.length === lengths.length + 1);
  expect(received.slice(0, -1).map(({ length }) => length - 1)).toEqual(lengths);
  expect(received.at(-1)).toEqual(Buffer.from([1, 2, 3]));
  expect(encodeFrame('')).toEqual(Buffer.from([0x81, 0]));
});

test('frames that wait for a client which does not read stay in order, and are limited', async () => {
  const { client, conn, received, transport } = await connect();
  const ended: number[] = [];
  new Backlog(conn, new PollResponses(), 8_000_000, (bytes) => ended.push(bytes));
  client.pause();
  let sent = 0;
  const send = (text: string) => new EncodedEvent(String(++sent), text).sendTo(conn);
  while (transport.waitingFrames < 10) {
    send('x'.repeat(100_000));
    await new Promise(setImmediate);
  }
  send('last');
  expect(ended).toEqual([]);
  client.resume();
  await until(() => received.length === sent, 30_000);
  expect(received.map((text) => (JSON.parse(text.slice(2) as string) as string[])[0])).toEqual(
    received.map((_, index) => String(index + 1)),
  );
  client.pause();
  for (let count = 0; conn.readyState === 'open' && count < 200; count++) send('x'.repeat(1_000_000));
  expect(conn.readyState).toBe('closed');
  expect(ended).toHaveLength(1);
  await until(() => transport.unsentBytes === 0);
}, 60_000);

test.each([false, true])(
  'what was sent before the connection is closed arrives before its end',
  async (discard) => {
    const { client, conn, received } = await connect();
    const end = once(client, 'close');
    greeting.sendTo(conn);
    conn.close(discard);
    greeting.sendTo(conn);
    await end;
    expect(received).toEqual(['42["greeting",{"text":"Grüße"}]']);
  },
);

test('a connection that is upgraded from polling loses nothing and keeps the order', async () => {
  const opened = once(engine, 'connection');
  const text = await (await fetch(`http://${url}&transport=polling`)).text();
  const [conn] = (await opened) as [EngineSocket];
  const backlog = new Backlog(conn, new PollResponses(), 1_000_000, () => {});
  const { sid } = JSON.parse(text.slice(1)) as { sid: string };
  greeting.sendTo(conn);
  expect(backlog.bytes).toBeGreaterThan(0);
  const client = new WebSocket(`ws://${url}&transport=websocket&sid=${sid}`);
  clients.push(client);
  const received: string[] = [];
  client.on('message', (data: Buffer) => received.push(data.toString()));
  await once(client, 'open');
  client.send('2probe');
  await until(() => received.includes('3probe'));
  client.send('5');
  await once(conn, 'upgrade');
  conn.send('after');
  greeting.sendTo(conn);
  await until(() => received.length === 4);
  expect(received).toEqual(['3probe', '42["greeting",{"text":"Grüße"}]', '4after', received[1]]);
  expect(backlog.bytes).toBe(0);
});
