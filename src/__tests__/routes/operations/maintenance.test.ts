import { createApp } from '../../../app';
import { createContext } from '../../../context';
import { auditOf, logInAgain, login, me, refused } from '../../fixtures/accounts';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { mountedRoutes } from '../../fixtures/routes';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let admin: Person;
let ada: Person;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  ({ admin, ada } = await signUpAll(server.api, 'admin', 'ada'));
  ({ channelId } = await createRoom(server.api, ada));
});
afterEach(async () => {
  expect((await set({ enabled: false })).status).toBe(200);
});
afterAll(() => server.close());

const set = (body: object, by = admin) =>
  server.api.call('put', '/api/admin/maintenance', { token: by.token, body });
const MAINTENANCE = refused(503, 'maintenance');
const receives = ({ socket }: Client, event: 'maintenance:changed') =>
  new Promise((resolve) => socket.once(event, resolve));

describe('during maintenance', () => {
  it('everyone but super admins is refused, with the message and Retry-After', async () => {
    const until = new Date(Date.now() + 600_000).toISOString();
    const { status, body } = await set({ enabled: true, message: 'Moving house', until });
    expect([status, body.maintenance]).toEqual([200, { enabled: true, message: 'Moving house', until }]);
    const answer = await me(server.api, ada);
    expect(answer).toMatchObject(MAINTENANCE);
    const { retryAfter, ...error } = answer.body.error;
    expect(error).toMatchObject({ message: 'Moving house', details: { until } });
    expect(answer.headers['retry-after']).toBe(String(retryAfter));
    expect(retryAfter).toBeGreaterThan(590);
    expect(retryAfter).toBeLessThanOrEqual(600);
    const handshake = connect(server.url, ada.token, { reconnection: false });
    await expect(handshake).rejects.toMatchObject({
      data: { code: 'maintenance', retryAfter: expect.any(Number) },
    });
    const message = { clientMessageId: 'one', body: 'Hello' };
    const sent = await server.api.post(`/api/channels/${channelId}/messages`, message, ada.token);
    expect(sent).toMatchObject(MAINTENANCE);
    expect((await me(server.api, admin)).status).toBe(200);
    const shown = await server.api.get('/api/admin/maintenance', admin.token);
    expect(shown.body).toEqual(body);

    await set({ enabled: false });
    expect((await me(server.api, ada)).status).toBe(200);
    expect((await server.api.get('/api/admin/maintenance', admin.token)).body.maintenance).toEqual({
      enabled: false,
      message: '',
      until: null,
    });
  });

  it('every route is closed to anonymous callers except server information and log-in', async () => {
    await set({ enabled: true });
    const open: string[] = [];
    for (const route of mountedRoutes(createApp(server.context))) {
      const [method, path] = route.split(' ') as [string, string];
      const answer = await fetch(server.url + path.replace(/\{\w+\}/g, '0'.repeat(24)), { method });
      const error =
        answer.headers.get('content-type')?.includes('json') && ((await answer.json()) as any).error;
      // Callers without a token learn no more than that.
      if (!['maintenance', 'unauthenticated'].includes(error?.code)) open.push(route);
    }
    expect(open).toEqual([
      'GET /',
      'GET /asyncapi.json',
      'GET /health/live',
      'GET /health/ready',
      'GET /openapi.json',
      'POST /api/auth/login',
      'POST /api/auth/refresh',
    ]);
  });

  it('only super admins can log in and refresh; the tokens of others stay valid', async () => {
    await set({ enabled: true });
    expect(await login(server.api, ada)).toMatchObject(MAINTENANCE);
    expect(await login(server.api, ada, { password: 'wrong' })).toMatchObject(
      refused(401, 'invalid_credentials'),
    );
    const { refreshToken } = ada;
    expect(await server.api.post('/api/auth/refresh', { refreshToken })).toMatchObject(MAINTENANCE);
    const again = await logInAgain(server.api, admin);
    const refreshed = await server.api.post('/api/auth/refresh', { refreshToken: again.refreshToken });
    expect(refreshed.status).toBe(200);
    await set({ enabled: false });
    expect((await server.api.post('/api/auth/refresh', { refreshToken })).status).toBe(200);
  });

  it('open sockets are notified and their events refused; new ones are not admitted', async () => {
    const guest = await connect(server.url, ada.token);
    const chief = await connect(server.url, admin.token);
    const received = [receives(guest, 'maintenance:changed'), receives(chief, 'maintenance:changed')];
    await set({ enabled: true, message: 'Soon back' });
    const state = { enabled: true, message: 'Soon back', until: null };
    expect(await Promise.all(received)).toEqual([state, state]);
    const message = { channelId, clientMessageId: 'socket', body: 'Hello' };
    expect(await guest.ask('message:send', message)).toMatchObject({
      ok: false,
      error: { code: 'maintenance', message: 'Soon back' },
    });
    expect(await chief.ask('message:send', message)).toMatchObject({ ok: true });
    await expect(connect(server.url, ada.token)).rejects.toMatchObject({
      data: { code: 'maintenance', details: { until: null } },
    });
    const over = receives(guest, 'maintenance:changed');
    await set({ enabled: false });
    expect(await over).toMatchObject({ enabled: false });
    expect(await guest.ask('message:send', message)).toMatchObject({ ok: true });
    guest.close();
    chief.close();
  });

  it('a new super admin passes, and a former one does not', async () => {
    const second = await signUp(server.api, 'second');
    await set({ enabled: true });
    const setRole = (role: string) =>
      server.api.patch(`/api/admin/users/${second.id}/role`, { role }, admin.token);
    expect(await me(server.api, second)).toMatchObject(MAINTENANCE);
    await setRole('super_admin');
    expect((await me(server.api, second)).status).toBe(200);
    await setRole('client');
    expect(await me(server.api, second)).toMatchObject(MAINTENANCE);
  });

  it('it survives a restart', async () => {
    await set({ enabled: true, message: 'Still here' });
    const { config, database } = server.context;
    const context = await createContext(config, { database });
    await context.start();
    expect(context.services.maintenance.enabled).toBe(true);
    await context.close();
  });

  it('it is in the audit log', async () => {
    await set({ enabled: true, message: 'For the log' });
    const { body } = await server.api.get('/api/admin/audit-log', admin.token, {
      action: 'maintenance.changed',
    });
    expect(body.entries[0]).toMatchObject({
      actorId: admin.id,
      targetId: null,
      details: { enabled: 'true', message: 'For the log', until: null },
    });
    expect(await auditOf(server, ada, 'maintenance.changed')).toEqual([]);
  });
});

it.each<[object, string]>([
  [{}, 'nothing'],
  [{ enabled: 'yes' }, 'another type'],
  [{ enabled: true, until: '2020-01-01T00:00:00Z' }, 'an end in the past'],
  [{ enabled: false, until: '2999-01-01T00:00:00Z' }, 'an end of what is off'],
])('%j is refused: %s', async (body) => {
  expect(await set(body)).toMatchObject(refused(400, 'validation_failed'));
  expect((await me(server.api, ada)).status).toBe(200);
});
