import { ObjectId } from 'mongodb';
import { auditOf, isLoggedIn, logInAgain, me, refused } from '../../fixtures/accounts';
import { signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer();
});
beforeEach(async () => {
  ada = await signUp(server.api, 'ada');
});
afterAll(() => server.close());

const list = async ({ token }: Person): Promise<any[]> =>
  (await server.api.get('/api/auth/sessions', token)).body.sessions;
const revoke = (id: string, { token }: Person) => server.api.delete(`/api/auth/sessions/${id}`, token);
const currentId = async (person: Person): Promise<string> =>
  (await list(person)).find(({ current }) => current).id;

describe('the list of sessions', () => {
  it('shows device, address and times of each, and marks the current one', async () => {
    const before = new Date().toISOString();
    const { body } = await server.api.call('post', '/api/auth/login', {
      body: { identifier: ada.username, password: 'correct horse battery' },
      headers: { 'User-Agent': 'Telephone/1.0' },
    });
    const sessions = await list({ ...ada, token: body.accessToken });
    expect(sessions.map(({ current }) => current).sort()).toEqual([false, true]);
    const phone = sessions.find(({ current }) => current);
    expect(phone).toMatchObject({ userAgent: 'Telephone/1.0', address: '127.0.0.1' });
    expect(phone.createdAt >= before && phone.lastSeenAt >= phone.createdAt).toBe(true);
    const days = (Date.parse(phone.expiresAt) - Date.parse(phone.lastSeenAt)) / 86_400_000;
    expect(days).toBe(30);
    expect(JSON.stringify(sessions)).not.toContain('Hash');
  });

  it('begins with the most recently used one, and reflects a refresh', async () => {
    const phone = await logInAgain(server.api, ada);
    const [phoneId, laptopId] = [await currentId(phone), await currentId(ada)];
    await server.api.post('/api/auth/refresh', { refreshToken: ada.refreshToken });
    expect((await list(ada)).map(({ id }) => id)).toEqual([laptopId, phoneId]);
    await server.api.post('/api/auth/refresh', { refreshToken: phone.refreshToken });
    expect((await list(ada)).map(({ id }) => id)).toEqual([phoneId, laptopId]);
  });

  it('truncates long device names, and contains no session of other users', async () => {
    const answer = await server.api.call('post', '/api/auth/login', {
      body: { identifier: ada.username, password: 'correct horse battery' },
      headers: { 'User-Agent': 'x'.repeat(5000) },
    });
    const bob = await signUp(server.api, 'bob');
    const sessions = await list({ ...ada, token: answer.body.accessToken });
    expect(sessions.map(({ userAgent }) => userAgent.length)).toContain(256);
    expect(sessions.map(({ id }) => id)).not.toContain(await currentId(bob));
    expect(await list(bob)).toHaveLength(1);
  });

  it('has pages without ended sessions', async () => {
    const devices = [ada];
    for (let each = 0; each < 4; each++) devices.push(await logInAgain(server.api, ada));
    await server.api.post('/api/auth/logout', undefined, devices[2]!.token);
    // All have the same time, so that they are ordered by id.
    const { sessions } = server.context.database.collections;
    await sessions.updateMany({ userId: new ObjectId(ada.id) }, { $set: { lastSeenAt: new Date() } });
    const page = (query: Record<string, unknown>) => server.api.get('/api/auth/sessions', ada.token, query);
    const whole = (await page({})).body;
    expect([whole.sessions.length, whole.nextCursor]).toEqual([4, null]);
    const first = (await page({ limit: 3 })).body;
    const second = (await page({ limit: 3, cursor: first.nextCursor })).body;
    expect([...first.sessions, ...second.sessions]).toEqual(whole.sessions);
    expect([second.sessions.length, second.nextCursor]).toEqual([1, null]);
    for (const query of [{ limit: 0 }, { limit: 201 }, { cursor: ada.id }]) {
      expect(await page(query)).toMatchObject(refused(400, 'validation_failed'));
    }
  });

  it('leaves out ended sessions', async () => {
    const phone = await logInAgain(server.api, ada);
    await server.api.post('/api/auth/logout', undefined, phone.token);
    expect(await list(ada)).toHaveLength(1);
  });
});

describe('revoking', () => {
  it('one session ends that one and no other, as soon as the call returns', async () => {
    const phone = await logInAgain(server.api, ada);
    expect((await revoke(await currentId(phone), ada)).status).toBe(204);
    expect(await me(server.api, phone)).toMatchObject(refused(401, 'session_revoked'));
    expect(await isLoggedIn(server.api, phone)).toEqual([false, false]);
    expect(await isLoggedIn(server.api, ada)).toEqual([true, true]);
  });

  it('the current session logs out', async () => {
    expect((await revoke(await currentId(ada), ada)).status).toBe(204);
    expect(await isLoggedIn(server.api, ada)).toEqual([false, false]);
  });

  it('a session of another user, an ended one or an unknown one is not found', async () => {
    const bob = await signUp(server.api, 'bob');
    expect(await revoke(await currentId(bob), ada)).toMatchObject(refused(404, 'not_found'));
    expect(await isLoggedIn(server.api, bob)).toEqual([true, true]);
    const phone = await logInAgain(server.api, ada);
    const id = await currentId(phone);
    await revoke(id, ada);
    expect(await revoke(id, ada)).toMatchObject(refused(404, 'not_found'));
    expect(await revoke('0'.repeat(24), ada)).toMatchObject(refused(404, 'not_found'));
  });

  it('all sessions ends those of one user only', async () => {
    const devices = [ada, await logInAgain(server.api, ada), await logInAgain(server.api, ada)];
    const bob = await signUp(server.api, 'bob');
    expect((await server.api.post('/api/auth/logout-everywhere', undefined, ada.token)).status).toBe(204);
    for (const device of devices) expect(await isLoggedIn(server.api, device)).toEqual([false, false]);
    expect(await isLoggedIn(server.api, bob)).toEqual([true, true]);
    expect(await isLoggedIn(server.api, await logInAgain(server.api, ada))).toEqual([true, true]);
  });

  it('all sessions either ends concurrently opened sessions or leaves them fully usable', async () => {
    for (let round = 0; round < 5; round++) {
      const person = await logInAgain(server.api, ada);
      const [late, answer] = await Promise.all([
        logInAgain(server.api, ada),
        server.api.post('/api/auth/logout-everywhere', undefined, person.token),
      ]);
      expect(answer.status).toBe(204);
      const [access, refresh] = await isLoggedIn(server.api, late);
      expect(access).toBe(refresh);
      expect(await isLoggedIn(server.api, person)).toEqual([false, false]);
    }
  });
});

describe('the reuse of a refresh token', () => {
  it('is in the audit log, with the address and the session', async () => {
    const sessionId = await currentId(ada);
    const { refreshToken } = ada;
    const refresh = () => server.api.post('/api/auth/refresh', { refreshToken });
    for (let time = 0; time < 3; time++) expect((await refresh()).status).toBe(200);
    expect(await auditOf(server, ada)).toEqual([]);
    const { body } = await refresh();
    await server.api.post('/api/auth/refresh', { refreshToken: body.refreshToken });
    for (let time = 0; time < 3; time++) expect((await refresh()).status).toBe(401);
    const entries = await auditOf(server, ada);
    expect(entries).toMatchObject([
      { action: 'session.token_reused', actorId: null, address: '127.0.0.1', details: { sessionId } },
    ]);
  });
});
