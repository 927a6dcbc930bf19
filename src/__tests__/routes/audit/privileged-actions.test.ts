import { randomUUID } from 'node:crypto';
import { createApp } from '../../../app';
import type { AuditAction } from '../../../models/audit/audit.model';
import { ACCESS_TABLE, type Row } from '../../fixtures/access-table';
import type { Api, Call } from '../../fixtures/api';
import { avatarPart, PICTURE, setGroupAvatar } from '../../fixtures/images';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { fillPath, mountedRoutes } from '../../fixtures/routes';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let api: Api;
let admin: Person;
let owner: Person;
let member: Person;
/** A user without relation to any group; a new one where actions end an account. */
let stranger: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ api } = server);
  ({ admin, owner, member, stranger } = await signUpAll(api, 'admin', 'owner', 'member', 'stranger'));
});
afterAll(() => server.close());

/** The ids with which paths are filled. */
type Ids = Record<string, string>;

/** How a privileged action is performed, and its entry in the audit log. */
interface Action {
  action: AuditAction;
  call?: (at: Ids) => Call;
  /** What must happen before it; may add ids for the path. */
  before?: (at: Ids) => Promise<Ids | void>;
}

const does = (
  action: AuditAction,
  body?: object | ((at: Ids) => object),
  before?: Action['before'],
): Action => ({
  action,
  ...(body && { call: (at) => ({ body: typeof body === 'function' ? body(at) : body }) }),
  ...(before && { before }),
});

/** A preparation that must succeed. */
async function succeed(
  method: 'post' | 'put' | 'patch',
  path: string,
  by: Person,
  body?: object,
): Promise<any> {
  const answer = await api.call(method, path, { token: by.token, body });
  expect([path, answer.status < 300]).toEqual([path, true]);
  return answer.body;
}
const bySuperAdmin = (path: string, body?: object) => succeed('post', path, admin, body);
const byOwner = (path: string, body?: object) => succeed('post', path, owner, body);

const newUser = async () => ({ userId: (await signUp(api)).id });
const newcomer = () => ({ userId: stranger.id });
const reason = { reason: 'A test' };
/** The group accepts members by request, and the stranger has requested to join. */
async function asked({ groupId }: Ids): Promise<Ids> {
  await succeed('patch', `/api/groups/${groupId}`, owner, { visibility: 'public', joinPolicy: 'approval' });
  await succeed('post', `/api/groups/${groupId}/join-requests`, stranger, {});
  return newcomer();
}
async function closed({ channelId }: Ids): Promise<void> {
  await succeed('patch', `/api/channels/${channelId}`, owner, { visibility: 'private' });
}
const claimed = async ({ reportId }: Ids) => {
  await byOwner(`/api/reports/${reportId}/claim`);
};
async function announced(): Promise<Ids> {
  const { announcement } = await bySuperAdmin('/api/admin/announcements', { body: 'Hello', level: 'info' });
  return { announcementId: announcement.id };
}

/** The member has started a call. */
async function called({ channelId }: Ids): Promise<Ids> {
  const { call } = await succeed('post', '/api/video-calls', member, { channelId });
  return { callId: call.id };
}

/** The actions, performed by a super admin under /api/admin and by the owner of the group elsewhere. */
const ACTIONS: Record<string, Action> = {
  'PATCH /api/admin/users/{userId}/role': does('user.role_changed', { role: 'group_admin' }, newUser),
  'POST /api/admin/users/{userId}/suspend': does('user.suspended', reason, newUser),
  'POST /api/admin/users/{userId}/ban': does('user.banned', reason, newUser),
  'DELETE /api/admin/users/{userId}': does('user.deleted', reason, newUser),
  'POST /api/admin/users/{userId}/reset-password': does('user.password_reset_sent', undefined, newUser),
  'POST /api/admin/users/{userId}/restore': does('user.restored', undefined, async () => {
    const { userId } = await newUser();
    await bySuperAdmin(`/api/admin/users/${userId}/suspend`, reason);
    return { userId };
  }),
  'POST /api/admin/users/{userId}/logout': does('user.logged_out', undefined, newUser),
  'POST /api/admin/groups/{groupId}/archive': does('group.archived'),
  'POST /api/admin/groups/{groupId}/restore': does('group.restored', undefined, async ({ groupId }) => {
    await bySuperAdmin(`/api/admin/groups/${groupId}/archive`);
  }),
  'POST /api/admin/groups/{groupId}/transfer': does('group.transferred', newcomer),
  'DELETE /api/admin/groups/{groupId}': does('group.deleted'),
  'POST /api/admin/channels/{channelId}/archive': does('channel.archived'),
  'POST /api/admin/channels/{channelId}/restore': does(
    'channel.restored',
    undefined,
    async ({ channelId }) => {
      await bySuperAdmin(`/api/admin/channels/${channelId}/archive`);
    },
  ),
  'POST /api/admin/channels/{channelId}/transfer': does('channel.transferred', ({ userId }) => ({ userId })),
  'DELETE /api/admin/channels/{channelId}': does('channel.deleted'),
  'POST /api/admin/video-calls/{callId}/end': does('call.ended', reason, called),
  'PUT /api/admin/maintenance': does('maintenance.changed', { enabled: false }),
  'POST /api/admin/announcements': does('announcement.created', { body: 'Hello', level: 'info' }),
  'DELETE /api/admin/announcements/{announcementId}': does('announcement.ended', undefined, announced),

  'PATCH /api/groups/{groupId}': does('group.updated', { description: 'Another' }),
  'PUT /api/groups/{groupId}/avatar': {
    action: 'group.avatar_changed',
    call: () => ({ files: [avatarPart(PICTURE)] }),
  },
  'DELETE /api/groups/{groupId}/avatar': does('group.avatar_changed', undefined, async ({ groupId }) => {
    await setGroupAvatar(api, owner, groupId!);
  }),
  'POST /api/groups/{groupId}/archive': does('group.archived'),
  'POST /api/groups/{groupId}/restore': does('group.restored', undefined, async ({ groupId }) => {
    await byOwner(`/api/groups/${groupId}/archive`);
  }),
  'POST /api/groups/{groupId}/transfer': does('group.transferred', ({ userId }) => ({ userId })),
  'DELETE /api/groups/{groupId}': does('group.deleted'),
  'POST /api/groups/{groupId}/members': does('member.added', newcomer),
  'PATCH /api/groups/{groupId}/members/{userId}': does('member.role_changed', { role: 'moderator' }),
  'DELETE /api/groups/{groupId}/members/{userId}': does('member.removed'),
  'PUT /api/groups/{groupId}/bans/{userId}': does('member.banned', reason),
  'DELETE /api/groups/{groupId}/bans/{userId}': does(
    'member.unbanned',
    undefined,
    async ({ groupId, userId }) => {
      await succeed('put', `/api/groups/${groupId}/bans/${userId}`, owner, reason);
    },
  ),
  'POST /api/groups/{groupId}/join-requests/{userId}/approve': does(
    'join_request.approved',
    undefined,
    asked,
  ),
  'POST /api/groups/{groupId}/join-requests/{userId}/reject': does('join_request.rejected', {}, asked),
  'POST /api/groups/{groupId}/invites': does('invite.created', {}),
  'DELETE /api/groups/{groupId}/invites/{inviteId}': does('invite.revoked'),

  'POST /api/channels': does('channel.created', ({ groupId }) => ({ groupId, name: randomUUID() })),
  'PATCH /api/channels/{channelId}': does('channel.updated', { topic: 'Another' }),
  'POST /api/channels/{channelId}/archive': does('channel.archived'),
  'POST /api/channels/{channelId}/restore': does('channel.restored', undefined, async ({ channelId }) => {
    await byOwner(`/api/channels/${channelId}/archive`);
  }),
  'POST /api/channels/{channelId}/transfer': does('channel.transferred', ({ userId }) => ({ userId })),
  'DELETE /api/channels/{channelId}': does('channel.deleted'),
  'POST /api/channels/{channelId}/members': does(
    'channel.member_added',
    ({ userId }) => ({ userId }),
    closed,
  ),
  'DELETE /api/channels/{channelId}/members/{userId}': does(
    'channel.member_removed',
    undefined,
    async (at) => {
      await closed(at);
      await byOwner(`/api/channels/${at.channelId}/members`, { userId: at.userId });
    },
  ),
  'PUT /api/channels/{channelId}/restrictions/{userId}': does('channel.user_muted', {
    kind: 'muted',
    ...reason,
  }),
  'DELETE /api/channels/{channelId}/restrictions/{userId}': does(
    'channel.restriction_ended',
    undefined,
    async ({ channelId, userId }) => {
      await succeed('put', `/api/channels/${channelId}/restrictions/${userId}`, owner, { kind: 'banned' });
    },
  ),
  'PUT /api/channels/{channelId}/retention': does('channel.retention_changed', { days: 30 }),
  'PUT /api/groups/{groupId}/channel-order': does(
    'group.channels_arranged',
    ({ channelId, otherId }) => ({ channelIds: [otherId, channelId] }),
    async ({ groupId }) => {
      const { channel } = await byOwner('/api/channels', { groupId, name: 'other' });
      return { otherId: channel.id };
    },
  ),
  'PUT /api/groups/{groupId}/default-channel': does('group.default_channel_set', ({ channelId }) => ({
    channelId,
  })),

  'POST /api/video-calls/{callId}/end': does('call.ended', undefined, called),
  'DELETE /api/messages/{messageId}': does('message.deleted'),
  'PUT /api/messages/{messageId}/pin': does('message.pinned'),
  'DELETE /api/messages/{messageId}/pin': does('message.unpinned', undefined, async ({ messageId }) => {
    await succeed('put', `/api/messages/${messageId}/pin`, owner);
  }),
  'POST /api/reports/{reportId}/claim': does('report.claimed'),
  'POST /api/reports/{reportId}/release': does('report.released', undefined, claimed),
  'POST /api/reports/{reportId}/resolve': does('report.resolved', { action: 'dismiss' }, claimed),
};

/** Routes that export data change nothing, and are in the log nevertheless. */
const TAKING_OUT: Record<string, Action> = {
  'GET /api/admin/audit-log/export': does('audit_log.exported'),
  'GET /api/admin/export/users': does('data.exported'),
  'GET /api/admin/export/groups': does('data.exported'),
  'GET /api/admin/export/channels': does('data.exported'),
  'GET /api/admin/export/messages': does('data.exported'),
};

/**
 * Whether a write requires a role according to the access table: a plain member of the group, or any account where
 * there is no group, is refused what a super admin may do.
 */
function takesRole({ method, statuses }: Row): boolean {
  const least = statuses.member ?? statuses.client;
  return method !== 'get' && (least === 403 || least === 404) && statuses.super_admin !== least;
}

const nameOf = ({ method, path }: Row) => `${method.toUpperCase()} ${path}`;

it('this file covers every write that requires a role, and every export', () => {
  const usual = ACCESS_TABLE.filter(
    (row, index) => ACCESS_TABLE.findIndex((other) => nameOf(other) === nameOf(row)) === index,
  );
  expect(Object.keys(ACTIONS).sort()).toEqual(usual.filter(takesRole).map(nameOf).sort());
  const exports = mountedRoutes(createApp(server.context)).filter((route) => /^GET .*\/export/.test(route));
  // Exporting one's own data is not a privileged action.
  expect(exports.filter((route) => !route.includes('/me/'))).toEqual(Object.keys(TAKING_OUT).sort());
});

/** A group of the owner with a member who has sent a message, which is reported if necessary. */
async function fixture({ reported }: { reported: boolean }): Promise<Ids> {
  const room = await createRoom(api, owner, [member]);
  const message = { clientMessageId: randomUUID(), body: 'Hello' };
  const sent = await succeed('post', `/api/channels/${room.channelId}/messages`, member, message);
  const report = reported && (await byOwner(`/api/messages/${sent.message.id}/report`, { category: 'spam' }));
  const { invite } = await byOwner(`/api/groups/${room.groupId}/invites`, {});
  return {
    ...room,
    userId: member.id,
    messageId: sent.message.id,
    inviteId: invite.id,
    ...(report && { reportId: report.report.id }),
  };
}

const isAdministration = (route: string) => route.includes(' /api/admin/');

function perform(route: string, at: Ids, { call }: Action, by: Person) {
  const [method, path] = route.split(' ') as [string, string];
  const input = { ...call?.(at), token: by.token };
  return api.call(method.toLowerCase() as 'get', fillPath(path, at), input);
}

it.each(Object.entries({ ...ACTIONS, ...TAKING_OUT }))(
  '%s is in the audit log after it succeeds',
  async (route, act) => {
    const { auditLog } = server.context.database.collections;
    const there = await fixture({ reported: route.includes('{reportId}') });
    const at: Ids = { ...there, ...(await act.before?.(there)) };
    const by = isAdministration(route) ? admin : owner;
    const [last] = await auditLog.find().sort({ seq: -1 }).limit(1).toArray();
    const answer = await perform(route, at, act, by);
    expect(answer.status).toBeLessThan(300);
    // The use of super admin rights in a foreign group is a separate entry.
    const added = { seq: { $gt: last!.seq }, action: { $ne: 'super_admin.entered' as const } };
    const [entry, ...more] = await auditLog.find(added).toArray();
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ action: act.action, address: expect.stringContaining('127.0.0.1') });
    expect(entry!.actorId?.toHexString()).toBe(by.id);
    const [about] = /\{(\w+)\}/.exec(route)?.slice(1) ?? [];
    if (about !== undefined) expect(entry!.targetId?.toHexString()).toBe(at[about]);
  },
);

it('a refused privileged action has no audit entry', async () => {
  const { auditLog } = server.context.database.collections;
  const there: Ids = {
    ...(await fixture({ reported: true })),
    ...(await announced()),
    otherId: '0'.repeat(24),
  };
  // Users may do more to themselves and to their own objects.
  const own = { clientMessageId: randomUUID(), body: 'Hello' };
  const { message } = await succeed('post', `/api/channels/${there.channelId}/messages`, owner, own);
  const { channelId } = there;
  const { call } = await succeed('post', '/api/video-calls', owner, { channelId });
  const at = { ...there, userId: owner.id, messageId: message.id, callId: call.id };
  const before = await auditLog.countDocuments();
  for (const [route, act] of Object.entries({ ...ACTIONS, ...TAKING_OUT })) {
    const answer = await perform(route, at, act, member);
    expect([route, [403, 404].includes(answer.status)]).toEqual([route, true]);
  }
  expect(await auditLog.countDocuments()).toBe(before);
});
