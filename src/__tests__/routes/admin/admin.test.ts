import { ObjectId } from 'mongodb';
import supertest from 'supertest';
import { createApp } from '../../../app';
import { Access } from '../../../services/access/access';
import { auditOf, isLoggedIn, logInAgain, login, me, refused } from '../../fixtures/accounts';
import { PASSWORD, signUp, type Person } from '../../fixtures/people';
import { fillPath, operationsOf } from '../../fixtures/routes';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let admin: Person;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer();
  admin = await signUp(server.api, 'admin');
});
beforeEach(async () => {
  ada = await signUp(server.api, 'ada');
});
afterAll(() => server.close());

const act = (name: string, body?: object, { id } = ada, by = admin) =>
  server.api.post(`/api/admin/users/${id}/${name}`, body, by.token);
const setRole = (role: string, { id } = ada, by = admin) =>
  server.api.patch(`/api/admin/users/${id}/role`, { role }, by.token);
const auditLog = (query = {}, by = admin) => server.api.get('/api/admin/audit-log', by.token, query);
const entry = (action: string, details: object = {}) => ({
  action,
  actorId: new ObjectId(admin.id),
  targetId: new ObjectId(ada.id),
  address: '127.0.0.1',
  details,
});

describe('a change of role', () => {
  it('applies to open sessions at once, in both directions', async () => {
    expect((await auditLog({}, ada)).status).toBe(403);
    expect((await setRole('super_admin')).body.user.role).toBe('super_admin');
    expect((await auditLog({}, ada)).status).toBe(200);
    expect((await me(server.api, ada)).body.user.role).toBe('super_admin');
    await setRole('group_admin');
    expect((await auditLog({}, ada)).status).toBe(403);
    expect(await auditOf(server, ada)).toMatchObject([
      entry('user.role_changed', { role: 'super_admin' }),
      entry('user.role_changed', { role: 'group_admin' }),
    ]);
  });

  it('applies at once while many requests are in progress', async () => {
    await setRole('super_admin');
    for (let round = 0; round < 10; round++) {
      const under = Array.from({ length: 5 }, () => auditLog({ limit: 1 }, ada));
      await setRole('client');
      expect((await auditLog({}, ada)).status).toBe(403);
      for (const { status } of await Promise.all(under)) expect([200, 403]).toContain(status);
      await setRole('super_admin');
      expect((await auditLog({ limit: 1 }, ada)).status).toBe(200);
    }
    await setRole('client');
  });

  it('requires an existing role and an existing user', async () => {
    expect(await setRole('owner')).toMatchObject(refused(400, 'validation_failed'));
    expect(await setRole('client', { ...ada, id: '0'.repeat(24) })).toMatchObject(refused(404, 'not_found'));
  });
});

describe('a suspended user', () => {
  it('is refused everywhere as soon as the call returns, and learns the reason at log-in', async () => {
    const phone = await logInAgain(server.api, ada);
    expect((await act('suspend', { reason: 'Spam' })).status).toBe(200);
    expect(await me(server.api, ada)).toMatchObject(refused(401, 'session_revoked'));
    for (const device of [ada, phone]) expect(await isLoggedIn(server.api, device)).toEqual([false, false]);
    const answer = await login(server.api, ada);
    expect(answer).toMatchObject(refused(403, 'account_suspended'));
    expect(answer.body.error.details).toEqual({ reason: 'Spam', until: null });
    // Only the owner of the password learns the reason.
    expect(await login(server.api, ada, { password: 'wrong' })).toMatchObject(
      refused(401, 'invalid_credentials'),
    );
    expect(await auditOf(server, ada)).toMatchObject([
      entry('user.suspended', { reason: 'Spam', until: null }),
    ]);
  });

  it('who is restored can log in, but keeps no old session', async () => {
    await act('suspend', { reason: 'Spam' });
    expect((await act('restore')).status).toBe(200);
    expect(await isLoggedIn(server.api, ada)).toEqual([false, false]);
    expect(await isLoggedIn(server.api, await logInAgain(server.api, ada))).toEqual([true, true]);
    expect(await auditOf(server, ada, 'user.restored')).toMatchObject([entry('user.restored')]);
  });

  it('is the only kind of user that can be restored: a deactivated one is not, and nothing is logged', async () => {
    await server.api.post('/api/users/me/deactivate', { password: PASSWORD }, ada.token);
    const shown = async () =>
      (await server.api.get('/api/users', admin.token, { query: ada.username })).body.users.length;
    expect((await act('restore')).status).toBe(200);
    expect(await shown()).toBe(0);
    expect(await auditOf(server, ada)).toEqual([]);
    expect(await act('restore', undefined, { ...ada, id: '0'.repeat(24) })).toMatchObject(
      refused(404, 'not_found'),
    );
  });

  it('is restored automatically when the suspension expires', async () => {
    const until = new Date(Date.now() + 3600_000).toISOString();
    await act('suspend', { reason: 'An hour', until });
    const answer = await login(server.api, ada);
    expect(answer.body.error.details).toEqual({ reason: 'An hour', until });
    const { users } = server.context.database.collections;
    await users.updateOne({ _id: new ObjectId(ada.id) }, { $set: { 'suspension.until': new Date() } });
    expect(await isLoggedIn(server.api, await logInAgain(server.api, ada))).toEqual([true, true]);
    expect(await users.findOne({ _id: new ObjectId(ada.id) })).toMatchObject({
      state: 'active',
      suspension: null,
    });
  });

  it('needs a reason and an end in the future', async () => {
    const past = { reason: 'x', until: new Date(Date.now() - 1000).toISOString() };
    expect(await act('suspend', past)).toMatchObject(refused(400, 'validation_failed'));
    expect(await act('suspend', {})).toMatchObject(refused(400, 'validation_failed'));
    expect((await me(server.api, ada)).status).toBe(200);
  });

  it('stays suspended when suspended again during the log-in after the first suspension', async () => {
    const { users } = server.context.database.collections;
    for (let round = 0; round < 5; round++) {
      const bob = await signUp(server.api, 'bob');
      const over = { state: 'suspended' as const, suspension: { reason: 'x', until: new Date(0) } };
      await users.updateOne({ _id: new ObjectId(bob.id) }, { $set: over });
      const path = `/api/admin/users/${bob.id}/suspend`;
      const [answer] = await Promise.all([
        login(server.api, bob),
        server.api.post(path, { reason: 'again' }, admin.token),
      ]);
      expect(await users.findOne({ _id: new ObjectId(bob.id) })).toMatchObject({ state: 'suspended' });
      if (answer.status === 200)
        expect((await me(server.api, { token: answer.body.accessToken })).status).toBe(401);
    }
  });

  it('has no session, even with concurrent log-ins', async () => {
    for (let round = 0; round < 3; round++) {
      const logins = Array.from({ length: 4 }, () => login(server.api, ada));
      await act('suspend', { reason: 'x' });
      for (const { status, body } of await Promise.all(logins)) {
        if (status === 200) expect((await me(server.api, { token: body.accessToken })).status).toBe(401);
      }
      await act('restore');
    }
  });
});

describe('a forced log-out', () => {
  it('ends every session of the user, who may log in again', async () => {
    const phone = await logInAgain(server.api, ada);
    expect((await act('logout')).status).toBe(204);
    for (const device of [ada, phone]) expect(await isLoggedIn(server.api, device)).toEqual([false, false]);
    expect(await isLoggedIn(server.api, await logInAgain(server.api, ada))).toEqual([true, true]);
    expect(await auditOf(server, ada)).toMatchObject([entry('user.logged_out')]);
    expect(await act('logout', undefined, { ...ada, id: '0'.repeat(24) })).toMatchObject(
      refused(404, 'not_found'),
    );
  });
});

describe('the audit log', () => {
  it('is newest first, has pages, and contains no refused action', async () => {
    const { auditLog: stored } = server.context.database.collections;
    const before = await stored.countDocuments();
    await setRole('super_admin', ada, ada);
    await setRole('client', admin);
    await act('suspend', { reason: 'x' }, admin);
    expect(await stored.countDocuments()).toBe(before);
    for (const role of ['group_admin', 'client', 'group_admin']) await setRole(role);
    const first = (await auditLog({ limit: 2 })).body;
    const second = (await auditLog({ limit: 2, cursor: first.nextCursor })).body;
    const roles = [...first.entries, ...second.entries].slice(0, 3).map(({ details }) => details.role);
    expect(roles).toEqual(['group_admin', 'client', 'group_admin']);
    const ids = [...first.entries, ...second.entries].map(({ id }) => id);
    expect(ids).toEqual([...ids].sort().reverse());
    expect(first.entries[0]).toMatchObject({ actorId: admin.id, targetId: ada.id, address: '127.0.0.1' });
  });
});

describe('every route under /api/admin', () => {
  const id = new ObjectId().toHexString();
  /** The input that the schemas require, so that a call reaches the service. */
  const INPUT: Record<string, { body?: object; query?: object }> = {
    changeRole: { body: { role: 'client' } },
    suspendUser: { body: { reason: 'A test' } },
    banUser: { body: { reason: 'A test' } },
    deleteUser: { body: { reason: 'A test' } },
    transferAnyGroup: { body: { userId: id } },
    transferAnyChannel: { body: { userId: id } },
    endAnyCall: { body: { reason: 'A test' } },
    explainPermission: { query: { userId: id, action: 'group.create' } },
    setMaintenance: { body: { enabled: false } },
    createAnnouncement: { body: { body: 'Hello', level: 'info' } },
  };

  /**
   * Calls every route of the administration with a token, or only those that read.
   * @param refuses the layer that checks for an administrator; the other one is disabled.
   * @returns the operations by the error code that they returned.
   */
  async function callAll(
    { token }: Person,
    refuses: { middleware: boolean; services: boolean },
    methods = ['get', 'post', 'patch', 'put', 'delete'],
  ): Promise<Record<string, string[]>> {
    const { context } = server;
    const { services } = context;
    const requireSuperAdmin = refuses.middleware
      ? Access.prototype.requireSuperAdmin.bind(services.access)
      : () => undefined;
    const access = { requireSuperAdmin } as Access;
    if (!refuses.services) jest.spyOn(services.access, 'requireSuperAdmin').mockReturnValue(undefined);
    const app = createApp({ ...context, services: { ...services, access } });
    const document = (await server.api.get('/openapi.json')).body;
    const params = { userId: id, groupId: id, channelId: id, announcementId: id, callId: id };
    const answers: Record<string, string[]> = {};
    for (const { operationId, method, path } of operationsOf(document)) {
      if (!path.startsWith('/api/admin/') || !methods.includes(method)) continue;
      const { body, query } = INPUT[operationId] ?? {};
      const request = supertest(app)[method](fillPath(path, params)).set('Authorization', `Bearer ${token}`);
      if (query) void request.query(query);
      const answer = await (body ? request.send(body) : request);
      (answers[answer.body.error?.code ?? 'no error'] ??= []).push(operationId);
    }
    jest.restoreAllMocks();
    return answers;
  }

  it('is protected by both the middleware and the services, and each of them alone suffices', async () => {
    const all = await callAll(ada, { middleware: true, services: true });
    expect(Object.keys(all)).toEqual(['forbidden']);
    expect(all['forbidden']!.length).toBeGreaterThan(30);
    expect(await callAll(ada, { middleware: true, services: false })).toEqual(all);
    expect(await callAll(ada, { middleware: false, services: true })).toEqual(all);
    // So the two layers refuse the calls, and nothing else does.
    const neither = await callAll(ada, { middleware: false, services: false }, ['get']);
    expect(Object.keys(neither).sort()).toEqual(['no error', 'not_found']);
  });

  it('is refused before the input is validated, and also where no route exists', async () => {
    const calls = [
      ['get', '/api/admin/users/nobody', 400],
      ['put', '/api/admin/maintenance', 400],
      ['get', '/api/admin/nothing', 404],
      ['post', '/API/Admin/users//', 404],
      ['get', '/api/admin', 404],
    ] as const;
    for (const [method, path, otherwise] of calls) {
      const send = (token?: string) => server.api.call(method, path, { token });
      expect([path, await send()]).toMatchObject([path, refused(401, 'unauthenticated')]);
      expect([path, await send(ada.token)]).toMatchObject([path, refused(403, 'forbidden')]);
      expect([path, (await send(admin.token)).status]).toEqual([path, otherwise]);
    }
  });
});
