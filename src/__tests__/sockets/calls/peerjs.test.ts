import { createServer, type Server } from 'node:http';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { peerjsConfig } from '../../../config/peerjs.config';
import { createUpgradeRouter } from '../../../sockets/upgrade.router';
import { createLogger } from '../../../utils/logger';
import { logInAgain } from '../../fixtures/accounts';
import { expectSignalling, offerTo, type Peer, unusedId, usePeers } from '../../fixtures/peer';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { openRaw } from '../../fixtures/raw-client';
import { counterOf, startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

const FRAMES = 300;
const WAITING = 20;
const GIVE_UP_MS = 1000;

let server: TestServer;
let root: Person;
let ada: Person;
let bruno: Person;
const { start, register, isRegistered } = usePeers(() => server);

beforeAll(async () => {
  server = await startTestServer(
    { PEERJS_ENABLED: 'true' },
    {
      peerLimits: {
        ...peerjsConfig,
        rate: { windowMs: 600_000, frames: FRAMES, bytes: 64 * 1024 * 1024 },
        userRate: { windowMs: 600_000, frames: FRAMES + 100, bytes: 64 * 1024 * 1024 },
        backlog: { ...peerjsConfig.backlog, bytes: 256 * 1024, timeoutMs: GIVE_UP_MS },
        absent: { ...peerjsConfig.absent, timeoutMs: 500, framesPerPeer: WAITING },
      },
    },
  );
  root = await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ ada, bruno } = await signUpAll(server.api, 'ada', 'bruno'));
});
afterAll(() => server.close());

test('Socket.IO and PeerJS keep their WebSockets open side by side', async () => {
  const { channelId } = await createRoom(server.api, ada, [bruno]);
  const webSocketOnly = { transports: ['websocket'], reconnection: false };
  const chat = [
    await connect(server.url, ada.token, webSocketOnly),
    await connect(server.url, bruno.token, webSocketOnly),
  ];
  const peers = [await register(ada), await register(bruno)] as const;

  // engine.io used to close upgrades of other servers after one second, so this takes longer.
  const started = performance.now();
  let round = 0;
  while (performance.now() - started < 1500) {
    const clientMessageId = `round-${++round}`;
    const [sent] = await Promise.all([
      chat[0]!.ask('message:send', { channelId, clientMessageId, body: `Round ${round}` }),
      chat[1]!.waitForMessage(({ message }) => message.clientMessageId === clientMessageId),
      round <= 20 && expectSignalling(...peers),
    ]);
    expect(sent.ok).toBe(true);
  }
  await expectSignalling(...peers);
  expect(chat.map(({ socket }) => socket.connected)).toEqual([true, true]);
  expect(chat[1]!.messages).toHaveLength(round);
  for (const client of chat) client.close();
});

describe('a peer id', () => {
  test('cannot be taken by another session, even of the same user', async () => {
    const holder = await register(ada);
    for (const other of [bruno, await logInAgain(server.api, ada)]) {
      const thief = start(other.token, holder.id);
      await thief.closed;
      expect(thief.received).toEqual([{ type: 'ID-TAKEN', payload: { msg: 'ID is taken' } }]);
    }
    await expectSignalling(await register(bruno), holder);
  });

  test('passes from a half-open connection to the same session, also with a newer token', async () => {
    const old = await register(ada);
    old.webSocket.pause();
    const { body } = await server.api.post('/api/auth/refresh', { refreshToken: ada.refreshToken });
    const next = await register(body.accessToken, old.id);
    const other = await register(bruno);
    await expectSignalling(other, next);
    await expectSignalling(next, other);
    old.webSocket.resume();
    expect(await old.closed).toBe('taken_over');
    expect(old.received.map(({ type }) => type)).toEqual(['OPEN', 'ID-TAKEN']);
    await expectSignalling(other, next);
  });

  test('is free once its holder has sent LEAVE, who is closed and can send nothing with it any more', async () => {
    const holder = await register(ada);
    const other = await register(root);
    holder.webSocket.pause();
    holder.send({ type: 'LEAVE' });
    holder.send(offerTo(other, 'from the one who left'));
    await until(() => !isRegistered(ada));
    const next = await register(bruno, holder.id);
    holder.send(offerTo(other, 'from the one who left'));
    holder.webSocket.resume();
    expect(await holder.closed).toBe('left');
    await expectSignalling(other, next);
    await expectSignalling(next, other);
    expect(other.framesOf('OFFER')).toHaveLength(1);
  });
});

describe('a frame', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

  test('that does not fit the schema is refused and does no harm', async () => {
    const peer = await register(ada);
    const hostile = [
      'null',
      '{',
      '[]',
      '7',
      '{}',
      '{"type":"OFFER"}',
      '{"type":"OFFER","dst":""}',
      '{"type":"OFFER","dst":{"a":1}}',
      // The library converted it to a string in a timer, after it had waited for some time, which crashed the process.
      '{"type":"OFFER","dst":{"toString":1,"valueOf":1}}',
      `{"type":"OFFER","dst":"${'a'.repeat(65)}"}`,
      '{"type":"LEAVE","dst":{"toString":1,"valueOf":1}}',
      '{"type":"__proto__"}',
      '{"type":"EXPIRE","dst":"somebody"}',
      '{"type":"OPEN","dst":"somebody"}',
      `{"type":"OFFER","dst":"somebody","payload":${nested(100)}}`,
      nested(30_000),
    ];
    for (const text of hostile) peer.send(text);
    const refusal = { type: 'ERROR', payload: { code: 'validation_failed', msg: expect.any(String) } };
    await until(() => peer.framesOf('ERROR').length === hostile.length);
    expect(peer.framesOf('ERROR')).toEqual(Array(hostile.length).fill(refusal));
    await expectSignalling(peer, peer);
    peer.send(offerTo({ id: unusedId('nobody') }));
    await peer.receives(({ type }) => type === 'EXPIRE');
    expect((await server.api.get('/health/live')).status).toBe(200);
  });

  test('that is deeply nested does not close the connection of the recipient', async () => {
    const [sender, receiver] = [await register(ada), await register(bruno)];
    sender.send(`{"type":"OFFER","dst":"${receiver.id}","payload":${nested(20_000)}}`);
    await sender.receives(({ type }) => type === 'ERROR');
    await expectSignalling(sender, receiver);
    expect(receiver.framesOf('OFFER')).toHaveLength(1);
    expect(receiver.isOpen).toBe(true);
  });

  test('that is too large closes only the connection of its sender', async () => {
    const [sender, receiver] = [await register(ada), await register(bruno)];
    sender.send(offerTo(receiver, 'a'.repeat(peerjsConfig.maxFrameBytes)));
    await sender.closed;
    await expectSignalling(await register(ada), receiver);
  });

  test('carries the true sender, whatever the sender claims', async () => {
    const [sender, receiver] = [await register(ada), await register(bruno)];
    sender.send({ ...offerTo(receiver), src: 'somebody-else', extra: 1 });
    const got = await receiver.receives(({ type }) => type === 'OFFER');
    expect(got).toEqual({ type: 'OFFER', src: sender.id, dst: receiver.id, payload: { sdp: 'v=0' } });
  });

  test('of type LEAVE reaches the named peer', async () => {
    const [sender, receiver] = [await register(ada), await register(bruno)];
    sender.send({ type: 'LEAVE', dst: receiver.id });
    expect(await receiver.receives(({ type }) => type === 'LEAVE')).toMatchObject({ src: sender.id });
    await expectSignalling(sender, receiver);
  });

  test('beyond the rate limit closes the connection, and reconnecting does not raise the limit', async () => {
    const ended = () =>
      counterOf(server, 'connections_ended_total', { transport: 'peerjs', reason: 'too_many_packets' });
    for (const frames of [FRAMES, 100]) {
      const before = ended();
      const peer = await register(ada);
      for (let count = 0; count <= frames; count++) peer.send({ type: 'HEARTBEAT' });
      await peer.closed;
      expect(ended()).toBe(before + 1);
      const refusal = { code: 'rate_limited', retryAfter: expect.any(Number) };
      expect(peer.framesOf('ERROR').at(-1)).toMatchObject({ payload: refusal });
    }
    expect(await start(ada).closed).toBe('rate_limited');
    await register(bruno);
  });
});

describe('an absent peer', () => {
  test('gets its queued frames when it connects, in order', async () => {
    const [sender, id] = [await register(ada), unusedId('late')];
    const payloads = Array.from({ length: 10 }, (_, count) => count);
    for (const payload of payloads) sender.send(offerTo({ id }, payload));
    const receiver = await register(bruno, id);
    await receiver.receives(({ payload }) => payload === 9);
    expect(receiver.framesOf('OFFER').map(({ payload }) => payload)).toEqual(payloads);
  });

  test('causes EXPIRE after some time, and at once when too many frames wait', async () => {
    const [sender, id] = [await register(ada), unusedId('nobody')];
    for (let count = 0; count < WAITING + 7; count++) sender.send(offerTo({ id }, count));
    await sender.receives(({ type }) => type === 'EXPIRE');
    await until(() => sender.framesOf('EXPIRE').length === 8);
    expect(sender.framesOf('EXPIRE')).toEqual(Array(8).fill({ type: 'EXPIRE', src: id, dst: sender.id }));
    const receiver = await register(bruno, id);
    await expectSignalling(sender, receiver);
    expect(receiver.framesOf('OFFER')).toHaveLength(1);
  });

  test('does not make the server store more than a limit, whatever the ids', async () => {
    const sender = await register(ada);
    const payload = 'a'.repeat(60 * 1024);
    const ids = Array.from({ length: 100 }, () => unusedId('nobody'));
    for (const id of ids) sender.send(offerTo({ id }, payload));
    // Frames without space are answered at once, before any has expired: one EXPIRE for each frame.
    await until(() => sender.framesOf('EXPIRE').length === 100);
    const kept = ids.indexOf(sender.framesOf('EXPIRE')[0].src);
    expect(kept).toBeGreaterThan(1);
    expect(kept * payload.length).toBeLessThan(peerjsConfig.absent.bytesPerSender);
  });
});

describe('a peer that does not read', () => {
  const payload = 'a'.repeat(60 * 1024);

  /** Sends frames until one does not fit, which is answered as for an absent peer. */
  async function fill(sender: Peer, receiver: Peer): Promise<void> {
    receiver.webSocket.pause();
    for (let sent = 0; sender.framesOf('EXPIRE').length === 0 && sent < FRAMES - 10; sent++) {
      sender.send(offerTo(receiver, payload));
      // When this answer arrives, the server has processed the frame.
      await server.api.get('/health/live');
    }
    expect(sender.framesOf('EXPIRE')).not.toEqual([]);
  }

  test('stays connected when it reads in time, and its queue is limited', async () => {
    const [sender, receiver] = [await register(ada), await register(bruno)];
    await fill(sender, receiver);
    receiver.webSocket.resume();
    await until(() => receiver.framesOf('OFFER').length > 4);
    await expectSignalling(await register(ada), receiver);
    expect(receiver.isOpen).toBe(true);
  });

  test('is disconnected when its queue has been full for too long', async () => {
    const [sender, receiver] = [await register(ada), await register(bruno)];
    await fill(sender, receiver);
    const full = Date.now();
    await until(() => Date.now() > full + GIVE_UP_MS);
    sender.send(offerTo(receiver, payload));
    await until(() => !isRegistered(bruno));
    const slow = { transport: 'peerjs', reason: 'too_slow' };
    expect(counterOf(server, 'connections_ended_total', slow)).toBe(1);
  });
});

test.each([
  ['PeerJS', async () => (await register(ada)).webSocket],
  ['Socket.IO', async () => (await openRaw(server.url)).webSocket],
])('a client of %s that sends pings without reading the answers is disconnected', async (_name, open) => {
  const webSocket = await open();
  const closed = once(webSocket, 'close');
  const answered = once(webSocket, 'pong');
  webSocket.ping('first');
  expect(String((await answered)[0])).toBe('first');
  for (let count = 0; count < 1000; count++) webSocket.ping('a'.repeat(125));
  await closed;
});

test('the HTTP side issues ids, does not list peers, and serves nothing else', async () => {
  const id = await fetch(`${server.url}/peerjs/peerjs/id`);
  expect(await id.text()).toMatch(/^[0-9a-f-]{36}$/);
  expect(id.headers.get('x-powered-by')).toBeNull();
  const statusOf = async (path: string) => (await fetch(`${server.url}/peerjs${path}`)).status;
  expect(await statusOf('/peerjs/peers')).toBe(401);
  for (const path of ['/other/id', '/%E0%A4%A/id', '/peerjs/id/x']) expect(await statusOf(path)).toBe(404);
});

test('a connection that breaks during an upgrade does no harm', async () => {
  let upgraded: Socket | undefined;
  const route = { '/wait': (_request: unknown, socket: unknown) => void (upgraded = socket as Socket) };
  const listener: Server = createServer();
  listener.on('upgrade', createUpgradeRouter(route, createLogger('silent')));
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const client = connectTcp((listener.address() as AddressInfo).port, '127.0.0.1');
  client.write('GET /wait HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await until(() => upgraded !== undefined);
  client.resetAndDestroy();
  await until(() => upgraded!.destroyed);
  expect(upgraded!.errored).toMatchObject({ code: 'ECONNRESET' });
  await new Promise((resolve) => listener.close(resolve));
});
