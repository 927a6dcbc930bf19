import fc from 'fast-check';
import { request as httpRequest } from 'node:http';
import { connect as netConnect } from 'node:net';
import type { Socket } from 'socket.io-client';
import { connect, type Client } from '../fixtures/sockets';
import { createRoom, signUp, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';

let server: TestServer;
let ada: Person;
let channelId: string;
let client: Client;

/** Emits any payload; returns the acknowledgement. */
const emit = (event: string, ...parameters: unknown[]) =>
  (client.socket as unknown as Socket).timeout(10_000).emitWithAck(event, ...parameters) as Promise<any>;

beforeAll(async () => {
  server = await startTestServer();
  ada = await signUp(server.api, 'ada');
  ({ channelId } = await createRoom(server.api, ada));
  client = await connect(server.url, ada.token);
});
afterAll(async () => {
  client.close();
  await server.close();
});

test.each([
  ['no payload', []],
  ['null', [null]],
  ['a string', ['hello']],
  ['an array', [[]]],
  ['binary data', [Buffer.from('hello')]],
  ['an operator instead of an id', [{ channelId: { $ne: null }, clientMessageId: 'x', body: 'x' }]],
  ['an unknown field', [{ channelId: 'a'.repeat(24), clientMessageId: 'x', body: 'x', admin: true }]],
  ['a blank body', [{ channelId: 'a'.repeat(24), clientMessageId: 'x', body: ' \n ' }]],
  ['a body that is too long', [{ channelId: 'a'.repeat(24), clientMessageId: 'x', body: 'x'.repeat(8001) }]],
  ['a lone surrogate', [{ channelId: 'a'.repeat(24), clientMessageId: 'x', body: '\ud800' }]],
])('%s is answered with validation_failed', async (_name, parameters) => {
  expect(await emit('message:send', ...parameters)).toMatchObject({
    ok: false,
    error: { code: 'validation_failed' },
  });
});

test.each(['presence:report', 'typing:start', 'typing:stop', 'auth:refresh'])(
  '%s without a valid payload is answered with validation_failed',
  async (event) => {
    for (const parameters of [[], [null], [[]], ['x'], [{ active: 'yes' }], [{ channelId: { $ne: 1 } }]]) {
      expect(await emit(event, ...parameters)).toMatchObject({ error: { code: 'validation_failed' } });
    }
  },
);

test.each(['nonsense', '__proto__', 'constructor', 'toString', ''])(
  'the unknown event %j is answered',
  async (event) => {
    expect(await emit(event, {})).toMatchObject({ ok: false, error: { code: 'unknown_event' } });
  },
);

test('events without an acknowledgement are handled, and malformed ones do no harm', async () => {
  const raw = client.socket as unknown as Socket;
  raw.emit('message:send', { nonsense: true });
  raw.emit('message:send');
  raw.emit('message:send', { channelId, clientMessageId: 'no-ack', body: 'Fire and forget' });
  const received = await client.waitForMessage(({ message }) => message.clientMessageId === 'no-ack');
  expect(received.message.body).toBe('Fire and forget');
});

test('every hostile payload gets an error with a code, never internal_error', async () => {
  const event = fc.constantFrom(
    'message:send',
    'message:edit',
    'message:delete',
    'presence:report',
    'typing:start',
    'typing:stop',
  );
  const payload = fc.oneof(
    fc.jsonValue(),
    fc.record({
      channelId: fc.oneof(fc.constant(channelId), fc.jsonValue()),
      clientMessageId: fc.oneof(fc.string(), fc.jsonValue()),
      body: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
    }),
    fc.record({ active: fc.jsonValue() }),
    fc.record({ messageId: fc.oneof(fc.constant('f'.repeat(24)), fc.jsonValue()), body: fc.jsonValue() }),
  );
  await fc.assert(
    fc.asyncProperty(event, payload, async (name, value) => {
      const answer = await emit(name, value);
      if (!answer.ok) {
        expect(answer.error.code).toMatch(/^(validation_failed|not_found|client_message_id_reused)$/);
      }
    }),
    { numRuns: 200, endOnFailure: true },
  );
});

test('a packet over the limit closes that connection and no other', async () => {
  const victim = await connect(server.url, ada.token, { reconnection: false, transports: ['websocket'] });
  const closed = new Promise((resolve) => victim.socket.once('disconnect', resolve));
  (victim.socket as unknown as Socket).emit('message:send', { body: 'x'.repeat(300_000) });
  await closed;
  expect(client.socket.connected).toBe(true);
});

describe('an upgrade', () => {
  const upgrade = (path: string) =>
    new Promise<number>((resolve, reject) => {
      const request = httpRequest(server.url + path, {
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
          'Sec-WebSocket-Version': '13',
        },
      });
      request.on('response', (response) => resolve(response.statusCode ?? 0));
      request.on('upgrade', (response, socket) => {
        socket.destroy();
        resolve(response.statusCode ?? 0);
      });
      request.on('error', reject);
      request.end();
    });

  test.each(['/', '/nowhere', '/socket.iox', '/socket.io', '/api/auth/me'])(
    'of %s, which no server handles, is answered with 404',
    async (path) => {
      expect(await upgrade(path)).toBe(404);
    },
  );

  test('with a malformed URL is answered, and the server continues', async () => {
    const { port } = new URL(server.url);
    const socket = netConnect(Number(port), '127.0.0.1');
    const answer = new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('close', () => resolve(text));
    });
    socket.write('GET http://[ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1\.1 404 /);
    expect((await server.api.get('/health/live')).status).toBe(200);
  });
});
