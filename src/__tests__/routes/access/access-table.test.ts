import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectId } from 'mongodb';
import { createApp } from '../../../app';
import { createContext } from '../../../context';
import type { GroupRole } from '../../../models/group.model';
import { startServer } from '../../../start-server';
import { startCall } from '../../../services/calls/call-machine';
import { ACCESS_TABLE, GROUP_ROLES, ROLES, type Role, type Row } from '../../fixtures/access-table';
import { createApi, type Answer, type Api, type Call } from '../../fixtures/api';
import { copyPerson, copyRoom, createRoomTemplate, type RoomTemplate } from '../../fixtures/copies';
import { avatarPart, nameOf, PICTURE, setAvatar } from '../../fixtures/images';
import { filePart } from '../../fixtures/uploads';
import { PASSWORD, signUpAll, type Person } from '../../fixtures/people';
import { fillPath, mountedRoutes } from '../../fixtures/routes';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
/** The same installation under GROUP_CREATION=group_admins. */
let restricted: { api: Api; close(): Promise<void> };
let admin: Person;
let guest: Person;
let stranger: Person;
let companion: Person;
let avatarName: string;

beforeAll(async () => {
  server = await startTestServer();
  restricted = await startRestricted();
  ({
    root: admin,
    guest,
    stranger,
    companion,
  } = await signUpAll(server.api, 'root', 'guest', 'stranger', 'companion'));
  avatarName = nameOf((await setAvatar(server.api, admin)).body.user.avatarUrl);
});
afterAll(async () => {
  await restricted.close();
  await server.close();
});

async function startRestricted(): Promise<typeof restricted> {
  const { config, database } = server.context;
  const context = await createContext({ ...config, groups: { creation: 'group_admins' } }, { database });
  const running = await startServer(context);
  return {
    api: await createApi(running.url),
    close: async () => {
      await running.close();
      await context.close();
    },
  };
}

/** The caller, and the ids with which paths are filled. */
interface Fixture {
  actor: Person;
  sessionId: string;
  /** A member of the group, and of the channel if it is private. */
  userId: string;
  groupId: string;
  channelId: string;
  /** A message of the group's owner. */
  messageId: string;
  /** A reply of the guest to that message. */
  reportId: string;
  /** An invite into the group. */
  inviteId: string;
  code: string;
  emoji: string;
  announcementId: string;
  notificationId: string;
  scheduledMessageId: string;
  /** A call in the channel. */
  callId: string;
  /** An upload on the message, or on none yet. */
  attachmentId: string;
  /** The name of an avatar file. */
  name: string;
  /** Whether a list is that of all groups. */
  wholeServer: boolean;
  /** Whether a list is that of the channel. */
  byChannel: boolean;
}

/** The body, query and headers of each call beside its path. */
const CALLS: Record<string, (fixture: Fixture) => Call> = {
  'post /api/auth/register': () => {
    const username = `r${randomUUID().slice(0, 20)}`;
    return { body: { username, email: `${username}@example.org`, password: PASSWORD } };
  },
  'post /api/auth/login': ({ actor }) => ({ body: { identifier: actor.username, password: PASSWORD } }),
  'post /api/auth/refresh': ({ actor }) => ({ body: { refreshToken: actor.refreshToken } }),
  'post /api/auth/password': () => ({ body: { password: PASSWORD, newPassword: `${PASSWORD} 2` } }),
  'post /api/auth/password/forgot': ({ actor }) => ({ body: { email: `${actor.username}@example.org` } }),
  'post /api/auth/password/reset': () => ({ body: { token: 'invented', newPassword: `${PASSWORD} 2` } }),
  'post /api/auth/email': () => ({ body: { password: PASSWORD, email: `${randomUUID()}@example.org` } }),
  'post /api/auth/email/verify': () => ({ body: { token: 'invented' } }),
  'post /api/auth/email/stop': () => ({ body: { token: 'invented' } }),
  'post /api/auth/totp/setup': () => ({ body: { password: PASSWORD } }),
  'post /api/auth/totp/enable': () => ({ body: { code: '123456' } }),
  'post /api/auth/totp/disable': () => ({ body: { password: PASSWORD } }),
  'post /api/auth/totp/recovery-codes': () => ({ body: { password: PASSWORD } }),
  'get /api/users': () => ({ query: { query: 'a' } }),
  'post /api/upload': () => ({ files: [filePart('hello', 'note.txt')] }),
  'post /api/upload/links': ({ attachmentId }) => ({ body: { attachmentIds: [attachmentId] } }),
  'get /uploads/files/{attachmentId}': ({ actor, sessionId, attachmentId }) => ({
    query: { ticket: actor.id ? ticketFor(actor, sessionId, attachmentId) : 'invented' },
  }),
  'put /api/users/me/avatar': () => ({ files: [avatarPart(PICTURE)] }),
  'put /api/groups/{groupId}/avatar': () => ({ files: [avatarPart(PICTURE)] }),
  'patch /api/users/me': () => ({ body: { bio: 'Hello' } }),
  'delete /api/users/me': () => ({ body: { password: PASSWORD } }),
  'post /api/users/me/deactivate': () => ({ body: { password: PASSWORD } }),
  'patch /api/client/preferences': () => ({ body: { locale: 'pt' } }),
  'patch /api/admin/users/{userId}/role': () => ({ body: { role: 'group_admin' } }),
  'post /api/admin/users/{userId}/suspend': () => ({ body: { reason: 'A test' } }),
  'post /api/admin/users/{userId}/ban': () => ({ body: { reason: 'A test' } }),
  'delete /api/admin/users/{userId}': () => ({ body: { reason: 'A test' } }),
  'post /api/admin/groups/{groupId}/transfer': ({ userId }) => ({ body: { userId } }),
  'get /api/admin/permissions/explain': ({ actor, userId }) => ({
    query: { userId: actor.id || userId, action: 'group.create' },
  }),
  'put /api/admin/maintenance': () => ({ body: { enabled: false } }),
  'post /api/admin/announcements': () => ({ body: { body: 'Hello', level: 'info' } }),
  'post /api/client/scheduled-messages': ({ channelId }) => ({
    body: { channelId, body: 'Later', sendAt: new Date(Date.now() + 3_600_000).toISOString() },
  }),
  'patch /api/client/scheduled-messages/{scheduledMessageId}': () => ({ body: { body: 'Otherwise' } }),
  'put /api/client/drafts/{channelId}': () => ({ body: { body: 'Not yet' } }),
  'get /api/search/messages': () => ({ query: { query: 'hello' } }),
  'post /api/groups': () => ({ body: { name: randomUUID(), visibility: 'private' } }),
  'patch /api/groups/{groupId}': () => ({ body: { description: 'Another' } }),
  'post /api/groups/{groupId}/transfer': ({ userId }) => ({ body: { userId } }),
  'patch /api/groups/{groupId}/members/{userId}': () => ({ body: { role: 'moderator' } }),
  'put /api/groups/{groupId}/bans/{userId}': () => ({ body: { reason: 'A test' } }),
  'post /api/groups/{groupId}/join-requests': () => ({ body: { note: 'Let me in' } }),
  'post /api/groups/{groupId}/join-requests/{userId}/reject': () => ({ body: {} }),
  'post /api/groups/{groupId}/invites': () => ({ body: {} }),
  'post /api/invites/accept': ({ code }) => ({ body: { code } }),
  'post /api/groups/{groupId}/members': () => ({ body: { userId: stranger.id } }),
  'post /api/channels': ({ groupId }) => ({ body: { groupId, name: randomUUID() } }),
  'get /api/channels': ({ groupId }) => ({ query: { groupId } }),
  'patch /api/channels/{channelId}': () => ({ body: { topic: 'Another' } }),
  'post /api/channels/{channelId}/transfer': ({ userId }) => ({ body: { userId } }),
  'post /api/admin/channels/{channelId}/transfer': ({ userId }) => ({ body: { userId } }),
  'post /api/channels/{channelId}/members': ({ userId }) => ({ body: { userId } }),
  'put /api/channels/{channelId}/restrictions/{userId}': () => ({
    body: { kind: 'muted', reason: 'A test' },
  }),
  'put /api/groups/{groupId}/channel-order': ({ channelId }) => ({ body: { channelIds: [channelId] } }),
  'put /api/groups/{groupId}/default-channel': ({ channelId }) => ({ body: { channelId } }),
  'post /api/direct-messages': ({ userId }) => ({ body: { userIds: [userId] } }),
  'post /api/direct-messages/{channelId}/people': () => ({ body: { userIds: [stranger.id] } }),
  'put /api/channels/{channelId}/retention': () => ({ body: { days: 30 } }),
  'put /api/channels/{channelId}/read': () => ({ body: { seq: 1 } }),
  'post /api/channels/{channelId}/unread': () => ({ body: { seq: 1 } }),
  'post /api/client/sync': () => ({ body: { since: {} } }),
  'post /api/channels/{channelId}/messages': () => ({
    body: { clientMessageId: randomUUID(), body: 'Hello' },
  }),
  'get /api/video-calls': ({ channelId, byChannel }) => ({ query: byChannel ? { channelId } : {} }),
  'post /api/video-calls': ({ channelId }) => ({ body: { channelId } }),
  'post /api/video-calls/{callId}/accept': () => ({ body: {} }),
  'post /api/video-calls/{callId}/join': () => ({ body: {} }),
  'post /api/video-calls/{callId}/invite': ({ userId }) => ({ body: { userIds: [userId] } }),
  'post /api/video-calls/{callId}/quality': ({ userId }) => ({
    body: { reports: [{ userId, jitterMs: 1 }] },
  }),
  'post /api/admin/video-calls/{callId}/end': () => ({ body: { reason: 'A test' } }),
  'patch /api/video-calls/{callId}/media': () => ({ body: { hand: true } }),
  'post /api/messages/{messageId}/report': () => ({ body: { category: 'spam' } }),
  'get /api/reports': ({ groupId, wholeServer }) => ({ query: wholeServer ? {} : { groupId } }),
  'post /api/reports/{reportId}/resolve': () => ({ body: { action: 'dismiss' } }),
  'put /api/channels/{channelId}/notification-setting': () => ({ body: { notificationLevel: 'mentions' } }),
  'post /api/messages/{messageId}/forward': ({ channelId }) => ({
    body: { channelId, clientMessageId: randomUUID() },
  }),
  'put /api/messages/{messageId}/thread-read': () => ({ body: { seq: 1 } }),
  'patch /api/messages/{messageId}': () => ({ body: { body: 'Edited' } }),
};

const collections = () => server.context.database.collections;
const sessionOf = async ({ id }: Person) =>
  (await collections().sessions.findOne({ userId: new ObjectId(id) }))!._id.toHexString();

/** The query of a signed URL for a file. */
function ticketFor({ id }: Person, sessionId: string, attachmentId: string): string {
  const caller = { userId: new ObjectId(id), sessionId: new ObjectId(sessionId) };
  const { links } = server.context.services.uploads.link({ ...caller, role: 'client', address: '' }, [
    attachmentId,
  ]);
  return new URL(links[0]!.url, server.url).searchParams.get('ticket')!;
}

/** Stores a file of a user, whether they could upload it or not. @returns its id. */
async function addUpload({ id }: Person): Promise<string> {
  const _id = new ObjectId();
  await server.context.database.collections.uploads.insertOne({
    _id,
    userId: new ObjectId(id || guest.id),
    name: 'note.txt',
    mediaType: 'text/plain',
    size: 5,
    storedBytes: 4096,
    uses: 0,
    reservedFor: null,
    createdAt: new Date(),
  });
  await writeFile(join(server.context.config.uploadDir, 'files', _id.toHexString()), 'hello');
  return _id.toHexString();
}

/** A new user with a role. The role is stored before anything has read it. */
async function createActor(role: Role): Promise<Person> {
  if (role === 'anonymous') return { id: '', username: 'nobody', token: '', refreshToken: 'nothing' };
  const actor = await copyPerson(server, stranger, role.replace('_', ''));
  if (role === 'group_admin' || role === 'super_admin') {
    await collections().users.updateOne({ _id: new ObjectId(actor.id) }, { $set: { role } });
  }
  if (role === 'suspended') {
    const path = `/api/admin/users/${actor.id}/suspend`;
    expect((await server.api.post(path, { reason: 'A test' }, admin.token)).status).toBe(200);
  }
  return actor;
}

/** Routes that do not change the state of the caller. */
const ABOUT_GROUPS = /^\/api\/(groups|channels|messages|reports|admin\/(groups|channels))\b/;

const actors = new Map<Role, Promise<Person>>();

/** Each call of a route about groups gets a new group; the calls share one user for each role. */
function actorFor(role: Role, row: Row | undefined): Promise<Person> {
  if (!row || !ABOUT_GROUPS.test(row.path)) return createActor(role);
  const actor = actors.get(role) ?? createActor(role);
  actors.set(role, actor);
  return actor;
}

/** Notifies a user. @returns the id of the notification. */
async function notify({ id }: Person): Promise<string> {
  const userId = new ObjectId(id);
  await server.context.services.notifications.notify([userId], { kind: 'warning', actorId: null });
  return (await collections().notifications.findOne({ userId }))!._id.toHexString();
}

/** Schedules a message for a user, whether they could send there or not. @returns its id. */
async function schedule({ id }: Person, channelId: string): Promise<string> {
  const _id = new ObjectId();
  const sendAt = new Date(Date.now() + 3_600_000);
  await collections().scheduledMessages.insertOne({
    _id,
    userId: new ObjectId(id),
    channelId: new ObjectId(channelId),
    body: 'Later',
    sendAt,
    state: 'waiting',
    failure: null,
    dueAt: sendAt,
    takenAt: null,
    createdAt: new Date(),
  });
  return _id.toHexString();
}

/** Routes that do not depend on a group, its content or the role of the caller in it. */
const WITHOUT_GROUP =
  /^\/api\/(auth|users$|users\/me\/(avatar|blocks)|client\/(notifications|preferences)|admin\/(users|announcements|maintenance))/;

/** Objects that calls need in their body and that not every group contains. */
const IN_BODY: Record<string, (keyof Fixture)[]> = {
  '/api/invites/accept': ['code'],
  '/api/upload/links': ['attachmentId'],
};

/** @param row the row for which the fixture is created; for any row if it is omitted. */
async function createFixture(role: Role, special: string, row?: Row): Promise<Fixture> {
  const needs = (name: keyof Fixture) =>
    !row || row.path.includes(`{${name}}`) || IN_BODY[row.path]?.includes(name) === true;
  const actor = await actorFor(role, row);
  const sessionId = await sessionOf(special === "other's session" || !actor.id ? guest : actor);
  const announcementId = needs('announcementId') ? await announce() : '';
  const inGroup =
    row && WITHOUT_GROUP.test(row.path) ? NO_GROUP : await createGroup(role, actor, special, needs);
  const notificationId = needs('notificationId')
    ? await notify(special === "other's notification" || !actor.id ? guest : actor)
    : '';
  const scheduledMessageId = needs('scheduledMessageId')
    ? await schedule(special === "other's scheduled message" || !actor.id ? guest : actor, inGroup.channelId)
    : '';
  const attachmentId = special === 'own upload' ? await addUpload(actor) : inGroup.attachmentId;
  const userId = special === 'somebody new' ? (await copyPerson(server, stranger, 'new')).id : guest.id;
  return {
    actor,
    sessionId,
    userId,
    announcementId,
    notificationId,
    scheduledMessageId,
    name: avatarName,
    wholeServer: special === 'whole server',
    byChannel: special === 'by channel',
    ...inGroup,
    attachmentId,
  };
}

async function announce(): Promise<string> {
  const announcement = { body: 'Hello', level: 'info' };
  const { body } = await server.api.post('/api/admin/announcements', announcement, admin.token);
  return body.announcement.id;
}

const shared = new Map<string, Promise<Fixture>>();

/** Returns a new fixture for a call that changes something, and a shared one for others. */
function fixtureFor(role: Role, row: Row, expected: number): Promise<Fixture> {
  const { method, special } = row;
  if (method !== 'get' && expected < 400 && role !== 'anonymous') return createFixture(role, special, row);
  const key = `${role} ${special}`;
  const fixture = shared.get(key) ?? createFixture(role, special);
  shared.set(key, fixture);
  return fixture;
}

type InGroup = Pick<
  Fixture,
  | 'groupId'
  | 'channelId'
  | 'messageId'
  | 'attachmentId'
  | 'emoji'
  | 'reportId'
  | 'inviteId'
  | 'code'
  | 'callId'
>;

const NO_GROUP: InGroup = {
  groupId: '',
  channelId: '',
  messageId: '',
  attachmentId: '',
  emoji: '',
  reportId: '',
  inviteId: '',
  code: '',
  callId: '',
};

const originals = new Map<string, Promise<RoomTemplate>>();

/** The templates of the groups of each kind: a group of the super admin that includes the guest. */
function originalOf(special: string): Promise<RoomTemplate> {
  const visibility = special === 'public group' || special === 'approval group' ? 'public' : 'private';
  const joinPolicy = special === 'approval group' ? 'approval' : 'open';
  const channel = special === 'private channel' ? 'private' : 'public';
  const insiders = channel === 'private' ? [guest] : [];
  const kind = [visibility, joinPolicy, channel].join();
  const group = { visibility, joinPolicy };
  const original =
    originals.get(kind) ?? createRoomTemplate(server, admin, group, channel, { members: [guest], insiders });
  originals.set(kind, original);
  return original;
}

/**
 * Creates a group in which the actor has the role, with a channel and a message of its owner.
 * @param needs whether a call needs an object that not every group contains.
 */
async function createGroup(
  role: Role,
  actor: Person,
  special: string,
  needs: (name: keyof Fixture) => boolean,
): Promise<InGroup> {
  const { api } = server;
  const owner = role === 'owner' ? actor : admin;
  const emoji = '👍';
  const create = async (path: string, body: object) => {
    const answer = await api.post(path, body, owner.token);
    expect([path, answer.status]).toEqual([path, 201]);
    return answer.body;
  };
  const isMember = GROUP_ROLES.includes(role) && role !== 'owner';
  const { groupId, channelId } = await copyRoom(server, await originalOf(special), {
    owner,
    members: isMember ? [{ person: actor, role: role as GroupRole }] : [],
  });
  if (special === 'conversation') {
    const userIds = [guest.id, companion.id];
    const { channel } = (await create('/api/direct-messages', { userIds })).conversation;
    const [messageId, reportId, inviteId] = [channel.id, channel.id, channel.id];
    const attachmentId: string = channel.id;
    const callId = needs('callId') ? await addCall(channel.id, actor, special) : '';
    const ids = { groupId, channelId: channel.id, messageId, attachmentId, reportId, inviteId, callId };
    return { ...ids, emoji, code: '' };
  }
  const inGroup = { ...NO_GROUP, groupId, emoji };
  if (needs('callId')) inGroup.callId = await addCall(channelId, actor, special);
  if (needs('inviteId') || needs('code')) {
    const invited = special === 'own invite' && actor.id ? { userId: actor.id } : {};
    const { invite, code } = await create(`/api/groups/${groupId}/invites`, invited);
    Object.assign(inGroup, { inviteId: invite.id, code });
  }
  if (!needs('messageId') && !needs('attachmentId') && !needs('reportId')) return { ...inGroup, channelId };
  const attachmentId = await addUpload(owner);
  const message = { clientMessageId: randomUUID(), body: 'Hello', attachmentIds: [attachmentId] };
  const sent = await create(`/api/channels/${channelId}/messages`, message);
  const messageId: string = sent.message.id;
  const reportId = needs('reportId') ? await addReport(messageId) : '';
  return { ...inGroup, channelId, messageId, attachmentId, reportId };
}

/**
 * Stores a call in a channel: by the actor to the guest, by somebody else to the actor, or between two other users whom no
 * row changes. No time-out of it is due during the test.
 * @returns its id.
 */
async function addCall(inChannel: string, actor: Person, special: string): Promise<string> {
  const channelId = new ObjectId(inChannel);
  const { groupId } = (await collections().channels.findOne({ _id: channelId }))!;
  const [isOwn, isCalled] = [special === 'own call', special === 'called'].map((is) => is && actor.id !== '');
  const by = isOwn ? actor : await createReader(channelId, groupId);
  // Calls of users who cannot read the channel are ended after a minute.
  const other = isOwn ? guest : await createReader(channelId, groupId);
  const to = isCalled ? actor : other;
  const device = { sessionId: new ObjectId(), newPeerId: randomUUID().replaceAll('-', ''), connection: null };
  const { call } = startCall(
    {
      _id: new ObjectId(),
      channelId,
      groupId,
      pair: false,
      media: 'video',
      startedBy: new ObjectId(by.id),
      device,
      userIds: [new ObjectId(to.id)],
      busy: [],
    },
    new Date(),
  );
  for (const one of call.participants) {
    one.leaveAt = null;
    one.joinedAt ??= new Date();
    if (one.ringUntil) one.ringUntil = new Date(Date.now() + 3_600_000);
  }
  delete call.dueAt;
  await collections().videoCalls.insertOne(call);
  return call._id.toHexString();
}

/** Creates a user who reads a channel. */
async function createReader(channelId: ObjectId, groupId: ObjectId | null): Promise<Person> {
  const person = await copyPerson(server, stranger, 'caller');
  const userId = new ObjectId(person.id);
  const [now, _id] = [new Date(), new ObjectId()];
  if (groupId) {
    const membership = { _id, groupId, userId, role: 'member', joinedAt: now } as const;
    await collections().memberships.insertOne(membership);
  }
  const row = { _id, channelId, groupId, userId, joinedAt: now, activeAt: now };
  await collections().channelMembers.insertOne(row);
  return person;
}

/** Reports a message; the guest's token may not be valid any more at this point. */
async function addReport(id: string): Promise<string> {
  const message = await collections().messages.findOne({ _id: new ObjectId(id) });
  const channel = await collections().channels.findOne({ _id: message!.channelId });
  const _id = new ObjectId();
  await collections().reports.insertOne({
    _id,
    messageId: message!._id,
    channelId: channel!._id,
    groupId: channel!.groupId,
    reporterId: new ObjectId(guest.id),
    category: 'spam',
    note: '',
    message: message!,
    state: 'open',
    pending: true,
    claimedBy: null,
    claimedAt: null,
    resolution: null,
    createdAt: new Date(),
  });
  return _id.toHexString();
}

async function statusFor(role: Role, row: Row, expected: number): Promise<number> {
  const fixture = await fixtureFor(role, row, expected);
  const path = fillPath(row.path, fixture as unknown as Record<string, string>);
  const call = CALLS[`${row.method} ${row.path}`]?.(fixture);
  const { api } = row.special === 'restricted' ? restricted : server;
  const token = fixture.actor.token || undefined;
  if (role !== 'super_admin' || row.method === 'get' || READS.includes(`${row.method} ${row.path}`)) {
    return (await api.call(row.method, path, { ...call, token })).status;
  }
  const headers = { ...call?.headers, 'Idempotency-Key': randomUUID() };
  const send = () => api.call(row.method, path, { ...call, token, headers });
  const answer = await send();
  if (answer.status < 300) expectReplay(row, answer, await send());
  return answer.status;
}

/** POST routes that change nothing. */
const READS = ['post /api/client/sync', 'post /api/upload/links'];

/** Routes after which the token is invalid, so that the answer cannot be requested again. */
const ENDS_SESSION = [
  'post /api/auth/logout',
  'post /api/auth/logout-everywhere',
  'delete /api/auth/sessions/{sessionId}',
  'post /api/auth/password',
  'post /api/users/me/deactivate',
  'delete /api/users/me',
];

/** A write that is repeated with its idempotency key returns the first answer. */
function expectReplay({ method, path }: Row, first: Answer, { status, body, headers }: Answer): void {
  if (ENDS_SESSION.includes(`${method} ${path}`)) expect(status).toBe(401);
  else expect([status, body, headers['idempotency-replayed']]).toEqual([first.status, first.body, 'true']);
}

describe('the access table', () => {
  it('lists every mounted route and no other', () => {
    const listed = ACCESS_TABLE.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    expect([...new Set(listed)].sort()).toEqual(mountedRoutes(createApp(server.context)));
  });

  it('has no duplicate row, and covers all roles for each route about a group', () => {
    const names = ACCESS_TABLE.map(({ method, path, special }) => `${method} ${path} ${special}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { path, statuses } of ACCESS_TABLE) {
      if (/\{(group|channel|message)Id\}/.test(path)) expect(Object.keys(statuses)).toEqual([...ROLES]);
    }
  });

  it.each(ACCESS_TABLE.map((row) => [`${row.method} ${row.path} ${row.special}`.trim(), row] as const))(
    '%s',
    async (_, row) => {
      // The calls run one after the other: concurrent writes would conflict and be retried.
      const answers: [Role, number][] = [];
      for (const role of ROLES) {
        const expected = row.statuses[role];
        if (expected !== undefined) answers.push([role, await statusFor(role, row, expected)]);
      }
      expect(Object.fromEntries(answers)).toEqual(row.statuses);
    },
  );
});
