import { createServer, type Server } from 'node:http';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { ObjectId } from 'mongodb';
import { peerjsConfig } from '../../../config/peerjs.config';
import { createUpgradeRouter } from '../../../sockets/upgrade.router';
import { createLogger } from '../../../utils/logger';
import { logInAgain } from '../../fixtures/accounts';
import {
  expectSignalling,
  joinCall,
  offerTo,
  type CallDevice,
  type Peer,
  unusedId,
  usePeers,
} from '../../fixtures/peer';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { openRaw } from '../../fixtures/raw-client';
import { counterOf, startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

const FRAMES = 300;
const WAITING = 20;
const GIVE_UP_MS = 1000;

let server: TestServer;
let ada: Person;
let bruno: Person;
let carla: Person;
const { start, register, registerAll, isRegistered } = usePeers(() => server);

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
  await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ ada, bruno, carla } = await signUpAll(server.api, 'ada', 'bruno', 'carla'));
});
afterAll(() => server.close());

/** Whether the participants of the call of a device are connected. */
async function connectedIn({ callId, person }: CallDevice): Promise<boolean[]> {
  const { body } = await server.api.get(`/api/video-calls/${callId}`, person.token);
  return body.call.participants.map(({ connected }: { connected: boolean }) => connected);
}

test('Socket.IO and PeerJS keep their WebSockets open side by side', async () => {
  const { channelId } = await createRoom(server.api, ada, [bruno]);
  const webSocketOnly = { transports: ['websocket'], reconnection: false };
  const chat = [
    await connect(server.url, ada.token, webSocketOnly),
    await connect(server.url, bruno.token, webSocketOnly),
  ];
  const peers = await registerAll(ada, bruno);

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
  // The call of the peers has a message in another channel.
  const inChannel = chat[1]!.messages.filter(({ message }) => message.channelId === channelId);
  expect(inChannel).toHaveLength(round);
  for (const client of chat) client.close();
});

describe('a peer id', () => {
  test('cannot be taken by another session, even of the same user', async () => {
    const [device, other] = await joinCall(server.api, ada, bruno);
    const holder = await register(device);
    const { callTickets, sessions } = server.context.services;
    for (const { token } of [bruno, await logInAgain(server.api, ada)]) {
      const { caller } = await sessions.authenticate(token, '');
      const callId = new ObjectId(device.callId);
      const thief = start({ id: holder.id, ...callTickets.issue({ ...caller, callId, peerId: holder.id }) });
      expect(await thief.closed).toBe('not_in_call');
      const refusal = { code: 'not_in_call', msg: expect.any(String) };
      expect(thief.received).toEqual([{ type: 'ERROR', payload: refusal }]);
    }
    await expectSignalling(await register(other), holder);
  });

  test('that is registered for one call cannot be taken for another', async () => {
    const [device, other] = await joinCall(server.api, ada, bruno);
    const [holder, sender] = [await register(device), await register(other)];
    const [elsewhere] = await joinCall(server.api, carla);
    const { callTickets, sessions } = server.context.services;
    const callId = new ObjectId(elsewhere.callId);
    const { videoCalls } = server.context.database.collections;
    // Not while the message about the call is being written: then the call is replaced.
    await until(async () => (await videoCalls.findOne({ _id: callId, recordDue: true })) === null);
    await videoCalls.updateOne({ _id: callId }, { $set: { 'participants.0.place.peerId': holder.id } });
    const { caller } = await sessions.authenticate(carla.token, '');
    const thief = start({ id: holder.id, ...callTickets.issue({ ...caller, callId, peerId: holder.id }) });
    await thief.closed;
    expect(thief.received).toEqual([{ type: 'ID-TAKEN', payload: { msg: 'ID is taken' } }]);
    await expectSignalling(sender, holder);
  });

  test.each([
    ['with the same ticket', (device: CallDevice) => Promise.resolve(device)],
    [
      'with a newer ticket and access token',
      async (device: CallDevice) => {
        const { refreshToken } = device.person;
        const { accessToken } = (await server.api.post('/api/auth/refresh', { refreshToken })).body;
        const path = `/api/video-calls/${device.callId}/join`;
        const { body } = await server.api.post(path, { peerId: device.id }, accessToken);
        return { ...device, id: body.connection.peerId, ticket: body.connection.ticket };
      },
    ],
  ])('passes from a half-open connection to the same device, %s', async (_what, renew) => {
    const [device, otherDevice] = await joinCall(server.api, ada, bruno);
    const old = await register(device);
    old.webSocket.pause();
    const next = await register(await renew(device));
    expect(next.id).toBe(old.id);
    const other = await register(otherDevice);
    await expectSignalling(other, next);
    await expectSignalling(next, other);
    old.webSocket.resume();
    expect(await old.closed).toBe('taken_over');
    expect(old.received.map(({ type }) => type)).toEqual(['OPEN', 'ID-TAKEN']);
    await expectSignalling(other, next);
    expect(await connectedIn(device)).toEqual([true, true]);
  });

  test('belongs to one of many connections with its ticket that are opened at the same time', async () => {
    const [device, otherDevice] = await joinCall(server.api, ada, bruno);
    const other = await register(otherDevice);
    const many = Array.from({ length: 8 }, () => start(device));
    await until(() => many.every(({ received }) => received.length > 0));
    await until(() => many.filter(({ isOpen }) => isOpen).length === 1);
    await expectSignalling(
      other,
      many.find(({ isOpen }) => isOpen)!,
    );
    for (const { received } of many) expect(['OPEN', 'ID-TAKEN']).toContain(received[0].type);
    expect(await connectedIn(device)).toEqual([true, true]);
  });

  test('is free once its holder has sent LEAVE, who is closed and can send nothing with it any more', async () => {
    const [device, otherDevice] = await joinCall(server.api, ada, carla);
    const [holder, other] = [await register(device), await register(otherDevice)];
    holder.webSocket.pause();
    holder.send({ type: 'LEAVE' });
    holder.send(offerTo(other, 'from the one who left'));
    await until(() => !isRegistered(ada));
    const next = await register(device);
    holder.send(offerTo(other, 'from the one who left'));
    holder.webSocket.resume();
    expect(await holder.closed).toBe('left');
    await expectSignalling(other, next);
    await expectSignalling(next, other);
    expect(other.framesOf('OFFER')).toHaveLength(1);
  });
});

describe('peers of different calls', () => {
  test('are absent for each other', async () => {
    const [[sender, friend], receiver] = await Promise.all([
      registerAll(ada, bruno),
      registerAll(carla).then(([peer]) => peer),
    ]);
    for (const [from, to] of [
      [sender, receiver],
      [receiver, sender],
    ] as const) {
      for (const type of ['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE']) from.send({ ...offerTo(to), type });
      const expired = await from.receives(({ type }) => type === 'EXPIRE');
      expect(expired).toEqual({ type: 'EXPIRE', src: to.id, dst: from.id });
    }
    await expectSignalling(sender, friend);
    await expectSignalling(receiver, receiver);
    const received = (peer: Peer) => peer.received.map(({ type }) => type);
    expect(received(receiver)).toEqual(['OPEN', 'EXPIRE', 'OFFER']);
    expect(received(sender)).toEqual(['OPEN', 'EXPIRE']);
  });

  test('do not receive frames that wait for them', async () => {
    const [sender] = await registerAll(ada, bruno);
    const [device, otherDevice] = await joinCall(server.api, carla, await signUp(server.api, 'dora'));
    const other = await register(otherDevice);
    // As many as may wait for one peer.
    for (let count = 0; count < WAITING; count++) sender.send(offerTo(device, 'from another call'));
    await server.api.get('/health/live');
    other.send(offerTo(device, 'from this call'));
    const receiver = await register(device);
    await receiver.receives(({ type }) => type === 'OFFER');
    await sender.receives(({ type }) => type === 'EXPIRE');
    await expectSignalling(other, receiver);
    expect(receiver.framesOf('OFFER')).toHaveLength(2);
  });
});

describe('a frame', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

  test('that does not fit the schema is refused and does no harm', async () => {
    const [peer] = await registerAll(ada);
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
    const [sender, receiver] = await registerAll(ada, bruno);
    sender.send(`{"type":"OFFER","dst":"${receiver.id}","payload":${nested(20_000)}}`);
    await sender.receives(({ type }) => type === 'ERROR');
    await expectSignalling(sender, receiver);
    expect(receiver.framesOf('OFFER')).toHaveLength(1);
    expect(receiver.isOpen).toBe(true);
  });

  test('that is too large closes only the connection of its sender', async () => {
    const [device, otherDevice] = await joinCall(server.api, ada, bruno);
    const [sender, receiver] = [await register(device), await register(otherDevice)];
    sender.send(offerTo(receiver, 'a'.repeat(peerjsConfig.maxFrameBytes)));
    await sender.closed;
    await expectSignalling(await register(device), receiver);
  });

  test('carries the true sender, whatever the sender claims', async () => {
    const [sender, receiver] = await registerAll(ada, bruno);
    sender.send({ ...offerTo(receiver), src: 'somebody-else', extra: 1 });
    const got = await receiver.receives(({ type }) => type === 'OFFER');
    expect(got).toEqual({ type: 'OFFER', src: sender.id, dst: receiver.id, payload: { sdp: 'v=0' } });
  });

  test('of type LEAVE reaches the named peer', async () => {
    const [sender, receiver] = await registerAll(ada, bruno);
    sender.send({ type: 'LEAVE', dst: receiver.id });
    expect(await receiver.receives(({ type }) => type === 'LEAVE')).toMatchObject({ src: sender.id });
    await expectSignalling(sender, receiver);
  });

  test('beyond the rate limit closes the connection, and reconnecting does not raise the limit', async () => {
    const ended = () =>
      counterOf(server, 'parley_connections_ended_total', { protocol: 'peerjs', reason: 'too_many_packets' });
    const [device, otherDevice] = await joinCall(server.api, ada, bruno);
    for (const frames of [FRAMES, 100]) {
      const before = await ended();
      const peer = await register(device);
      for (let count = 0; count <= frames; count++) peer.send({ type: 'HEARTBEAT' });
      await peer.closed;
      expect(await ended()).toBe(before + 1);
      const refusal = { code: 'rate_limited', retryAfter: expect.any(Number) };
      expect(peer.framesOf('ERROR').at(-1)).toMatchObject({ payload: refusal });
    }
    expect(await start(device).closed).toBe('rate_limited');
    await register(otherDevice);
  });
});

describe('an absent peer', () => {
  test('gets its queued frames when it connects, in order', async () => {
    const [device, late] = await joinCall(server.api, ada, bruno);
    const sender = await register(device);
    const payloads = Array.from({ length: 10 }, (_, count) => count);
    for (const payload of payloads) sender.send(offerTo(late, payload));
    const receiver = await register(late);
    await receiver.receives(({ payload }) => payload === 9);
    expect(receiver.framesOf('OFFER').map(({ payload }) => payload)).toEqual(payloads);
  });

  test('causes EXPIRE after some time, and at once when too many frames wait', async () => {
    const [device, late] = await joinCall(server.api, ada, bruno);
    const [sender, { id }] = [await register(device), late];
    // It was connected before.
    await (await register(late)).close();
    await until(() => !isRegistered(bruno));
    for (let count = 0; count < WAITING + 7; count++) sender.send(offerTo({ id }, count));
    await sender.receives(({ type }) => type === 'EXPIRE');
    await until(() => sender.framesOf('EXPIRE').length === 8);
    expect(sender.framesOf('EXPIRE')).toEqual(Array(8).fill({ type: 'EXPIRE', src: id, dst: sender.id }));
    const receiver = await register(late);
    await expectSignalling(sender, receiver);
    expect(receiver.framesOf('OFFER')).toHaveLength(1);
  });

  test('does not make the server store more than a limit, whatever the ids', async () => {
    const [sender] = await registerAll(ada);
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
    const [sender, receiver, third] = await registerAll(ada, bruno, carla);
    await fill(sender, receiver);
    receiver.webSocket.resume();
    await until(() => receiver.framesOf('OFFER').length > 4);
    await expectSignalling(third, receiver);
    expect(receiver.isOpen).toBe(true);
  });

  test('is disconnected when its queue has been full for too long', async () => {
    const [sender, receiver] = await registerAll(ada, bruno);
    await fill(sender, receiver);
    const full = Date.now();
    await until(() => Date.now() > full + GIVE_UP_MS);
    sender.send(offerTo(receiver, payload));
    await until(() => !isRegistered(bruno));
    const slow = { protocol: 'peerjs', reason: 'too_slow' };
    expect(await counterOf(server, 'parley_connections_ended_total', slow)).toBe(1);
  });
});

test.each([
  ['PeerJS', async () => (await registerAll(ada))[0].webSocket],
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

test('the HTTP side answers the id of a ticket, does not list peers, and serves nothing else', async () => {
  const [device] = await joinCall(server.api, ada);
  const get = (path: string, ticket?: string) => {
    const headers = ticket === undefined ? {} : { Authorization: `Bearer ${ticket}` };
    return fetch(`${server.url}/peerjs${path}`, { headers });
  };
  for (const id of [await get('/peerjs/id', device.ticket), await get(`/peerjs/id?token=${device.ticket}`)]) {
    expect([id.status, await id.text()]).toEqual([200, device.id]);
    expect(id.headers.get('x-powered-by')).toBeNull();
  }
  for (const [code, ticket] of [
    ['unauthenticated', undefined],
    ['unauthenticated', ''],
    ['ticket_invalid', 'invented'],
    ['ticket_invalid', ada.token],
  ] as const) {
    const id = await get('/peerjs/id', ticket);
    expect([id.status, await id.json()]).toMatchObject([401, { error: { code } }]);
  }
  for (const path of ['/peerjs/peers', `/peerjs/peers?token=${device.ticket}`]) {
    expect((await get(path, device.ticket)).status).toBe(401);
  }
  for (const path of ['/other/id', '/%E0%A4%A/id', '/peerjs/id/x', '/id']) {
    expect((await get(path, device.ticket)).status).toBe(404);
  }
  expect((await fetch(`${server.url}/peerjs/peerjs/id`, { method: 'POST' })).status).toBe(404);
  await server.api.post('/api/auth/logout', {}, ada.token);
  const revoked = await get('/peerjs/id', device.ticket);
  expect([revoked.status, await revoked.json()]).toMatchObject([401, { error: { code: 'session_revoked' } }]);
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
