import { ObjectId } from 'mongodb';
import { auditOf, isLoggedIn, logInAgain, login, me, refused } from '../../fixtures/accounts';
import type { Api } from '../../fixtures/api';
import { openMailbox, type Mailbox } from '../../fixtures/mail';
import { createRoom, PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let mailbox: Mailbox;
let server: TestServer;
let api: Api;
let admin: Person;
let ada: Person;

beforeAll(async () => {
  mailbox = await openMailbox();
  server = await startTestServer({ SMTP_URL: mailbox.url });
  ({ api } = server);
  admin = await signUp(api, 'root');
});
beforeEach(async () => {
  ada = await signUp(api, 'ada');
});
afterAll(async () => {
  await server.close();
  await mailbox.close();
});

const users = () => server.context.database.collections.users;
const act = (name: string, body?: object, { id } = ada) =>
  api.post(`/api/admin/users/${id}/${name}`, body, admin.token);
const inspect = async ({ id }: Person = ada) =>
  (await api.get(`/api/admin/users/${id}`, admin.token)).body.user;
const remove = (reason: string, { id } = ada, by = admin) =>
  api.call('delete', `/api/admin/users/${id}`, { token: by.token, body: { reason } });
const emailOf = ({ username }: Person) => `${username}@example.org`;

async function confirmEmail(person: Person): Promise<void> {
  const token = await mailbox.takeToken(emailOf(person), 'verify-email');
  expect((await api.post('/api/auth/email/verify', { token })).status).toBe(204);
}

/** All pages of the list. */
async function list(query: Record<string, unknown>): Promise<any[]> {
  const found: any[] = [];
  for (let cursor: string | undefined; ;) {
    const { status, body } = await api.get('/api/admin/users', admin.token, { ...query, cursor });
    expect(status).toBe(200);
    found.push(...body.users);
    if (body.nextCursor === null) return found;
    cursor = body.nextCursor;
  }
}
const idsOf = (found: { id: string }[]) => found.map(({ id }) => id);

describe('the list of users', () => {
  it('is newest first, pages without gaps, and shows what administrators need', async () => {
    const more = [await signUp(api, 'bruno'), await signUp(api, 'chiara')];
    await logInAgain(api, ada);
    const found = await list({ limit: 2 });
    expect(idsOf(found).slice(0, 3)).toEqual([more[1]!.id, more[0]!.id, ada.id]);
    expect(found.length).toBe(await users().countDocuments());
    expect(found[2]).toMatchObject({
      username: ada.username,
      email: emailOf(ada),
      emailVerified: false,
      role: 'client',
      state: 'active',
      suspension: null,
      ban: null,
      sessions: 2,
    });
    expect(Date.parse(found[2].lastSeenAt)).toBeGreaterThan(Date.now() - 60_000);
    await api.post('/api/auth/logout-everywhere', undefined, ada.token);
    expect(await inspect()).toMatchObject({ sessions: 0, lastSeenAt: found[2].lastSeenAt });
  });

  it('is filtered by state, by role and by both', async () => {
    const bruno = await signUp(api, 'bruno');
    await act('suspend', { reason: 'x' });
    await api.patch(`/api/admin/users/${bruno.id}/role`, { role: 'group_admin' }, admin.token);
    expect(idsOf(await list({ state: 'suspended' }))).toContain(ada.id);
    expect(idsOf(await list({ state: 'active' }))).not.toContain(ada.id);
    expect(idsOf(await list({ role: 'group_admin' }))).toEqual([bruno.id]);
    expect(await list({ role: 'group_admin', state: 'suspended' })).toEqual([]);
    expect(idsOf(await list({ role: 'super_admin', state: 'active' }))).toEqual([admin.id]);
  });

  it('is searchable by the beginning of a name or an address in any case, and pages through equal names', async () => {
    const people: Person[] = [];
    for (let each = 0; each < 5; each++) people.push(await signUp(api, 'Zoe'));
    for (const { token } of people) await api.patch('/api/users/me', { displayName: 'zoé' }, token);
    const ids = idsOf(people).sort();
    expect(idsOf(await list({ query: 'zOE', limit: 2 })).sort()).toEqual(ids);
    expect(idsOf(await list({ query: 'ZOÉ', field: 'displayName', limit: 2 }))).toEqual(ids);
    expect(await list({ query: 'oe', field: 'displayName' })).toEqual([]);
    await confirmEmail(people[0]!);
    expect(idsOf(await list({ query: emailOf(people[0]!).toUpperCase(), field: 'email' }))).toEqual([
      people[0]!.id,
    ]);
    expect(await list({ query: 'zoe', state: 'banned' })).toEqual([]);
  });

  it('refuses invented cursors and users who are not administrators', async () => {
    expect(await api.get('/api/admin/users', admin.token, { cursor: 'x' })).toMatchObject(
      refused(400, 'validation_failed'),
    );
    expect(await api.get('/api/admin/users', ada.token)).toMatchObject(refused(403, 'forbidden'));
    expect(await api.get(`/api/admin/users/${'0'.repeat(24)}`, admin.token)).toMatchObject(
      refused(404, 'not_found'),
    );
  });
});

describe('an expired suspension', () => {
  it('has ended in every view without a log-in', async () => {
    await act('suspend', { reason: 'An hour', until: new Date(Date.now() + 3600_000).toISOString() });
    expect(await inspect()).toMatchObject({ state: 'suspended', suspension: { reason: 'An hour' } });
    await users().updateOne({ _id: new ObjectId(ada.id) }, { $set: { 'suspension.until': new Date() } });
    expect(await inspect()).toMatchObject({ state: 'active', suspension: null });
    const { body } = await api.get('/api/admin/permissions/explain', admin.token, {
      userId: ada.id,
      action: 'group.create',
    });
    expect(body.allowed).toBe(true);
    expect(idsOf(await list({ state: 'suspended' }))).not.toContain(ada.id);
    expect(idsOf(await list({ state: 'active' }))).toContain(ada.id);
  });
});

describe('a ban of an account', () => {
  it('ends every session and socket, and refuses the log-in with its reason', async () => {
    const socket = await connect(server.url, ada.token);
    const ended = socket.waitFor('auth:ended');
    const answer = await act('ban', { reason: 'Spam' });
    expect(answer.body.user).toMatchObject({ state: 'banned', ban: { reason: 'Spam' }, sessions: 0 });
    expect((await ended).reason).toBe('account_banned');
    expect(await isLoggedIn(api, ada)).toEqual([false, false]);
    const refusal = await login(api, ada);
    expect(refusal).toMatchObject(refused(403, 'account_banned'));
    expect(refusal.body.error.details).toEqual({ reason: 'Spam' });
    expect((await api.get('/api/users', admin.token, { query: ada.username })).body.users).toEqual([]);
    expect(await auditOf(server, ada)).toMatchObject([
      { action: 'user.banned', details: { reason: 'Spam' } },
    ]);
  });

  it('prevents registration with the address until the user is restored', async () => {
    const again = () =>
      api.post('/api/auth/register', {
        username: `${ada.username}x`,
        email: emailOf(ada).toUpperCase(),
        password: PASSWORD,
      });
    await confirmEmail(ada);
    await act('ban', { reason: 'Spam' });
    expect(await again()).toMatchObject(refused(403, 'account_banned'));
    expect((await act('restore')).body.user).toMatchObject({ state: 'active', ban: null });
    expect((await again()).status).toBe(201);
    expect(await isLoggedIn(api, await logInAgain(api, ada))).toEqual([true, true]);
  });

  it('together with a suspension: the later one applies', async () => {
    await act('suspend', { reason: 'First' });
    expect((await act('ban', { reason: 'Second' })).body.user).toMatchObject({
      state: 'banned',
      suspension: null,
    });
    expect((await act('suspend', { reason: 'Third' })).body.user).toMatchObject({
      state: 'suspended',
      ban: null,
    });
    expect(await act('ban', { reason: 'x' }, admin)).toMatchObject(refused(409, 'last_super_admin'));
  });
});

describe('the password of a user', () => {
  it('is reset by a link that is mailed to the user and works once', async () => {
    await confirmEmail(ada);
    expect((await act('reset-password')).status).toBe(202);
    const token = await mailbox.takeToken(emailOf(ada), 'reset-password');
    expect((await me(api, ada)).status).toBe(200);
    const reset = () => api.post('/api/auth/password/reset', { token, newPassword: 'another password!' });
    expect((await reset()).status).toBe(204);
    expect(await reset()).toMatchObject(refused(400, 'one_time_token_invalid'));
    expect((await login(api, ada, { password: 'another password!' })).status).toBe(200);
    expect(await auditOf(server, ada, 'user.password_reset_sent')).toHaveLength(1);
  });

  it('is not reset without a confirmed address, and nothing is logged', async () => {
    expect(await act('reset-password')).toMatchObject(refused(409, 'email_missing'));
    expect(await auditOf(server, ada)).toEqual([]);
  });
});

describe('the deletion of a user by an administrator', () => {
  it('has the effects of a deletion by the user: personal data is erased, messages remain, sockets close', async () => {
    const { groupId, channelId } = await createRoom(api, admin, [ada]);
    const message = { clientMessageId: 'm', body: 'I was here' };
    await api.post(`/api/channels/${channelId}/messages`, message, ada.token);
    const socket = await connect(server.url, ada.token);
    const ended = socket.waitFor('auth:ended');
    expect((await remove('Asked for it by letter')).status).toBe(204);
    expect((await ended).reason).toBe('account_deleted');
    expect(await isLoggedIn(api, ada)).toEqual([false, false]);
    expect(await inspect()).toMatchObject({ state: 'deleted', displayName: 'Deleted user', email: '' });
    const history = await api.get(`/api/channels/${channelId}/messages`, admin.token);
    expect(history.body.messages).toMatchObject([{ body: 'I was here' }]);
    expect((await api.get(`/api/groups/${groupId}`, admin.token)).body.group.memberCount).toBe(1);
    const [entry, ...more] = await auditOf(server, ada);
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ action: 'user.deleted', details: { reason: 'Asked for it by letter' } });
    expect(entry!.actorId!.toHexString()).toBe(admin.id);
    expect(await remove('Again')).toMatchObject(refused(404, 'not_found'));
  });

  it('changes nothing when groups would be left without an owner', async () => {
    const { groupId } = await createRoom(api, ada, [admin]);
    const answer = await remove('x');
    expect(answer).toMatchObject(refused(409, 'last_owner'));
    expect(answer.body.error.details).toEqual({ groupIds: [groupId] });
    expect((await me(api, ada)).status).toBe(200);
    expect(await auditOf(server, ada)).toEqual([]);
    expect(await remove('x', admin)).toMatchObject(refused(409, 'last_super_admin'));
  });
});

it('in production without a mail server, no password is reset', async () => {
  const production = await startTestServer({
    NODE_ENV: 'production',
    BCRYPT_COST: '10',
    JWT_SECRET: 'a secret of at least thirty-two characters',
    ENCRYPTION_KEY: 'b secret of at least thirty-two characters',
  });
  try {
    const root = await signUp(production.api, 'root');
    const { id } = await signUp(production.api, 'ada');
    const answer = await production.api.post(`/api/admin/users/${id}/reset-password`, undefined, root.token);
    expect(answer).toMatchObject(refused(503, 'mail_unavailable'));
  } finally {
    await production.close();
  }
});
