import { createApp } from '../../app';
import type { AuditAction } from '../../models/audit.model';
import type { Call } from '../fixtures/api';
import { createRoom, signUp, type Person } from '../fixtures/people';
import { fillPath, mountedRoutes } from '../fixtures/routes';
import { startTestServer, type TestServer } from '../fixtures/server';

let server: TestServer;
let admin: Person;

beforeAll(async () => {
  server = await startTestServer();
  admin = await signUp(server.api, 'admin');
});
afterAll(() => server.close());

/** How a privileged act is done, and what the audit log says of it. */
interface Act {
  action: AuditAction;
  call?: Call | (() => Promise<Call>);
  /** Makes what stands in the path; the entry is about the first of it, unless there is none. */
  prepare?: () => Promise<Record<string, string>>;
}

/** That of somebody else. */
const someGroup = async () => {
  const { groupId } = await createRoom(server.api, await signUp(server.api));
  return { groupId };
};
const someUser = async () => ({ userId: (await signUp(server.api)).id });

/** Every route of the administration that changes something. A new one belongs here. */
const ACTS: Record<string, Act> = {
  'PATCH /api/admin/users/{userId}/role': {
    action: 'user.role_changed',
    call: { body: { role: 'group_admin' } },
    prepare: someUser,
  },
  'POST /api/admin/users/{userId}/suspend': {
    action: 'user.suspended',
    call: { body: { reason: 'A test' } },
    prepare: someUser,
  },
  'POST /api/admin/users/{userId}/ban': {
    action: 'user.banned',
    call: { body: { reason: 'A test' } },
    prepare: someUser,
  },
  'DELETE /api/admin/users/{userId}': {
    action: 'user.deleted',
    call: { body: { reason: 'A test' } },
    prepare: someUser,
  },
  'POST /api/admin/users/{userId}/reset-password': {
    action: 'user.password_reset_sent',
    prepare: someUser,
  },
  'POST /api/admin/users/{userId}/restore': {
    action: 'user.restored',
    prepare: async () => {
      const { userId } = await someUser();
      const path = `/api/admin/users/${userId}/suspend`;
      expect((await server.api.post(path, { reason: 'A test' }, admin.token)).status).toBe(200);
      return { userId };
    },
  },
  'POST /api/admin/users/{userId}/logout': { action: 'user.logged_out', prepare: someUser },
  'POST /api/admin/groups/{groupId}/archive': { action: 'group.archived', prepare: someGroup },
  'POST /api/admin/groups/{groupId}/restore': {
    action: 'group.restored',
    prepare: async () => {
      const at = await someGroup();
      const path = `/api/admin/groups/${at.groupId}/archive`;
      expect((await server.api.post(path, undefined, admin.token)).status).toBe(200);
      return at;
    },
  },
  'POST /api/admin/groups/{groupId}/transfer': {
    action: 'group.transferred',
    call: async () => ({ body: await someUser() }),
    prepare: someGroup,
  },
  'DELETE /api/admin/groups/{groupId}': { action: 'group.deleted', prepare: someGroup },
  'PUT /api/admin/maintenance': { action: 'maintenance.changed', call: { body: { enabled: false } } },
  'POST /api/admin/announcements': {
    action: 'announcement.created',
    call: { body: { body: 'Hello', level: 'info' } },
  },
  'DELETE /api/admin/announcements/{announcementId}': {
    action: 'announcement.ended',
    prepare: async () => {
      const announcement = { body: 'Hello', level: 'info' };
      const { body } = await server.api.post('/api/admin/announcements', announcement, admin.token);
      return { announcementId: body.announcement.id };
    },
  },
};

/** Routes that take data out of the server change nothing, and are in the log all the same. */
const TAKING_OUT: Record<string, Act> = {
  'GET /api/admin/audit-log/export': { action: 'audit_log.exported' },
  'GET /api/admin/export/users': { action: 'data.exported' },
  'GET /api/admin/export/groups': { action: 'data.exported' },
  'GET /api/admin/export/channels': { action: 'data.exported' },
  'GET /api/admin/export/messages': { action: 'data.exported' },
};

const isAdministration = (route: string) => route.includes(' /api/admin/');

it('every route of the administration that writes or exports is here', () => {
  const routes = mountedRoutes(createApp(server.context)).filter(isAdministration);
  const writes = routes.filter((route) => !route.startsWith('GET '));
  expect(writes).toEqual(Object.keys(ACTS).sort());
  expect(routes.filter((route) => route.includes('/export'))).toEqual(Object.keys(TAKING_OUT).sort());
});

it.each(Object.entries({ ...ACTS, ...TAKING_OUT }))(
  '%s is in the audit log when it is done',
  async (route, { action, call, prepare }) => {
    const { auditLog } = server.context.database.collections;
    const [method, path] = route.split(' ') as [string, string];
    const at = (await prepare?.()) ?? {};
    const before = await auditLog.countDocuments();
    const answer = await server.api.call(method.toLowerCase() as 'get', fillPath(path, at), {
      ...(typeof call === 'function' ? await call() : call),
      token: admin.token,
    });
    expect(answer.status).toBeLessThan(300);
    const [entry, ...more] = await auditLog.find({ seq: { $gt: before } }).toArray();
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ action, address: expect.stringContaining('127.0.0.1') });
    expect(entry!.actorId?.toHexString()).toBe(admin.id);
    const [target] = Object.values(at);
    if (target !== undefined) expect(entry!.targetId?.toHexString()).toBe(target);
  },
);

it('and none is when it is refused', async () => {
  const { auditLog } = server.context.database.collections;
  const client = await signUp(server.api);
  const before = await auditLog.countDocuments();
  for (const [route, { call }] of Object.entries({ ...ACTS, ...TAKING_OUT })) {
    const [method, path] = route.split(' ') as [string, string];
    const at = { userId: client.id, groupId: client.id, announcementId: client.id };
    const answer = await server.api.call(method.toLowerCase() as 'get', fillPath(path, at), {
      ...(typeof call === 'function' ? await call() : call),
      token: client.token,
    });
    expect([route, answer.status]).toEqual([route, 403]);
  }
  expect(await auditLog.countDocuments()).toBe(before);
});
