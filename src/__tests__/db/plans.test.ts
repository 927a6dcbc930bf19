import { ObjectId, type CommandStartedEvent, type Document } from 'mongodb';
import { setAvatar, setGroupAvatar } from '../fixtures/images';
import { ManualClock } from '../fixtures/manual-clock';
import { sendMessage } from '../fixtures/messages';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';
import { until } from '../fixtures/until';
import { upload } from '../fixtures/uploads';

/** Commands whose cost depends on the number of documents they examine. */
const QUERIES = new Set(['find', 'aggregate', 'count', 'distinct', 'update', 'delete', 'findAndModify']);
/** Collections that are scanned on purpose: one contains only what is being deleted, the other the processes of Parley. */
const SMALL_COLLECTIONS = new Set(['channel_purges', 'nodes']);

let server: TestServer;
const clock = new ManualClock();
const commands: Document[] = [];

beforeAll(async () => {
  server = await startTestServer({}, { monitorCommands: true, clock });
  const { client } = server.context.database.db;
  client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
    if (commandName === 'bulkWrite') commands.push(...updatesOf(command));
    else if (QUERIES.has(commandName)) commands.push(command);
  });
});
afterAll(() => server.close());

/** Calls every route that reads or writes, as clients do. */
async function useEverything(): Promise<void> {
  const { api } = server;
  const { ada, bruno, chiara } = await signUpAll(api, 'ada', 'bruno', 'chiara');
  await api.post('/api/auth/login', { identifier: ada.username, password: PASSWORD });
  await api.post('/api/auth/login', { identifier: `${bruno.username}@example.org`, password: PASSWORD });
  await api.post('/api/auth/refresh', { refreshToken: chiara.refreshToken });
  await api.post('/api/auth/refresh', { refreshToken: chiara.refreshToken });
  await api.get('/api/auth/me', ada.token);
  await api.get(`/api/users/${bruno.id}`, ada.token);
  await useAccounts(ada, bruno);
  await useOwnView(bruno);

  const { groupId, channelId } = await createRoom(api, ada, [bruno], 'public');
  await api.get('/api/groups', ada.token, { limit: 1, cursor: '0'.repeat(24) });
  await api.get(`/api/groups/${groupId}`, ada.token);
  await api.get(`/api/groups/${groupId}/members`, ada.token, { cursor: '0'.repeat(24) });
  await api.get('/api/channels', ada.token, { groupId, cursor: `1024.${'0'.repeat(24)}` });
  await useModeration(ada, bruno, { groupId, channelId });
  await useDirectMessages(ada, bruno, chiara);
  await useCalls(ada, bruno, channelId);
  await setGroupAvatar(api, ada, groupId);
  await api.delete(`/api/groups/${groupId}/avatar`, ada.token);
  await useGroups(ada, [bruno, chiara]);
  await api.patch(`/api/channels/${channelId}`, { visibility: 'private' }, ada.token);
  await api.post(`/api/channels/${channelId}/members`, { userId: bruno.id }, ada.token);

  const path = `/api/channels/${channelId}/messages`;
  const sent = await Promise.all(
    [ada, bruno, ada].map((sender, index) =>
      api.post(path, { clientMessageId: `m${index}`, body: 'Hello' }, sender.token),
    ),
  );
  await api.post(path, { clientMessageId: 'm0', body: 'Hello' }, ada.token);
  await api.get(`/api/channels/${channelId}/summary`, bruno.token);
  await api.get('/api/client/overview', bruno.token);
  await api.call('put', `/api/channels/${channelId}/read`, { token: bruno.token, body: { seq: 2 } });
  await api.post(`/api/channels/${channelId}/unread`, { seq: 1 }, bruno.token);
  await api.call('put', `/api/channels/${channelId}/read`, { token: bruno.token, body: { seq: 1 } });
  await api.post('/api/client/sync', { since: { [channelId]: 0 } }, bruno.token);
  await api.get('/api/client/unread', bruno.token);
  await api.get('/api/client/verify', bruno.token);
  for (const query of [{}, { before: 3 }, { after: 1 }]) await api.get(path, ada.token, query);
  const messageId: string = sent[0]!.body.message.id;
  await useMessages(channelId, messageId, ada, bruno);
  await api.patch(`/api/messages/${messageId}`, { body: 'Edited' }, ada.token);
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  const later = await api.post(
    '/api/client/scheduled-messages',
    { channelId, body: 'Later', sendAt },
    ada.token,
  );
  const scheduled = `/api/client/scheduled-messages/${later.body.scheduledMessage.id}`;
  await api.patch(scheduled, { body: 'Much later' }, ada.token);
  await api.get('/api/client/scheduled-messages', ada.token, { cursor: '0'.repeat(24) });
  await api.delete(scheduled, ada.token);
  const draft = { body: 'Hel', clientMessageId: 'm3' };
  await api.call('put', `/api/client/drafts/${channelId}`, { token: ada.token, body: draft });
  await api.get('/api/client/drafts', ada.token, { cursor: '0'.repeat(24) });
  await api.post(path, { clientMessageId: 'm3', body: 'Hello' }, ada.token);
  await api.delete(`/api/client/drafts/${channelId}`, ada.token);
  for (const query of ['hel', 'hello in:general', `from:${bruno.username}`, 'has:link']) {
    expect((await api.get('/api/search/messages', ada.token, { query })).status).toBe(200);
  }
  await api.delete(`/api/messages/${messageId}`, ada.token);
  const { messages, channels } = server.context.database.collections;
  const _id = new ObjectId(channelId);
  await messages.updateOne({ channelId: _id, seq: 1 }, { $set: { createdAt: new Date(0) } });
  await api.call('put', `/api/channels/${channelId}/retention`, { token: ada.token, body: { days: 30 } });
  await until(async () => (await channels.findOne({ _id }))?.retainedFrom === 2);

  await api.delete(`/api/channels/${channelId}/members/${bruno.id}`, ada.token);
  await api.patch(`/api/channels/${channelId}`, { visibility: 'public' }, ada.token);
  await api.delete(`/api/channels/${channelId}`, ada.token);
  await api.post(`/api/groups/${groupId}/leave`, undefined, ada.token);
  await api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
  await api.post(`/api/groups/${groupId}/join`, undefined, bruno.token);
  await api.post('/api/auth/logout', undefined, ada.token);
}

/** Calls the routes for the members of a group and for its whole life. */
async function useGroups(owner: Person, members: [Person, Person]): Promise<void> {
  const { api } = server;
  const { groupId } = await createRoom(api, owner, members, 'public');
  const path = `/api/groups/${groupId}`;
  const cursor = Buffer.from('a').toString('base64url');
  for (const query of [{}, { cursor }, { query: 'gr up' }, { query: 'group', cursor }]) {
    expect((await api.get('/api/groups/discover', owner.token, query)).status).toBe(200);
  }
  await useAdmissions(owner, members, groupId);
  await api.patch(path, { description: 'Another', visibility: 'private' }, owner.token);
  await api.get(`${path}/members`, owner.token, { role: 'owner', cursor: '0'.repeat(24) });
  await api.patch(`${path}/members/${members[0].id}`, { role: 'moderator' }, owner.token);
  await api.post(`${path}/archive`, undefined, owner.token);
  await api.post(`${path}/restore`, undefined, owner.token);
  await api.post(`${path}/transfer`, { userId: members[0].id }, owner.token);
  expect((await api.delete(path, members[0].token)).status).toBe(204);
}

/** Calls the routes with which moderators and admins manage the channels of a group. */
async function useModeration(
  ada: Person,
  bruno: Person,
  { groupId, channelId }: { groupId: string; channelId: string },
): Promise<void> {
  const { api } = server;
  const put = async (path: string, body: object) =>
    expect((await api.call('put', path, { token: ada.token, body })).status).toBe(200);
  const path = `/api/channels/${channelId}`;
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  await put(`${path}/restrictions/${bruno.id}`, { kind: 'banned', expiresAt });
  await api.get(`${path}/restrictions`, ada.token, { kind: 'banned', cursor: '0'.repeat(24) });
  await api.get('/api/channels', bruno.token, { groupId });
  await api.delete(`${path}/restrictions/${bruno.id}`, ada.token);
  await put(`/api/groups/${groupId}/channel-order`, { channelIds: [channelId] });
  await put(`/api/groups/${groupId}/default-channel`, { channelId });
  for (const act of ['archive', 'restore']) await api.post(`${path}/${act}`, undefined, ada.token);
}

async function useDirectMessages(ada: Person, bruno: Person, chiara: Person): Promise<void> {
  const { api } = server;
  const start = (userIds: string[]) => api.post('/api/direct-messages', { userIds }, ada.token);
  const pair = await start([bruno.id]);
  await start([bruno.id]);
  const several = await start([bruno.id, chiara.id]);
  for (const { body } of [pair, several]) {
    const path = `/api/channels/${body.conversation.channel.id}`;
    await api.post(`${path}/messages`, { clientMessageId: path, body: 'Hello' }, ada.token);
    await api.get(`${path}/members`, ada.token, { cursor: '0'.repeat(24) });
  }
  const { id } = several.body.conversation.channel;
  await api.post(`/api/direct-messages/${id}/people`, { userIds: [bruno.id] }, ada.token);
  const cursor = `${Date.now()}.${'f'.repeat(24)}`;
  const { body } = await api.get('/api/direct-messages', ada.token, { cursor });
  expect(body.conversations).toHaveLength(2);
  await api.delete(`/api/channels/${id}/members/${chiara.id}`, chiara.token);
}

/** Calls the routes for calls, and lets the background jobs apply their time-outs. */
async function useCalls(ada: Person, bruno: Person, channelId: string): Promise<void> {
  const { api } = server;
  const calls = '/api/video-calls';
  const { body } = await api.post(calls, { channelId, userIds: [bruno.id] }, ada.token);
  const call = `${calls}/${body.call.id}`;
  expect((await api.post(`${call}/accept`, {}, bruno.token)).status).toBe(200);
  for (const path of [call, `${calls}/active`]) expect((await api.get(path, ada.token)).status).toBe(200);
  const cursor = 'f'.repeat(24);
  for (const query of [{}, { outcome: 'missed' }, { role: 'made' }, { channelId }]) {
    for (const page of [{}, { cursor }]) {
      expect((await api.get(calls, ada.token, { ...query, ...page })).status).toBe(200);
    }
  }
  const byUser = await api.post(calls, { userId: bruno.id }, ada.token);
  expect(byUser.body.error.code).toBe('already_in_call');
  const report = { reports: [{ userId: bruno.id, jitterMs: 1 }] };
  expect((await api.post(`${call}/quality`, report, ada.token)).status).toBe(204);
  const filters = [{}, { channelId }, { groupId: 'f'.repeat(24) }, { userId: ada.id }];
  for (const query of filters) {
    const listed = await api.get('/api/admin/video-calls', ada.token, { ...query, cursor });
    expect(listed.status).toBe(200);
  }
  const admin = `/api/admin/video-calls/${body.call.id}`;
  expect((await api.get(`${admin}/quality`, ada.token)).body.quality).toHaveLength(1);
  // Nobody has a connection, so the call ends.
  await clock.advance(60_000);
  expect((await api.get(call, ada.token)).body.call.endReason).toBe('connection_lost');
}

/** Calls the routes to join a group and to ban from it. */
async function useAdmissions(owner: Person, [member]: [Person, Person], groupId: string): Promise<void> {
  const { api } = server;
  const path = `/api/groups/${groupId}`;
  const cursor = '0'.repeat(24);
  const token = owner.token;
  await api.patch(path, { joinPolicy: 'approval' }, token);
  const requesters = [await signUp(api), await signUp(api), await signUp(api)] as const;
  for (const requester of requesters)
    await api.post(`${path}/join-requests`, { note: 'Hello' }, requester.token);
  await api.get(`${path}/join-requests`, token, { cursor });
  await api.get('/api/client/join-requests', requesters[0].token, { cursor: 'f'.repeat(24) });
  await api.post(`${path}/join-requests/${requesters[0].id}/approve`, undefined, token);
  await api.post(`${path}/join-requests/${requesters[1].id}/reject`, {}, token);
  await api.delete(`/api/client/join-requests/${groupId}`, requesters[2].token);
  const { code } = (await api.post(`${path}/invites`, { maxUses: 2 }, token)).body;
  expect((await api.post('/api/invites/accept', { code }, requesters[1].token)).status).toBe(200);
  const { invite } = (await api.post(`${path}/invites`, { userId: requesters[2].id }, token)).body;
  await api.get(`${path}/invites`, token, { cursor });
  await api.get('/api/client/invites', requesters[2].token, { cursor });
  await api.delete(`/api/client/invites/${invite.id}`, requesters[2].token);
  const again = (await api.post(`${path}/invites`, { userId: requesters[2].id }, token)).body.invite;
  await api.delete(`${path}/invites/${again.id}`, token);
  const ban = { token, body: { reason: 'A test' } };
  expect((await api.call('put', `${path}/bans/${requesters[0].id}`, ban)).status).toBe(200);
  await api.get(`${path}/bans`, token, { cursor });
  await api.delete(`${path}/bans/${requesters[0].id}`, token);
  expect((await api.get(`${path}/members`, member.token)).status).toBe(200);
}

/** Calls the routes for messages. */
async function useMessages(channelId: string, messageId: string, ada: Person, bruno: Person): Promise<void> {
  const { api } = server;
  const channel = `/api/channels/${channelId}`;
  const message = `/api/messages/${messageId}`;
  const send = (body: string, more: object = {}) =>
    api.post(`${channel}/messages`, { clientMessageId: body.replaceAll(' ', '_'), body, ...more }, ada.token);
  const mention = await send(`@${bruno.username} @channel`);
  await send('@here', { replyToId: messageId });
  const reply = await send('Reply', { threadId: messageId });
  await api.patch(`/api/messages/${mention.body.message.id}`, { body: 'Nobody' }, ada.token);
  for (const query of [{ around: 2 }, { at: '2026-01-01T00:00:00Z' }, { replies: 'exclude', before: 9 }]) {
    await api.get(`${channel}/messages`, ada.token, query);
  }
  const put = (path: string, body?: object) => api.call('put', path, { token: ada.token, body });
  for (const mark of ['reactions/:x:', 'pin', 'bookmark', 'follow']) {
    expect((await put(`${message}/${mark}`)).status).toBe(200);
  }
  await put(`${channel}/notification-setting`, { notificationLevel: 'mentions' });
  await put(`${channel}/notification-setting`, { notificationLevel: null });
  const cursor = 'f'.repeat(24);
  await api.get(`${message}/reactions/:x:`, ada.token);
  await api.get(`${message}/replies`, ada.token, { after: 0 });
  await api.get(`${message}/edits`, ada.token, { cursor });
  await api.get(`${message}/seen-by`, ada.token);
  await api.get(`${channel}/pins`, ada.token, { cursor: 99 });
  await api.get('/api/client/bookmarks', ada.token, { cursor });
  await put(`${message}/thread-read`, { seq: 1 });
  expect((await api.get('/api/client/threads', ada.token)).body.threads).toHaveLength(1);
  for (const mark of ['reactions/:x:', 'pin', 'bookmark', 'follow']) {
    await api.delete(`${message}/${mark}`, ada.token);
  }
  await put(`${message}/bookmark`);
  const forward = { channelId, clientMessageId: 'forward' };
  await api.post(`${message}/forward`, forward, ada.token);
  for (const { body } of [mention, reply]) await api.delete(`/api/messages/${body.message.id}`, ada.token);
  await useFiles(channelId, ada, bruno);
}

/** Calls the routes for files on messages. */
async function useFiles(channelId: string, ada: Person, bruno: Person): Promise<void> {
  const { api } = server;
  const [sent, unsent] = [await upload(api, ada), await upload(api, ada)];
  const message = await sendMessage(api, channelId, ada, '', { attachmentIds: [sent.id] });
  for (const person of [ada, bruno]) await api.get(`/api/upload/${sent.id}`, person.token);
  const forward = { channelId, clientMessageId: 'forward_file' };
  await api.post(`/api/messages/${message.id}/forward`, forward, ada.token);
  expect((await api.get(`/api/upload/${sent.id}`, bruno.token)).status).toBe(200);
  await api.get('/api/search/messages', ada.token, { query: 'has:file' });
  await api.delete(`/api/messages/${message.id}`, ada.token);
  await api.delete(`/api/upload/${unsent.id}`, ada.token);
  const { uploadCleanup } = server.context.services;
  await uploadCleanup.removeAbandoned();
  await uploadCleanup.removeUnreferenced();
}

/** Calls the routes for the user's own view. */
async function useOwnView(person: Person): Promise<void> {
  const { api, context } = server;
  const userIds = [new ObjectId(person.id)];
  const cursor = 'f'.repeat(24);
  for (let each = 0; each < 3; each++)
    await context.services.notifications.notify(userIds, { kind: 'warning', actorId: null });
  const { body } = await api.get('/api/client/notifications', person.token, { cursor });
  const [first, second] = body.notifications as { id: string }[];
  await api.post(`/api/client/notifications/${first!.id}/read`, undefined, person.token);
  await api.post(`/api/client/notifications/${first!.id}/read`, undefined, person.token);
  await api.get('/api/client/notifications', person.token, { unread: 'true', cursor });
  await api.delete(`/api/client/notifications/${second!.id}`, person.token);
  await api.post(`/api/client/notifications/read-all?upTo=${cursor}`, undefined, person.token);
  await api.patch('/api/client/preferences', { locale: 'pt' }, person.token);
  await api.get('/api/client/preferences', person.token);
}

/** Calls the routes for the user's own account, and the super admin's routes for the accounts of others. */
async function useAccounts(ada: Person, bruno: Person): Promise<void> {
  const { api } = server;
  const cursor = '0'.repeat(24);
  await api.get('/api/users', ada.token, { query: 'b' });
  await api.get('/api/users', ada.token, { query: 'b', cursor: bruno.id });
  await api.patch('/api/users/me', { bio: 'Hello', displayName: 'Ada' }, ada.token);
  await api.call('put', `/api/users/me/blocks/${bruno.id}`, { token: ada.token });
  await api.get('/api/users/me/blocks', ada.token, { cursor });
  await api.delete(`/api/users/me/blocks/${bruno.id}`, ada.token);
  for (let time = 0; time < 2; time++) expect((await setAvatar(api, ada)).status).toBe(200);
  await api.get('/api/users/me/export', ada.token);
  await api.delete('/api/users/me/avatar', ada.token);
  await api.get('/api/auth/sessions', ada.token, { cursor: `${Date.now()}.${'f'.repeat(24)}` });
  await api.post('/api/auth/password/forgot', { email: `${bruno.username}@example.org` });
  await api.post('/api/auth/email/resend', undefined, ada.token);
  const { body } = await api.post('/api/auth/totp/setup', { password: PASSWORD }, ada.token);
  expect(body.secret).toBeDefined();
  for (const role of ['super_admin', 'client']) {
    await api.patch(`/api/admin/users/${bruno.id}/role`, { role }, ada.token);
  }
  await useAdministration(ada, cursor);
  const leaver = await signUp(api, 'leaver');
  await api.post(`/api/admin/users/${leaver.id}/suspend`, { reason: 'A test' }, ada.token);
  await api.post(`/api/admin/users/${leaver.id}/restore`, undefined, ada.token);
  const login = { identifier: leaver.username, password: PASSWORD };
  const back = await api.post('/api/auth/login', login);
  await api.call('delete', '/api/users/me', { token: back.body.accessToken, body: { password: PASSWORD } });
}

/** Calls the routes with which super admins inspect the server. */
async function useAdministration(ada: Person, cursor: string): Promise<void> {
  const { api } = server;
  for (const query of [
    {},
    { state: 'active', cursor: `.${'f'.repeat(24)}` },
    { role: 'client' },
    { role: 'client', state: 'suspended' },
    { query: 'A' },
    { query: 'a', field: 'email', state: 'active' },
    { query: 'a', field: 'displayName', cursor: `YQ.${cursor}` },
    { query: 'a', field: 'displayName', state: 'active' },
  ]) {
    expect((await api.get('/api/admin/users', ada.token, query)).status).toBe(200);
  }
  for (const query of [
    {},
    { visibility: 'private' },
    { archived: 'true' },
    { query: 'g', archived: 'false' },
  ]) {
    expect((await api.get('/api/admin/groups', ada.token, query)).status).toBe(200);
    expect((await api.get('/api/admin/channels', ada.token, query)).status).toBe(200);
  }
  await api.get('/api/admin/channels', ada.token, { kind: 'direct' });
  await api.get('/api/admin/stats', ada.token);
  const filters = [
    {},
    { action: 'user.suspended' },
    { actorId: ada.id },
    { targetId: ada.id, cursor },
    { from: '2026-01-01T00:00:00Z', to: '2027-01-01T00:00:00Z' },
  ];
  for (const filter of filters) {
    await api.get('/api/admin/audit-log', ada.token, filter);
  }
  await api.get('/api/admin/audit-log/export', ada.token);
  const { groupId, channelId } = await createRoom(api, ada);
  await api.get(`/api/admin/groups/${groupId}`, ada.token);
  await api.get(`/api/admin/channels/${channelId}`, ada.token);
  await api.get('/api/admin/channels', ada.token, { groupId, cursor: `.${'f'.repeat(24)}` });
  await useReports(ada, groupId, channelId);
  for (const resource of [`group:${groupId}`, `channel:${channelId}`]) {
    const action = resource.startsWith('group') ? 'member.remove' : 'message.send';
    await api.get('/api/admin/permissions/explain', ada.token, { userId: ada.id, action, resource });
  }
  await api.call('put', '/api/admin/maintenance', { token: ada.token, body: { enabled: false } });
  const announcement = { body: 'Hello', level: 'info' };
  const announced = await api.post('/api/admin/announcements', announcement, ada.token);
  await api.get('/api/admin/announcements', ada.token, { cursor });
  await api.get('/api/client/announcements', ada.token);
  await api.delete(`/api/admin/announcements/${announced.body.announcement.id}`, ada.token);
}

/** Calls the routes for reports of messages. */
async function useReports(ada: Person, groupId: string, channelId: string): Promise<void> {
  const { api } = server;
  const reporter = await signUp(api, 'reporter');
  await api.post(`/api/groups/${groupId}/members`, { userId: reporter.id }, ada.token);
  const path = `/api/channels/${channelId}/messages`;
  const { body } = await api.post(path, { clientMessageId: 'reported', body: 'Hello' }, ada.token);
  const reported = await api.post(
    `/api/messages/${body.message.id}/report`,
    { category: 'spam' },
    reporter.token,
  );
  expect(reported.status).toBe(201);
  const { id } = reported.body.report;
  for (const query of [{}, { state: 'open' }, { groupId }, { groupId, state: 'open', order: 'newest' }]) {
    expect((await api.get('/api/reports', ada.token, query)).status).toBe(200);
  }
  for (const act of ['claim', 'release', 'claim']) {
    await api.post(`/api/reports/${id}/${act}`, undefined, ada.token);
  }
  const resolved = await api.post(`/api/reports/${id}/resolve`, { action: 'dismiss' }, ada.token);
  expect(resolved.status).toBe(200);
}

/** The parts of a command that explain accepts, without those that belong to the original call. */
function explainable(command: Document): Document {
  const rest = Object.entries(command).filter(
    ([key]) => !/^(lsid|txnNumber|startTransaction|autocommit|\$.*|writeConcern|readConcern)$/.test(key),
  );
  return Object.fromEntries(rest);
}

/** The plans in an explanation; those of an aggregation are within its stages. */
function winningPlansOf(explained: unknown): unknown[] {
  if (typeof explained !== 'object' || explained === null) return [];
  return Object.entries(explained).flatMap(([key, value]) =>
    key === 'winningPlan' ? [value] : winningPlansOf(value),
  );
}

/** The updates of a `bulkWrite`, as the commands that do the same for one collection. */
function updatesOf({ ops, nsInfo }: Document): Document[] {
  return ops
    .filter(({ update }: Document) => update !== undefined)
    .map(({ update, filter: q, updateMods: u, multi, upsert = false }: Document) => {
      const { ns } = nsInfo[update];
      return { update: ns.slice(ns.indexOf('.') + 1), updates: [{ q, u, multi, upsert }] };
    });
}

/** One command for each write of a batch, because explain accepts one at a time. */
function oneByOne(command: Document): Document[] {
  const name = ['updates', 'deletes'].find((each) => Array.isArray(command[each]));
  return name ? command[name].map((write: Document) => ({ ...command, [name]: [write] })) : [command];
}

function stagesOf(plan: unknown): string[] {
  if (Array.isArray(plan)) return plan.flatMap(stagesOf);
  if (typeof plan !== 'object' || plan === null) return [];
  return Object.entries(plan).flatMap(([key, value]) =>
    key === 'stage' && typeof value === 'string' ? [value] : stagesOf(value),
  );
}

test('no query of the API scans a whole collection', async () => {
  await useEverything();
  const { db } = server.context.database;
  const seen = commands.splice(0).flatMap(oneByOne);
  const scans: unknown[] = [];
  expect(seen.filter((command) => command['collation'] !== undefined)).toEqual([]);
  for (const command of seen) {
    const [name, collection] = Object.entries(command)[0] as [string, string];
    if (SMALL_COLLECTIONS.has(collection)) continue;
    // Without a filter it examines no documents: the database stores the count.
    if (name === 'count' && Object.keys((command['query'] as object | undefined) ?? {}).length === 0)
      continue;
    const explained = await db.command({ explain: explainable(command), verbosity: 'queryPlanner' });
    const stages = stagesOf(winningPlansOf(explained));
    expect(stages.length).toBeGreaterThan(0);
    if (stages.includes('COLLSCAN')) scans.push({ [name]: collection, ...explainable(command) });
  }
  expect(scans).toEqual([]);
  expect(seen.length).toBeGreaterThan(100);
}, 120_000);

test('no index has a collation', async () => {
  const { db } = server.context.database;
  const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name);
  const indexes = await Promise.all(names.map((name) => db.collection(name).indexes()));
  expect(indexes.flat().length).toBeGreaterThan(names.length);
  expect(indexes.flat().filter((index) => index['collation'] !== undefined)).toEqual([]);
});
