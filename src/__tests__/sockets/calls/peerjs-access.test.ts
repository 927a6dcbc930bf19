import { once } from 'node:events';
import { logInAgain } from '../../fixtures/accounts';
import { peerjsConfig } from '../../../config/peerjs.config';
import { expectSignalling, offerTo, Peer, unusedId, usePeers } from '../../fixtures/peer';
import { signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';

const PER_ADDRESS = 20;
const PER_USER = 10;

let server: TestServer;
let root: Person;
let ada: Person;
let bruno: Person;
const { start, register, isRegistered } = usePeers(() => server);

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
afterAll(() => server.close());

describe('registration of a peer', () => {
  test.each([
    ['no token', 'unauthenticated', () => start('')],
    ['an invented token', 'token_invalid', () => start('invented')],
    ['a refresh token', 'token_invalid', () => start(ada.refreshToken)],
    ['an id that PeerJS would not accept', 'validation_failed', () => start(ada, 'a/../b')],
    ['an id that is too long', 'validation_failed', () => start(ada, 'a'.repeat(65))],
  ])('is refused with %s', async (_what, code, begin) => {
    const peer = begin();
    // Real clients send what they have as soon as the WebSocket is open.
    peer.webSocket.on('open', () => peer.send(offerTo({ id: 'x' })));
    await peer.closed;
    expect(peer.received).toEqual([{ type: 'ERROR', payload: { code, msg: expect.any(String) } }]);
  });

  test('that continues to send after a refusal without reading it is closed', async () => {
    const peer = start('invented');
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

  test('is refused when the session has ended', async () => {
    await server.api.post('/api/auth/logout', {}, ada.token);
    const peer = start(ada);
    expect(await peer.closed).toBe('session_revoked');
  });

  test('is refused when the session ends during it', async () => {
    const { sessions } = server.context.services;
    const authenticate = sessions.authenticate.bind(sessions);
    const { token } = await logInAgain(server.api, ada);
    jest.spyOn(sessions, 'authenticate').mockImplementationOnce(async (...args) => {
      const authenticated = await authenticate(...args);
      await sessions.revokeAll(authenticated.caller.userId, 'revoked');
      return authenticated;
    });
    const peer = start(token);
    expect(await peer.closed).toBe('session_revoked');
    expect(peer.framesOf('OPEN')).toEqual([]);
    expect(isRegistered(ada)).toBe(false);
  });

  test('accepts frames that a client sends before OPEN', async () => {
    const receiver = await register(bruno);
    const sender = start(ada);
    sender.webSocket.on('open', () => sender.send(offerTo(receiver, 'early')));
    expect(await receiver.receives(({ type }) => type === 'OFFER')).toMatchObject({ payload: 'early' });
  });

  test('is limited for each user and for each address', async () => {
    const own = await Promise.all(Array.from({ length: PER_USER }, () => register(ada)));
    expect(await start(ada).closed).toBe('too_many_connections');
    // Taking over a connection does not count as another one.
    await register(ada, own[0]!.id);
    await own[0]!.closed;
    await Promise.all(Array.from({ length: PER_ADDRESS - PER_USER }, () => register(bruno)));
    const beyond = start(root);
    const [, response] = (await once(beyond.webSocket, 'unexpected-response')) as [
      unknown,
      { statusCode: number; headers: object },
    ];
    expect(response).toMatchObject({ statusCode: 429, headers: { 'retry-after': '10' } });
    await own[1]!.close();
    await until(() => server.context.services.peers.connectionsOf(ada.id).length < PER_USER);
    await register(root);
  });
});

describe('a block between users', () => {
  test('stops signalling between them, as if both were absent', async () => {
    const [sender, receiver] = [await register(ada), await register(bruno)];
    await expectSignalling(sender, receiver);
    await server.api.call('put', `/api/users/me/blocks/${ada.id}`, { token: bruno.token });
    sender.send(offerTo(receiver, 'unwanted'));
    receiver.send(offerTo(sender, 'unwanted'));
    for (const peer of [sender, receiver]) await peer.receives(({ type }) => type === 'EXPIRE');
    await server.api.delete(`/api/users/me/blocks/${ada.id}`, bruno.token);
    await expectSignalling(sender, receiver);
    await expectSignalling(receiver, sender);
    for (const peer of [sender, receiver]) {
      expect(peer.received.map(({ payload }) => payload)).not.toContain('unwanted');
    }
  });

  test('applies to queued frames when the other peer connects', async () => {
    await server.api.call('put', `/api/users/me/blocks/${ada.id}`, { token: bruno.token });
    const [sender, id] = [await register(ada), unusedId('late')];
    sender.send(offerTo({ id }, 'unwanted'));
    const receiver = await register(bruno, id);
    await sender.receives(({ type }) => type === 'EXPIRE');
    await expectSignalling(await register(root), receiver);
    expect(receiver.framesOf('OFFER')).toHaveLength(1);
  });
});

describe('the connection of a peer is closed', () => {
  test.each([
    ['a log-out', () => server.api.post('/api/auth/logout', {}, ada.token)],
    [
      'a suspension',
      () => server.api.post(`/api/admin/users/${ada.id}/suspend`, { reason: 'x' }, root.token),
    ],
  ])('with %s, before that returns', async (_what, revoke) => {
    const [peer, other] = [await register(ada), await register(bruno)];
    peer.webSocket.pause();
    expect((await revoke()).status).toBeLessThan(300);
    expect(isRegistered(ada)).toBe(false);
    peer.send(offerTo(other));
    other.send(offerTo(peer));
    await other.receives(({ type }) => type === 'EXPIRE');
    peer.webSocket.resume();
    expect(await peer.closed).toBe('session_ended');
    expect(peer.received.map(({ payload }) => payload?.code)).toEqual([undefined, 'session_revoked']);
    expect(other.framesOf('OFFER')).toEqual([]);
  });

  test('when the server detects by itself that its session has ended', async () => {
    const peer = await register(ada);
    const { database, services } = server.context;
    const { sessionId } = services.peers.connectionsOf(ada.id)[0]!;
    await database.collections.sessions.updateOne({ _id: sessionId }, { $set: { revokedAt: new Date() } });
    await services.sessionRecheck.run();
    expect(await peer.closed).toBe('session_ended');
  });

  test('by maintenance, except for super admins', async () => {
    const [peer, admin] = [await register(ada), await register(root)];
    const set = (enabled: boolean) =>
      server.api.call('put', '/api/admin/maintenance', { body: { enabled, message: '' }, token: root.token });
    expect((await set(true)).status).toBe(200);
    expect(await peer.closed).toBe('maintenance');
    expect(await start(ada).closed).toBe('maintenance');
    await expectSignalling(admin, admin);
    await set(false);
  });

  test('with the newest access token of its session', async () => {
    const brief = await startTestServer({ PEERJS_ENABLED: 'true', ACCESS_TOKEN_SECONDS: '4' });
    try {
      const renewing = await signUp(brief.api);
      const begun = Date.now();
      const open = async ({ token }: Person) => {
        const peer = new Peer(brief.url, unusedId(), token);
        await peer.receives(({ type }) => type === 'OPEN');
        return peer;
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
    } finally {
      await brief.close();
    }
  }, 30_000);
});
