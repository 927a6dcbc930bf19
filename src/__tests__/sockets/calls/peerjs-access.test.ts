import { once } from 'node:events';
import { request } from 'node:http';
import { ObjectId } from 'mongodb';
import { peerjsConfig } from '../../../config/peerjs.config';
import { CallTickets, type TicketHolder } from '../../../services/calls/call-tickets';
import { logInAgain } from '../../fixtures/accounts';
import type { Answer } from '../../fixtures/api';
import { type CallDevice, expectSignalling, joinCall, offerTo, Peer, usePeers } from '../../fixtures/peer';
import { signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';

const PER_ADDRESS = 20;
const PER_USER = 10;

let server: TestServer;
let root: Person;
let ada: Person;
let bruno: Person;
const { start, register, registerAll, isRegistered } = usePeers(() => server);

beforeAll(async () => {
  const absent = { ...peerjsConfig.absent, timeoutMs: 500 };
  server = await startTestServer(
    {
      PEERJS_ENABLED: 'true',
      PEERJS_PER_ADDRESS: String(PER_ADDRESS),
      SOCKETS_PER_USER: String(PER_USER),
    },
    { peerLimits: { ...peerjsConfig, absent } },
  );
  root = await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ ada, bruno } = await signUpAll(server.api, 'ada', 'bruno'));
});
afterEach(() => jest.restoreAllMocks());
afterAll(() => server.close());

/** Issues a ticket as the server would have done at some time. @param changes override what it is bound to. */
async function ticketFor(
  { person, callId, id }: CallDevice,
  changes: Partial<TicketHolder> = {},
  now: () => number = Date.now,
): Promise<string> {
  const { jwtSecret } = server.context.config.auth;
  const { caller } = await server.context.services.sessions.authenticate(person.token, '');
  const { userId, sessionId } = caller;
  const holder = { userId, sessionId, callId: new ObjectId(callId), peerId: id };
  return new CallTickets(jwtSecret, undefined, { now }).issue({ ...holder, ...changes }).ticket;
}

const inCall = (action: string, { callId, person }: CallDevice, body = {}): Promise<Answer> =>
  server.api.post(`/api/video-calls/${callId}/${action}`, body, person.token);

const suspend = ({ id }: Person) =>
  server.api.post(`/api/admin/users/${id}/suspend`, { reason: 'x' }, root.token);

const setMaintenance = (enabled: boolean) =>
  server.api.call('put', '/api/admin/maintenance', { body: { enabled, message: '' }, token: root.token });

/** Starts a call of two in a direct conversation. */
async function callOfTwo(caller: Person, callee: Person): Promise<[CallDevice, CallDevice]> {
  const started = await server.api.post('/api/video-calls', { userId: callee.id }, caller.token);
  const callId: string = started.body.call.id;
  const accepted = await server.api.post(`/api/video-calls/${callId}/accept`, {}, callee.token);
  return [
    { ...started.body.connection, id: started.body.connection.peerId, callId, person: caller },
    { ...accepted.body.connection, id: accepted.body.connection.peerId, callId, person: callee },
  ];
}

/** Calls back when a peer has been recorded in its call, but is not registered yet. */
function whileAdmitted(change: (device: { userId: ObjectId }) => Promise<unknown>): void {
  const { callConnections } = server.context.services;
  const attach = callConnections.attachPeer.bind(callConnections);
  jest.spyOn(callConnections, 'attachPeer').mockImplementationOnce(async (peer) => {
    await attach(peer);
    await change(peer);
  });
}

/** Whether the participants of the call of a device are connected. */
async function connectedIn({ callId, person }: CallDevice): Promise<boolean[]> {
  const { body } = await server.api.get(`/api/video-calls/${callId}`, person.token);
  return body.call.participants.map(({ connected }: { connected: boolean }) => connected);
}

describe('registration of a peer', () => {
  test.each<
    [
      string,
      string,
      (
        own: CallDevice,
        other: CallDevice,
      ) => Pick<CallDevice, 'id' | 'ticket'> | Promise<Pick<CallDevice, 'id' | 'ticket'>>,
    ]
  >([
    ['no ticket', 'unauthenticated', ({ id }) => ({ id, ticket: '' })],
    ['an invented ticket', 'ticket_invalid', ({ id }) => ({ id, ticket: 'invented' })],
    ['an access token', 'ticket_invalid', ({ id }) => ({ id, ticket: ada.token })],
    ['a refresh token', 'ticket_invalid', ({ id }) => ({ id, ticket: ada.refreshToken })],
    ['the ticket of another peer id', 'ticket_invalid', ({ id }, other) => ({ ...other, id })],
    ['a peer id of its own choice', 'ticket_invalid', (own) => ({ ...own, id: 'chosen' })],
    ['an id that PeerJS would not accept', 'validation_failed', (own) => ({ ...own, id: 'a/../b' })],
    ['an id that is too long', 'validation_failed', (own) => ({ ...own, id: 'a'.repeat(65) })],
    [
      'an expired ticket',
      'ticket_expired',
      async (own) => ({ ...own, ticket: await ticketFor(own, {}, () => Date.now() - 306_000) }),
    ],
    [
      'a ticket of a user who is not in the call',
      'not_in_call',
      async (own) => ({ ...own, ticket: await ticketFor({ ...own, person: root }) }),
    ],
    [
      'a ticket of another user for this session',
      'session_revoked',
      async (own) => ({ ...own, ticket: await ticketFor(own, { userId: new ObjectId(root.id) }) }),
    ],
    [
      'a ticket for an earlier peer id',
      'not_in_call',
      async (own) => {
        await inCall('join', own);
        return own;
      },
    ],
    [
      'a ticket of an earlier session',
      'not_in_call',
      async (own) => {
        const person = await logInAgain(server.api, ada);
        return { ...own, ticket: await ticketFor({ ...own, person }) };
      },
    ],
    [
      'a ticket for an unknown call',
      'not_found',
      async (own) => ({ ...own, ticket: await ticketFor(own, { callId: new ObjectId() }) }),
    ],
    [
      'a ticket for the call of others',
      'not_in_call',
      async (own) => {
        const [elsewhere] = await joinCall(server.api, await signUp(server.api, 'carla'));
        const ticket = await ticketFor(own, {
          callId: new ObjectId(elsewhere.callId),
          peerId: elsewhere.id,
        });
        return { id: elsewhere.id, ticket };
      },
    ],
    [
      'the ticket of a call that its user has left',
      'not_in_call',
      async (own) => {
        expect((await inCall('leave', own)).status).toBe(200);
        return own;
      },
    ],
    [
      'the ticket of a call that has ended',
      'call_ended',
      async (own) => {
        expect((await inCall('end', own)).status).toBe(200);
        return own;
      },
    ],
    [
      'the ticket of a session that has ended',
      'session_revoked',
      async (own) => {
        await server.api.post('/api/auth/logout', {}, ada.token);
        return own;
      },
    ],
    [
      'the ticket of a suspended user',
      'session_revoked',
      async (own) => {
        expect((await suspend(ada)).status).toBe(200);
        return own;
      },
    ],
  ])('is refused with %s', async (_what, code, prepare) => {
    const [own, other] = await joinCall(server.api, ada, bruno);
    const peer = start(await prepare(own, other));
    // Real clients send what they have as soon as the WebSocket is open.
    peer.webSocket.on('open', () => peer.send(offerTo({ id: 'x' })));
    expect(await peer.closed).toBe(code);
    expect(peer.received).toEqual([{ type: 'ERROR', payload: { code, msg: expect.any(String) } }]);
    expect(isRegistered(ada)).toBe(false);
  });

  test('that continues to send after a refusal without reading it is closed', async () => {
    const peer = start({ id: 'x', ticket: 'invented' });
    // Sent before the client can read that it was closed.
    peer.webSocket.once('open', () => peer.webSocket.pause());
    await once(peer.webSocket, 'open');
    let isCut = false;
    peer.webSocket.once('error', () => (isCut = true));
    void peer.closed.then(() => (isCut = true));
    const frame = offerTo({ id: 'x' }, 'a'.repeat(60_000));
    let sent = 0;
    await until(() => {
      if (isCut || sent === 200) return true;
      peer.send(frame);
      sent++;
      return false;
    });
    expect(sent).toBeLessThan(200);
  });

  test.each<[string, string, (own: CallDevice) => Promise<unknown>]>([
    [
      'the session ends',
      'session_revoked',
      ({ person }) => server.context.services.sessions.revokeAll(new ObjectId(person.id), 'revoked'),
    ],
    ['the user leaves the call', 'not_in_call', (own) => inCall('leave', own)],
    ['the user joins on another device', 'not_in_call', (own) => inCall('join', own)],
    ['the call ends', 'call_ended', (own) => inCall('end', own)],
    ['maintenance begins', 'maintenance', () => setMaintenance(true)],
  ])('is refused when %s during it', async (_what, code, change) => {
    const [own] = await joinCall(server.api, ada, bruno);
    whileAdmitted(() => change(own));
    const peer = start(own);
    expect(await peer.closed).toBe(code);
    expect(peer.received).toEqual([{ type: 'ERROR', payload: expect.objectContaining({ code }) }]);
    expect(isRegistered(ada)).toBe(false);
    await setMaintenance(false);
  });

  test('follows the latest version of the call, in whichever order its events arrive', async () => {
    const [own, otherDevice] = await joinCall(server.api, ada, bruno);
    const { callConnections } = server.context.services;
    const attach = callConnections.attachPeer.bind(callConnections);
    jest.spyOn(callConnections, 'attachPeer').mockImplementationOnce(async (peer) => {
      const { videoCalls } = server.context.database.collections;
      const call = (await videoCalls.findOne({ _id: peer.callId }))!;
      const participants = call.participants.map((one) => ({ ...one, state: 'left' as const, place: null }));
      await attach(peer);
      // An event of an earlier version arrives late.
      await server.context.bus.deliver({
        type: 'call.changed',
        call: { ...call, participants },
        audience: null,
        rung: [],
        silent: [],
        removed: [],
      });
    });
    await expectSignalling(await register(own), await register(otherDevice));
  });

  /** Sends a request with a ticket that asks for a WebSocket, but is no valid handshake. */
  async function sendBrokenHandshake({ id, ticket }: CallDevice): Promise<void> {
    const query = new URLSearchParams({ key: 'peerjs', id, token: ticket });
    const headers = { Connection: 'Upgrade', Upgrade: 'websocket' };
    const sent = request(`${server.url}/peerjs/peerjs?${query.toString()}`, { headers }).end();
    const [{ statusCode }] = (await once(sent, 'response')) as [{ statusCode: number }];
    expect(statusCode).toBe(400);
  }

  test.each<[string, (own: CallDevice) => Promise<unknown>]>([
    ['its request turns out to be no valid handshake', sendBrokenHandshake],
    [
      'its client goes away during it',
      async (own) => {
        const gone = new Promise<void>((resolve) => {
          whileAdmitted(async () => {
            expect(await connectedIn(own)).toEqual([true, true]);
            peer.webSocket.terminate();
            await peer.closed;
            resolve();
          });
        });
        const peer = start(own);
        await gone;
      },
    ],
  ])('leaves nothing behind when %s', async (_what, attempt) => {
    const [own, otherDevice] = await joinCall(server.api, ada, bruno);
    await register(otherDevice);
    const attach = jest.spyOn(server.context.services.callConnections, 'attachPeer');
    await attempt(own);
    expect(attach).toHaveBeenCalled();
    await until(async () => (await connectedIn(own))[0] === false);
    expect(isRegistered(ada)).toBe(false);
    const { peers } = server.context.services;
    // No place is still reserved.
    const places = Array.from({ length: PER_USER }, () => peers.reserve(new ObjectId(ada.id)));
    for (const release of places) release();
    expect((await register(own)).isOpen).toBe(true);
  });

  test('accepts frames that a client sends before OPEN', async () => {
    const [own, otherDevice] = await joinCall(server.api, ada, bruno);
    const receiver = await register(otherDevice);
    const sender = start(own);
    sender.webSocket.on('open', () => sender.send(offerTo(receiver, 'early')));
    expect(await receiver.receives(({ type }) => type === 'OFFER')).toMatchObject({ payload: 'early' });
  });

  /** Lets no peer be admitted before the returned function is called. */
  function holdAdmissions() {
    const { callConnections } = server.context.services;
    const attach = callConnections.attachPeer.bind(callConnections);
    let release!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    const held = jest.spyOn(callConnections, 'attachPeer').mockImplementation(async (peer) => {
      await released;
      await attach(peer);
    });
    return { count: () => held.mock.calls.length, release };
  }

  test('is limited for each user', async () => {
    const [own, otherDevice] = await joinCall(server.api, ada, bruno);
    await register(own);
    // The open connection does not count, since each of the others would take it over.
    const admissions = holdAdmissions();
    const many = Array.from({ length: PER_USER }, () => start(own));
    await until(() => admissions.count() === PER_USER);
    expect(await start(own).closed).toBe('too_many_connections');
    start(otherDevice);
    await until(() => admissions.count() === PER_USER + 1);
    admissions.release();
    // Each connection takes over from the one before it. The last one stays.
    let replaced = 0;
    for (const { closed } of many) void closed.then(() => replaced++);
    await until(() => replaced === many.length - 1);
    expect(server.context.services.peers.connectionsOf(ada.id)).toHaveLength(1);
    expect((await register(own)).isOpen).toBe(true);
  });

  test('is limited for each address', async () => {
    const [own, otherDevice] = await joinCall(server.api, ada, bruno);
    const admissions = holdAdmissions();
    const open = (device: CallDevice) => Array.from({ length: PER_ADDRESS / 2 }, () => start(device));
    const [one] = [...open(own), ...open(otherDevice)];
    await until(() => admissions.count() === PER_ADDRESS);
    const beyond = start(own);
    const [, response] = (await once(beyond.webSocket, 'unexpected-response')) as [
      unknown,
      { statusCode: number; headers: object },
    ];
    expect(response).toMatchObject({ statusCode: 429, headers: { 'retry-after': '10' } });
    one!.webSocket.terminate();
    admissions.release();
    await until(() => isRegistered(ada) && isRegistered(bruno));
    await register(own);
  });
});

describe('a block', () => {
  test('ends the signalling of a call of two, before it returns', async () => {
    const devices = await callOfTwo(ada, bruno);
    const [peer, other] = [await register(devices[0]), await register(devices[1])];
    await expectSignalling(peer, other);
    await server.api.call('put', `/api/users/me/blocks/${ada.id}`, { token: bruno.token });
    expect([ada, bruno].map(isRegistered)).toEqual([false, false]);
    for (const each of [peer, other]) {
      expect(await each.closed).toBe('call_ended');
      expect(each.received.at(-1)).toMatchObject({ type: 'ERROR', payload: { code: 'call_ended' } });
    }
  });

  test('leaves two members of a group call connected', async () => {
    const [peer, other] = await registerAll(ada, bruno);
    await server.api.call('put', `/api/users/me/blocks/${ada.id}`, { token: bruno.token });
    await expectSignalling(peer, other);
    await expectSignalling(other, peer);
  });
});

describe('the connection of a peer is closed', () => {
  const sessionEnd = ['session_ended', 'session_revoked'] as const;
  const callLeft = ['not_in_call', 'not_in_call'] as const;
  test.each<[string, readonly [string, string], (own: CallDevice, other: CallDevice) => Promise<Answer>]>([
    ['a log-out', sessionEnd, () => server.api.post('/api/auth/logout', {}, ada.token)],
    ['a suspension', sessionEnd, () => suspend(ada)],
    ['leaving the call', callLeft, (own) => inCall('leave', own)],
    [
      'joining on another device',
      callLeft,
      async (own) => inCall('join', { ...own, person: await logInAgain(server.api, ada) }),
    ],
    [
      'a removal from the group',
      callLeft,
      async (_own, other) => {
        const { body } = await server.api.get(`/api/video-calls/${other.callId}`, other.person.token);
        const path = `/api/groups/${body.call.groupId}/members/${ada.id}`;
        return server.api.delete(path, other.person.token);
      },
    ],
  ])('with %s, before that returns', async (_what, [reason, code], end) => {
    const [otherDevice, device] = await joinCall(server.api, bruno, ada);
    const [peer, other] = [await register(device), await register(otherDevice)];
    peer.webSocket.pause();
    expect((await end(device, otherDevice)).status).toBeLessThan(300);
    expect(isRegistered(ada)).toBe(false);
    peer.send(offerTo(other));
    other.send(offerTo(peer));
    await other.receives(({ type }) => type === 'EXPIRE');
    peer.webSocket.resume();
    expect(await peer.closed).toBe(reason);
    expect(peer.received.map(({ payload }) => payload?.code)).toEqual([undefined, code]);
    expect(other.framesOf('OFFER')).toEqual([]);
    await expectSignalling(other, other);
  });

  test('when the call ends, before that returns', async () => {
    const [device, otherDevice] = await joinCall(server.api, ada, bruno);
    const peers = [await register(device), await register(otherDevice)];
    expect((await inCall('end', device)).status).toBe(200);
    expect([ada, bruno].map(isRegistered)).toEqual([false, false]);
    for (const peer of peers) {
      expect(await peer.closed).toBe('call_ended');
      expect(peer.received.map(({ payload }) => payload?.code)).toEqual([undefined, 'call_ended']);
    }
  });

  test('when the server detects by itself that its session has ended', async () => {
    const [peer] = await registerAll(ada);
    const { database, services } = server.context;
    const { sessionId } = services.peers.connectionsOf(ada.id)[0]!;
    await database.collections.sessions.updateOne({ _id: sessionId }, { $set: { revokedAt: new Date() } });
    await services.sessionRecheck.run();
    expect(await peer.closed).toBe('session_ended');
  });

  test('when the server detects by itself that its user has left the call', async () => {
    const [device] = await joinCall(server.api, ada, bruno);
    const peer = await register(device);
    const { bus, database } = server.context;
    const user = { _id: new ObjectId(device.callId), 'participants.userId': new ObjectId(ada.id) };
    await database.collections.videoCalls.updateOne(user, {
      $set: { 'participants.$.state': 'left', 'participants.$.place': null },
      $inc: { version: 1 },
    });
    await bus.deliver({ type: 'events.missed' });
    expect(await peer.closed).toBe('not_in_call');
  });

  test('by maintenance, except for super admins', async () => {
    const [device, adminDevice] = await joinCall(server.api, ada, root);
    const [peer, admin] = [await register(device), await register(adminDevice)];
    expect((await setMaintenance(true)).status).toBe(200);
    expect(await peer.closed).toBe('maintenance');
    expect(await start(device).closed).toBe('maintenance');
    await expectSignalling(admin, admin);
    await setMaintenance(false);
    await inCall('leave', adminDevice);
  });

  test('with the newest access token of its session', async () => {
    const brief = await startTestServer({ PEERJS_ENABLED: 'true', ACCESS_TOKEN_SECONDS: '4' });
    try {
      const renewing = await signUp(brief.api);
      const begun = Date.now();
      const open = async (person: Person) => {
        const [{ id, ticket }] = await joinCall(brief.api, person);
        const connect = () => new Peer(brief.url, id, ticket);
        const peer = connect();
        await peer.receives(({ type }) => type === 'OPEN');
        return { closed: peer.closed, connect };
      };
      const renewed = await open(renewing);
      await until(() => Date.now() > begun + 1000);
      const passive = await open(await signUp(brief.api));
      await brief.api.post('/api/auth/refresh', { refreshToken: renewing.refreshToken });
      const order: string[] = [];
      await Promise.all([
        passive.closed.then((reason) => order.push(`passive ${reason}`)),
        renewed.closed.then((reason) => order.push(`renewed ${reason}`)),
      ]);
      expect(order).toEqual(['passive token_expired', 'renewed token_expired']);
      const late = renewed.connect();
      expect(await late.closed).toBe('token_expired');
      expect(late.framesOf('OPEN')).toEqual([]);
    } finally {
      await brief.close();
    }
  }, 30_000);

  test('and recorded in its call, unless the server stops; a client registers again with the same ticket', async () => {
    const [device, otherDevice] = await joinCall(server.api, ada, bruno);
    const [peer, other] = [await register(device), await register(otherDevice)];
    expect(await connectedIn(device)).toEqual([true, true]);
    await peer.close();
    await until(async () => (await connectedIn(device))[0] === false);
    const again = await register(device);
    expect(await connectedIn(device)).toEqual([true, true]);
    const lost = jest.spyOn(server.context.services.callConnections, 'lost');
    await server.restart();
    expect(lost).not.toHaveBeenCalled();
    expect([await again.closed, await other.closed]).toEqual(['server_closing', 'server_closing']);
    await expectSignalling(await register(device), await register(otherDevice));
  });
});
