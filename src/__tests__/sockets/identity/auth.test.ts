import { REVOCATION_REASONS } from '../../../models/identity/session.model';
import { logInAgain, reuseRefreshToken } from '../../fixtures/accounts';
import { createRoom, PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let admin: Person;
let ada: Person;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer();
  admin = await signUp(server.api, 'admin');
});
beforeEach(async () => {
  ada = await signUp(server.api, 'ada');
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server.close());

async function connectClient(
  { token }: Pick<Person, 'token'>,
  transport = 'websocket',
  on = server,
): Promise<Client> {
  const client = await connect(on.url, token, { transports: [transport], reconnection: false });
  clients.push(client);
  return client;
}

/** How a socket is closed: the announced reason, and the reason of Socket.IO. */
async function endOf({ socket }: Client): Promise<{ announced: string; how: string }> {
  const received = new Promise<string>((resolve) =>
    socket.once('auth:ended', ({ reason }) => resolve(reason)),
  );
  const how = new Promise<string>((resolve) => socket.once('disconnect', resolve));
  return { announced: await received, how: await how };
}

const post = (path: string, body: unknown, { token }: Person) => server.api.post(path, body, token);

describe('the end of a session closes its sockets with the reason and stops their events', () => {
  const proof = { password: PASSWORD };
  const own = async () =>
    (await server.api.get('/api/auth/sessions', ada.token)).body.sessions[0].id as string;
  const acts: [string, string, () => Promise<{ status: number }>][] = [
    ['log-out', 'logged_out', () => post('/api/auth/logout', undefined, ada)],
    ['log-out everywhere', 'logged_out', () => post('/api/auth/logout-everywhere', undefined, ada)],
    ['revoking it', 'revoked', async () => server.api.delete(`/api/auth/sessions/${await own()}`, ada.token)],
    ['a forced log-out', 'revoked', () => post(`/api/admin/users/${ada.id}/logout`, undefined, admin)],
    [
      'a refresh token that is used twice',
      'token_reused',
      async () => {
        await reuseRefreshToken(server.api, ada);
        return { status: 200 };
      },
    ],
    [
      'another password',
      'password_changed',
      () => post('/api/auth/password', { ...proof, newPassword: 'a wholly new passphrase' }, ada),
    ],
    [
      'suspension',
      'account_suspended',
      () => post(`/api/admin/users/${ada.id}/suspend`, { reason: 'x' }, admin),
    ],
    ['a ban', 'account_banned', () => post(`/api/admin/users/${ada.id}/ban`, { reason: 'x' }, admin)],
    ['deactivation', 'account_deactivated', () => post('/api/users/me/deactivate', proof, ada)],
    [
      'deletion',
      'account_deleted',
      () => server.api.call('delete', '/api/users/me', { token: ada.token, body: proof }),
    ],
  ];

  it('is tested here for each existing reason', () => {
    const tried = acts.map(([, reason]) => reason);
    expect([...new Set(tried)].sort()).toEqual([...REVOCATION_REASONS].sort());
  });

  it.each(acts)('%s: %s', async (_, reason, act) => {
    const { channelId } = await createRoom(server.api, admin, [ada]);
    const [socket, polling, observer] = [
      await connectClient(ada),
      await connectClient(ada, 'polling'),
      await connectClient(admin),
    ];
    const ends = Promise.all([socket, polling].map(endOf));
    expect(Math.floor((await act()).status / 100)).toBe(2);

    // The call has returned: later events are not for these sockets.
    const clientMessageId = `after-${ada.id}`;
    const message = { clientMessageId, body: 'Is she gone?' };
    expect((await post(`/api/channels/${channelId}/messages`, message, admin)).status).toBe(201);
    await observer.waitForMessage((received) => received.message.clientMessageId === clientMessageId);
    const end = { announced: reason, how: 'io server disconnect' };
    expect(await ends).toEqual([end, end]);
    for (const { messages: received } of [socket, polling]) expect(received).toEqual([]);
    await expect(connect(server.url, ada.token)).rejects.toMatchObject({ data: { code: 'session_revoked' } });
  });

  it('leaves the sockets of other sessions and users open', async () => {
    const phone = await logInAgain(server.api, ada);
    const [mine, theirs, foreign] = [
      await connectClient(ada),
      await connectClient(phone),
      await connectClient(admin),
    ];
    const end = endOf(mine);
    await post('/api/auth/logout', undefined, ada);
    await end;
    for (const { socket } of [theirs, foreign]) expect(socket.connected).toBe(true);
  });

  it('also closes sockets that are connecting', async () => {
    for (let round = 0; round < 10; round++) {
      const device = await logInAgain(server.api, ada);
      const connecting = connect(server.url, device.token, { reconnection: false }).then(
        (client) => {
          clients.push(client);
          return client.socket.connected
            ? new Promise<boolean>((resolve) => client.socket.once('disconnect', () => resolve(true)))
            : true;
        },
        () => true,
      );
      await post('/api/auth/logout', undefined, device);
      expect(await connecting).toBe(true);
    }
  });
});

describe('a handshake', () => {
  it.each<[string, (person: Person) => unknown, string]>([
    ['no token', () => undefined, 'unauthenticated'],
    ['an empty token', () => '', 'unauthenticated'],
    ['a token that is an object', ({ token }) => ({ token }), 'unauthenticated'],
    ['a refresh token', ({ refreshToken }) => refreshToken, 'token_invalid'],
    ['a changed token', ({ token }) => `${token}x`, 'token_invalid'],
  ])('with %s is refused with a code', async (_, tokenOf, code) => {
    await expect(connect(server.url, tokenOf(ada) as string)).rejects.toMatchObject({ data: { code } });
  });
});

describe('the expiry of the token of a socket', () => {
  let brief: TestServer;
  let bob: Person;

  beforeAll(async () => {
    brief = await startTestServer({ ACCESS_TOKEN_SECONDS: '4' });
  });
  beforeEach(async () => {
    bob = await signUp(brief.api, 'bob');
  });
  afterAll(() => brief.close());

  const renewed = async (person: Person): Promise<Person> => {
    const { body } = await brief.api.post('/api/auth/refresh', { refreshToken: person.refreshToken });
    return { ...person, token: body.accessToken, refreshToken: body.refreshToken };
  };
  const expiring = ({ socket }: Client) =>
    new Promise<string>((resolve) => socket.once('auth:expiring', ({ expiresAt }) => resolve(expiresAt)));

  it('is announced, and then closes the socket', async () => {
    const client = await connectClient(bob, 'websocket', brief);
    const events: string[] = [];
    client.socket.onAny((event: string) => event.startsWith('auth:') && events.push(event));
    const [expiresAt, end] = await Promise.all([expiring(client), endOf(client)]);
    const now = Date.now();
    expect(end).toEqual({ announced: 'token_expired', how: 'io server disconnect' });
    expect(events).toEqual(['auth:expiring', 'auth:ended']);
    // Timers of Node.js may fire a millisecond early.
    expect(now).toBeGreaterThanOrEqual(Date.parse(expiresAt) - 2);
  });

  it('moves with a new token', async () => {
    const client = await connectClient(bob, 'websocket', brief);
    const first = await expiring(client);
    let over = false;
    const end = endOf(client).finally(() => (over = true));
    const { token } = await renewed(bob);
    const answer = await client.ask('auth:refresh', { token });
    expect(answer).toMatchObject({ ok: true });
    const second = await expiring(client);
    expect(answer).toEqual({ ok: true, data: { expiresAt: second } });
    expect(Date.parse(second)).toBeGreaterThan(Date.parse(first));
    expect(over).toBe(false);
    expect((await end).announced).toBe('token_expired');
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(second) - 2);
  });

  it('is not moved by a token of another session or user, or an invalid or revoked one', async () => {
    const client = await connectClient(ada);
    const refuse = async (token: unknown, code: string) =>
      expect(await client.ask('auth:refresh', { token })).toMatchObject({ ok: false, error: { code } });
    await refuse((await logInAgain(server.api, ada)).token, 'forbidden');
    await refuse(admin.token, 'forbidden');
    await refuse(`${ada.token}x`, 'token_invalid');
    await refuse(ada.refreshToken, 'token_invalid');
    await refuse(undefined, 'validation_failed');
    const other = await logInAgain(server.api, ada);
    await post('/api/auth/logout', undefined, other);
    await refuse(other.token, 'session_revoked');
    expect(client.socket.connected).toBe(true);
    expect(await client.ask('auth:refresh', { token: ada.token })).toMatchObject({ ok: true });
  });
});

describe('a changed role applies to open sockets as soon as the call returns', () => {
  let author: Person;
  let channelId: string;
  let counter = 0;

  beforeEach(async () => {
    author = await signUp(server.api, 'author');
    ({ channelId } = await createRoom(server.api, author));
  });

  const setRole = async (role: string) => {
    const path = `/api/admin/users/${ada.id}/role`;
    expect((await server.api.patch(path, { role }, admin.token)).status).toBe(200);
  };
  /** The result for a socket that deletes a message in a private group of which its user is not a member. */
  const moderate = async (client: Client) => {
    const message = { clientMessageId: `role-${++counter}`, body: 'Delete me if you may' };
    const sent = await post(`/api/channels/${channelId}/messages`, message, author);
    expect(sent.status).toBe(201);
    const answer = await client.ask('message:delete', { messageId: sent.body.message.id });
    return answer.ok ? 'deleted' : answer.error.code;
  };

  it.each(['websocket', 'polling'])('up and down, over %s', async (transport) => {
    const client = await connectClient(ada, transport);
    expect(await moderate(client)).toBe('not_found');
    await setRole('super_admin');
    expect(await moderate(client)).toBe('deleted');
    await setRole('group_admin');
    expect(await moderate(client)).toBe('not_found');
    await setRole('super_admin');
    await setRole('client');
    expect(await moderate(client)).toBe('not_found');
    expect(client.socket.connected).toBe(true);
  });

  it('on every device, even one that presents an older token again', async () => {
    const [phone, laptop] = [
      await connectClient(ada),
      await connectClient(await logInAgain(server.api, ada)),
    ];
    await setRole('super_admin');
    const asAdmin = (await server.api.post('/api/auth/refresh', { refreshToken: ada.refreshToken })).body;
    for (const client of [phone, laptop]) expect(await moderate(client)).toBe('deleted');
    await setRole('client');
    // The role in the token is outdated, and is not used.
    expect(await phone.ask('auth:refresh', { token: asAdmin.accessToken })).toMatchObject({ ok: true });
    for (const client of [phone, laptop]) expect(await moderate(client)).toBe('not_found');
  });

  it('even if the socket is renewing its token', async () => {
    const client = await connectClient(ada);
    await setRole('super_admin');
    const { sessions } = server.context.services;
    const authenticate = sessions.authenticate.bind(sessions);
    let resume = () => {};
    const held = new Promise<void>((resolve) => (resume = resolve));
    // The role has been read, but not yet applied, when it changes.
    const hasRead = new Promise<void>((resolve) => {
      jest.spyOn(sessions, 'authenticate').mockImplementation(async (token, address) => {
        const authenticated = await authenticate(token, address);
        if (token === ada.token) {
          resolve();
          await held;
        }
        return authenticated;
      });
    });
    const renewal = client.ask('auth:refresh', { token: ada.token });
    await hasRead;
    await setRole('client');
    resume();
    expect(await renewal).toMatchObject({ ok: true });
    jest.restoreAllMocks();
    expect(await moderate(client)).toBe('not_found');
  });
});
