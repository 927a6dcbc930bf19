import { ObjectId } from 'mongodb';
import {
  everythingStored,
  isLoggedIn,
  logInAgain,
  login,
  me,
  refused,
  auditOf,
} from '../../fixtures/accounts';
import { setAvatar } from '../../fixtures/images';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { codeOf, allowCodeReuse, signUpWithTotp } from '../../fixtures/totp';

let server: TestServer;
let founder: Person;

beforeAll(async () => {
  server = await startTestServer();
  founder = await signUp(server.api, 'founder');
});
afterAll(() => server.close());

const remove = ({ token }: Person, body: object = { password: PASSWORD }, on = server) =>
  on.api.call('delete', '/api/users/me', { token, body });
const deactivate = ({ token }: Person, body: object = { password: PASSWORD }, on = server) =>
  on.api.post('/api/users/me/deactivate', body, token);
const promote = (person: Person, by: Person, on = server) =>
  on.api.patch(`/api/admin/users/${person.id}/role`, { role: 'super_admin' }, by.token);

describe('a dangerous action', () => {
  const acts: [string, (person: Person, proof: object) => ReturnType<typeof remove>][] = [
    ['deleting the account', remove],
    ['deactivating the account', deactivate],
    [
      'changing the address',
      ({ token, username }, proof) =>
        server.api.post('/api/auth/email', { ...proof, email: `${username}@example.net` }, token),
    ],
    [
      'changing the password',
      ({ token }, proof) =>
        server.api.post('/api/auth/password', { ...proof, newPassword: 'a wholly new passphrase' }, token),
    ],
    [
      'disabling the second factor',
      ({ token }, proof) => server.api.post('/api/auth/totp/disable', proof, token),
    ],
  ];

  it.each(acts)('(%s) asks for the password and the second factor again', async (_, act) => {
    const guarded = await signUpWithTotp(server);
    const { person, secret } = guarded;
    expect(await act(person, { password: 'wrong' })).toMatchObject(refused(401, 'password_wrong'));
    expect(await act(person, { password: PASSWORD })).toMatchObject(refused(401, 'totp_required'));
    const code = await codeOf(secret);
    expect((await login(server.api, person, { code })).status).toBe(200);
    // The code of the log-in is used up.
    expect(await act(person, { password: PASSWORD, code })).toMatchObject(refused(401, 'totp_invalid'));
    expect((await me(server.api, person)).status).toBe(200);
    await allowCodeReuse(server.context, guarded);
    const { status } = await act(person, { password: PASSWORD, code: await codeOf(secret) });
    expect(Math.floor(status / 100)).toBe(2);
  });
});

describe('deactivating an account', () => {
  it('ends all sessions and hides the user until the next log-in', async () => {
    const ada = await signUp(server.api, 'dormant');
    const phone = await logInAgain(server.api, ada);
    const search = async () =>
      (await server.api.get('/api/users', founder.token, { query: ada.username })).body.users.length;
    expect(await search()).toBe(1);
    expect((await deactivate(ada)).status).toBe(204);
    expect(await isLoggedIn(server.api, ada)).toEqual([false, false]);
    expect(await isLoggedIn(server.api, phone)).toEqual([false, false]);
    expect(await search()).toBe(0);
    expect((await login(server.api, ada, { password: 'wrong' })).status).toBe(401);
    expect(await search()).toBe(0);
    expect(await isLoggedIn(server.api, await logInAgain(server.api, ada))).toEqual([true, true]);
    expect(await search()).toBe(1);
    expect(await isLoggedIn(server.api, phone)).toEqual([false, false]);
  });
});

describe('a deactivated account', () => {
  const profile = { displayName: 'A. Rest', bio: 'Asleep', statusText: 'Gone', timeZone: 'Europe/Lisbon' };

  async function sleeper() {
    const { sleeper: ada, wakeful: owner } = await signUpAll(server.api, 'sleeper', 'wakeful');
    await server.api.patch('/api/users/me', profile, ada.token);
    await setAvatar(server.api, ada);
    const { groupId, channelId } = await createRoom(server.api, owner, [ada]);
    const message = { clientMessageId: 'last', body: 'Good night' };
    await server.api.post(`/api/channels/${channelId}/messages`, message, ada.token);
    await server.api.post('/api/direct-messages', { userIds: [ada.id] }, owner.token);
    await server.api.call('put', `/api/users/me/blocks/${ada.id}`, { token: founder.token });
    const { collections } = server.context.database;
    await collections.users.updateOne({ _id: new ObjectId(ada.id) }, { $set: { lastSeenAt: new Date() } });
    return { ada, owner, groupId, channelId };
  }

  it('shows others nothing but its names in every list of users, until it is active again', async () => {
    const { ada, owner, groupId } = await sleeper();
    const see = async () => {
      const get = async (path: string, { token } = owner) => (await server.api.get(path, token)).body;
      const ofAda = ({ id }: { id: string }) => id === ada.id;
      const members: { user: { id: string } }[] = (await get(`/api/groups/${groupId}/members`)).members;
      const { users } = await get('/api/client/overview');
      return {
        lookup: (await get(`/api/users/${ada.id}`)).user,
        member: members.map(({ user }) => user).find(ofAda),
        overview: users.find(ofAda),
        blocked: (await get('/api/users/me/blocks', founder)).users.find(ofAda),
      };
    };
    const before = await see();
    for (const user of Object.values(before)) {
      expect(user).toMatchObject({ ...profile, deactivated: false, avatarUrl: expect.any(String) });
    }
    expect((await deactivate(ada)).status).toBe(204);
    const { createdAt } = before.lookup;
    const rest = {
      id: ada.id,
      username: ada.username,
      displayName: profile.displayName,
      bio: '',
      statusText: '',
      timeZone: 'UTC',
      avatarUrl: null,
      deleted: false,
      deactivated: true,
      createdAt,
    };
    expect(await see()).toEqual({ lookup: rest, member: rest, overview: rest, blocked: rest });
    const presence = await server.api.get(`/api/users/${ada.id}/presence`, owner.token);
    expect(presence.body.presence).toEqual({ userId: ada.id, status: 'offline', lastSeenAt: null });
    // Administrators see the whole account.
    const { body } = await server.api.get(`/api/admin/users/${ada.id}`, founder.token);
    expect(body.user).toMatchObject({ ...profile, state: 'deactivated' });

    await logInAgain(server.api, ada);
    expect(await see()).toEqual(before);
  });

  it('is neither added to groups nor invited to them', async () => {
    const { ada, owner } = await sleeper();
    const other = await createRoom(server.api, owner);
    await deactivate(ada);
    for (const place of ['members', 'invites']) {
      const answer = await server.api.post(
        `/api/groups/${other.groupId}/${place}`,
        { userId: ada.id },
        owner.token,
      );
      expect([place, answer]).toMatchObject([place, refused(404, 'not_found')]);
    }
  });
});

describe('deleting an account', () => {
  it('erases the name and address everywhere; messages remain under "Deleted user"', async () => {
    const ada = await signUp(server.api, 'vanishing');
    const { groupId, channelId } = await createRoom(server.api, founder, [ada]);
    const message = { clientMessageId: 'last', body: 'My last words' };
    const path = `/api/channels/${channelId}/messages`;
    await server.api.post(path, message, ada.token);
    const profile = { displayName: 'Secret Name', bio: 'Secret bio', statusText: 'Secret status' };
    await server.api.patch('/api/users/me', profile, ada.token);
    await server.api.call('put', `/api/users/me/blocks/${founder.id}`, { token: ada.token });
    await server.api.call('put', `/api/users/me/blocks/${ada.id}`, { token: founder.token });
    expect(await everythingStored(server)).toContain(ada.username);

    expect((await remove(ada)).status).toBe(204);
    const stored = await everythingStored(server);
    expect(stored).toContain(ada.id);
    expect(stored.toLowerCase()).not.toContain(ada.username);
    expect(stored).not.toMatch(/Secret/);
    const { sessions, blocks, memberships } = server.context.database.collections;
    for (const collection of [sessions, blocks, memberships]) {
      expect(JSON.stringify(await collection.find().toArray())).not.toContain(ada.id);
    }
    expect(await isLoggedIn(server.api, ada)).toEqual([false, false]);
    expect(await login(server.api, ada)).toMatchObject(refused(401, 'invalid_credentials'));

    const { body } = await server.api.get(`/api/users/${ada.id}`, founder.token);
    expect(body.user).toMatchObject({ deleted: true, displayName: 'Deleted user', bio: '' });
    const history = await server.api.get(path, founder.token);
    expect(history.body.messages).toMatchObject([{ body: 'My last words', senderId: ada.id }]);
    const group = await server.api.get(`/api/groups/${groupId}`, founder.token);
    expect(group.body.group.memberCount).toBe(1);
    expect(await auditOf(server, ada, 'user.deleted')).toHaveLength(1);

    // The name is free again, and the remains of the account cannot be used to join anything.
    const again = { username: ada.username, email: `${ada.username}@example.org`, password: PASSWORD };
    expect((await server.api.post('/api/auth/register', again)).status).toBe(201);
    const member = await server.api.post(`/api/groups/${groupId}/members`, { userId: ada.id }, founder.token);
    expect(member).toMatchObject(refused(404, 'not_found'));
  });

  it('is refused to the last owner of a group with other members, and changes nothing then', async () => {
    const { owner, member } = await signUpAll(server.api, 'owner', 'member');
    const { groupId } = await createRoom(server.api, owner, [member]);
    const other = await createRoom(server.api, founder, [owner]);
    const answer = await remove(owner);
    expect(answer).toMatchObject(refused(409, 'last_owner'));
    expect(answer.body.error.details).toEqual({ groupIds: [groupId] });
    expect((await me(server.api, owner)).status).toBe(200);
    expect((await server.api.get(`/api/groups/${other.groupId}`, owner.token)).status).toBe(200);
    await server.api.post(`/api/groups/${groupId}/leave`, undefined, member.token);
    expect((await remove(owner)).status).toBe(204);
  });

  it('cannot be blocked by registering the name that a deleted account gets', async () => {
    const ada = await signUp(server.api, 'wanted');
    for (const username of [`deleted-${ada.id}`, `DELETED-${ada.id.toUpperCase()}`]) {
      const body = { username, email: 'squatter@example.org', password: PASSWORD };
      expect(await server.api.post('/api/auth/register', body)).toMatchObject(
        refused(400, 'validation_failed'),
      );
    }
    expect((await remove(ada)).status).toBe(204);
  });

  it('takes effect once when requested twice at once', async () => {
    const ada = await signUp(server.api, 'twice');
    const answers = await Promise.all([remove(ada), remove(ada), remove(ada)]);
    for (const { status } of answers) expect([204, 401]).toContain(status);
    expect((await login(server.api, ada)).status).toBe(401);
    expect(await auditOf(server, ada, 'user.deleted')).toHaveLength(1);
  });
});

describe('a deletion that fails midway changes neither the account nor its sessions', () => {
  const byAdmin = (act: string) => (person: Person) =>
    server.api.post(`/api/admin/users/${person.id}/${act}`, { reason: 'A test' }, founder.token);
  const acts: [string, (person: Person) => ReturnType<typeof remove>][] = [
    ['suspending', byAdmin('suspend')],
    ['banning', byAdmin('ban')],
    ['logging out', ({ id }) => server.api.post(`/api/admin/users/${id}/logout`, undefined, founder.token)],
    ['deactivating', deactivate],
    ['deleting', remove],
    [
      'changing the password',
      ({ token }) =>
        server.api.post(
          '/api/auth/password',
          { password: PASSWORD, newPassword: 'a wholly new passphrase' },
          token,
        ),
    ],
  ];

  it.each(acts)('%s', async (_, act) => {
    const person = await signUp(server.api, 'survivor');
    const phone = await logInAgain(server.api, person);
    const { collections } = server.context.database;
    const { sessions, users } = collections;
    const stored = () => users.findOne({ _id: new ObjectId(person.id) });
    const before = await stored();
    // One of the two sessions has ended when it fails.
    let ended = 0;
    collections.sessions = new Proxy(sessions, {
      get: (target, name) => {
        if (name === 'findOneAndUpdate' && ++ended > 1) throw new Error('The disk is on fire.');
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const answer = await act(person);
    collections.sessions = sessions;
    expect(answer).toMatchObject(refused(500, 'internal_error'));
    expect(await stored()).toEqual(before);
    expect(await isLoggedIn(server.api, person)).toEqual([true, true]);
    expect(await isLoggedIn(server.api, phone)).toEqual([true, true]);
    expect(Math.floor((await act(await logInAgain(server.api, person))).status / 100)).toBe(2);
  });
});

describe('the last super admin', () => {
  it('cannot resign, deactivate or delete the account', async () => {
    const refusal = refused(409, 'last_super_admin');
    expect(await remove(founder)).toMatchObject(refusal);
    expect(await deactivate(founder)).toMatchObject(refusal);
    const role = `/api/admin/users/${founder.id}/role`;
    expect(await server.api.patch(role, { role: 'client' }, founder.token)).toMatchObject(refusal);
    const suspend = `/api/admin/users/${founder.id}/suspend`;
    expect(await server.api.post(suspend, { reason: 'x' }, founder.token)).toMatchObject(refusal);
    expect((await me(server.api, founder)).body.user.role).toBe('super_admin');
    // Another super admin who is suspended cannot act, and therefore does not count.
    const other = await signUp(server.api, 'other');
    await promote(other, founder);
    await server.api.post(`/api/admin/users/${other.id}/suspend`, { reason: 'x' }, founder.token);
    expect(await remove(founder)).toMatchObject(refusal);
  });

  it('remains when two super admins resign at once, in any way', async () => {
    const resign = (person: Person, on: TestServer) =>
      on.api.patch(`/api/admin/users/${person.id}/role`, { role: 'client' }, person.token);
    const ways = [
      resign,
      (person: Person, on: TestServer) => deactivate(person, undefined, on),
      (person: Person, on: TestServer) => remove(person, undefined, on),
    ];
    const fresh = await startTestServer();
    const { users } = fresh.context.database.collections;
    let last = await signUp(fresh.api, 'first');
    for (const [one, other] of ways.flatMap((a) => ways.map((b) => [a, b] as const))) {
      const second = await signUp(fresh.api, 'second');
      expect((await promote(second, last, fresh)).status).toBe(200);
      const answers = await Promise.all([one(last, fresh), other(second, fresh)]);
      const statuses = answers.map(({ status }) => status);
      expect(statuses.filter((status) => status === 409)).toHaveLength(1);
      expect(await users.countDocuments({ role: 'super_admin', state: 'active' })).toBe(1);
      if (statuses[0] !== 409) last = second;
    }
    await fresh.close();
  });
});
