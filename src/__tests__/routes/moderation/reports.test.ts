import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { auditOf, me, refused } from '../../fixtures/accounts';
import type { Answer, Api } from '../../fixtures/api';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;
let api: Api;
let root: Person;
let owner: Person;
let moderator: Person;
let author: Person;
let reporter: Person;
let groupId: string;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  ({ api } = server);
  ({ root, owner, moderator, author, reporter } = await signUpAll(
    api,
    'root',
    'owner',
    'moderator',
    'author',
    'reporter',
  ));
  ({ groupId, channelId } = await createRoom(api, owner, [moderator, author, reporter]));
  await makeModerator(moderator);
});
afterAll(() => server.close());

const collections = () => server.context.database.collections;

/** Written to the database directly: roles in groups are the subject of other tests. */
async function makeModerator({ id }: Person): Promise<void> {
  const membership = { groupId: new ObjectId(groupId), userId: new ObjectId(id) };
  await collections().memberships.updateOne(membership, { $set: { role: 'moderator' } });
}

async function send(body: string, by = author, channel = channelId): Promise<string> {
  const message = { clientMessageId: randomUUID(), body };
  const answer = await api.post(`/api/channels/${channel}/messages`, message, by.token);
  expect(answer.status).toBe(201);
  return answer.body.message.id;
}
const report = (messageId: string, by = reporter, input: object = { category: 'spam' }) =>
  api.post(`/api/messages/${messageId}/report`, input, by.token);
/** Creates an open report. */
async function aReport(body = 'Buy now', by = reporter, channel = channelId): Promise<string> {
  const { status, body: answer } = await report(await send(body, author, channel), by);
  expect(status).toBe(201);
  return answer.report.id;
}
const get = (id: string, by = moderator) => api.get(`/api/reports/${id}`, by.token);
const act = (id: string, name: string, by = moderator, body?: object) =>
  api.post(`/api/reports/${id}/${name}`, body, by.token);
const resolve = (id: string, body: object, by = moderator) => act(id, 'resolve', by, body);
const list = (query: object, by = moderator) => api.get('/api/reports', by.token, { ...query });
const notificationsOf = async ({ token }: Person): Promise<any[]> =>
  (await api.get('/api/client/notifications', token, { limit: 200 })).body.notifications;
const hidden = refused(404, 'not_found');
async function claimed(): Promise<string> {
  const id = await aReport();
  expect((await act(id, 'claim')).status).toBe(200);
  return id;
}

describe('a report', () => {
  it('keeps a copy of the message, and notifies the moderators at once', async () => {
    const socket = await connect(server.url, moderator.token);
    const messageId = await send('Buy now');
    const answer = await report(messageId, reporter, { category: 'spam', note: 'Again and again' });
    expect(answer.body.report).toMatchObject({ messageId, category: 'spam', note: 'Again and again' });
    const { notification } = await socket.waitFor('notification:created');
    expect(notification).toMatchObject({
      kind: 'report.received',
      groupId,
      channelId,
      messageId,
      text: 'spam',
    });
    // The notification does not name the reported user: moderators open the report to see it.
    expect(notification.actorId).toBeNull();
    await api.patch(`/api/messages/${messageId}`, { body: 'Good morning' }, author.token);
    await api.delete(`/api/messages/${messageId}`, author.token);
    expect((await get(answer.body.report.id)).body.report).toMatchObject({
      message: { senderId: author.id, body: 'Buy now', editedAt: null },
      reporterId: reporter.id,
      groupId,
      channelId,
      state: 'open',
      claimedBy: null,
      resolution: null,
    });
    socket.close();
  });

  it('exists once per user and message while it is open, however often it is made', async () => {
    const messageId = await send('Buy now');
    const answers = await Promise.all(Array.from({ length: 5 }, () => report(messageId)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body.report.id)).size).toBe(1);
    expect((await report(messageId, owner)).status).toBe(201);
    const { id } = answers[0]!.body.report;
    await act(id, 'claim');
    expect((await report(messageId)).body.report.id).toBe(id);
    await resolve(id, { action: 'dismiss' });
    expect((await report(messageId)).status).toBe(201);
  });

  it("is refused for messages that are unreadable, deleted or one's own", async () => {
    const stranger = await signUp(api, 'stranger');
    const messageId = await send('Hello');
    expect(await report(messageId, stranger)).toMatchObject(hidden);
    expect(await report(messageId, author)).toMatchObject(refused(400, 'bad_request'));
    await api.delete(`/api/messages/${messageId}`, author.token);
    expect(await report(messageId)).toMatchObject(refused(409, 'message_deleted'));
    expect(await report(await send('x'), reporter, { category: 'boring' })).toMatchObject(
      refused(400, 'validation_failed'),
    );
  });

  it('is refused when the user has too many open ones', async () => {
    const eager = await signUp(api, 'eager');
    await api.post(`/api/groups/${groupId}/members`, { userId: eager.id }, owner.token);
    const id = await aReport('x', eager);
    const first = await collections().reports.findOne({ _id: new ObjectId(id) });
    const more = Array.from({ length: 49 }, () => ({ _id: new ObjectId(), messageId: new ObjectId() }));
    await collections().reports.insertMany(more.map((each) => ({ ...first!, ...each })));
    const one = await send('One more');
    expect(await report(one, eager)).toMatchObject(refused(429, 'rate_limited'));
    await act(id, 'claim');
    await resolve(id, { action: 'dismiss' });
    expect((await report(one, eager)).status).toBe(201);
    await collections().reports.deleteMany({ reporterId: first!.reporterId });
  });
});

describe('the queue of reports', () => {
  it('of a group is visible only to its moderators, and that of the server to super admins', async () => {
    const id = await aReport();
    for (const person of [reporter, author]) {
      expect(await list({ groupId }, person)).toMatchObject(refused(403, 'forbidden'));
      for (const answer of [await get(id, person), await act(id, 'claim', person)]) {
        expect(answer).toMatchObject(hidden);
      }
    }
    expect(await list({ groupId }, await signUp(api, 'stranger'))).toMatchObject(hidden);
    expect(await list({}, moderator)).toMatchObject(refused(403, 'forbidden'));
    for (const person of [moderator, owner, root]) expect((await get(id, person)).status).toBe(200);
    const { body } = await list({ order: 'newest', limit: 1 }, root);
    expect(body.reports).toMatchObject([{ id }]);
  });

  it('has pages from the oldest or the newest, by state', async () => {
    const ids = [await aReport(), await aReport(), await aReport()];
    await act(ids[1]!, 'claim');
    const seen: string[] = [];
    for (let cursor: string | undefined; ;) {
      const { body } = await list({ groupId, limit: 3, ...(cursor && { cursor }) });
      seen.push(...body.reports.map((one: any) => one.id));
      if (body.nextCursor === null) break;
      cursor = body.nextCursor;
    }
    expect(seen.slice(-3)).toEqual(ids);
    expect(seen).toEqual([...seen].sort());
    const newest = await list({ groupId, order: 'newest', state: 'open', limit: 2 });
    expect(newest.body.reports.map((one: any) => one.id)).toEqual([ids[2], ids[0]]);
    expect((await list({ groupId, state: 'claimed' })).body.reports.at(-1).id).toBe(ids[1]);
  });

  it('hides messages of private channels from moderators who are not in them', async () => {
    const created = await api.post(
      '/api/channels',
      { groupId, name: 'secret', visibility: 'private' },
      owner.token,
    );
    const secret: string = created.body.channel.id;
    for (const { id } of [author, reporter]) {
      await api.post(`/api/channels/${secret}/members`, { userId: id }, owner.token);
    }
    const before = (await notificationsOf(moderator)).length;
    const id = await aReport('psst', reporter, secret);
    expect(await get(id)).toMatchObject(hidden);
    expect((await list({ groupId, order: 'newest', limit: 1 })).body.reports[0].id).not.toBe(id);
    expect((await notificationsOf(moderator)).length).toBe(before);
    expect((await notificationsOf(owner))[0]).toMatchObject({ kind: 'report.received', channelId: secret });
    expect((await list({ groupId, order: 'newest', limit: 1 }, owner)).body.reports[0].id).toBe(id);
  });

  it("hides reports of a moderator's own messages; without other moderators, super admins are notified", async () => {
    const messageId = await send('I am the law', moderator);
    const { body } = await report(messageId);
    expect(await get(body.report.id, moderator)).toMatchObject(hidden);
    expect((await get(body.report.id, owner)).status).toBe(200);
    const alone = await createRoom(api, author, [reporter]);
    const id = await aReport('My house', reporter, alone.channelId);
    expect((await notificationsOf(root))[0]).toMatchObject({
      kind: 'report.received',
      groupId: alone.groupId,
    });
    expect(await get(id, author)).toMatchObject(hidden);
    expect((await list({ groupId: alone.groupId }, author)).body.reports).toEqual([]);
  });

  it('keeps the report of a message whose channel was deleted, for super admins', async () => {
    const { channelId: removed } = await createRoom(api, owner, [author, reporter]);
    const id = await aReport('x', reporter, removed);
    await api.delete(`/api/channels/${removed}`, owner.token);
    expect(await get(id, owner)).toMatchObject(hidden);
    expect((await act(id, 'claim', root)).status).toBe(200);
    expect(await resolve(id, { action: 'delete_message' }, root)).toMatchObject(hidden);
    expect((await resolve(id, { action: 'dismiss' }, root)).status).toBe(200);
  });
});

describe('claiming a report', () => {
  it('succeeds for one of several at once, and only they can resolve it', async () => {
    for (let round = 0; round < 3; round++) {
      const id = await aReport();
      const answers: Answer[] = await Promise.all([act(id, 'claim'), act(id, 'claim', owner)]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
      const [winner, loser] = answers[0]!.status === 200 ? [moderator, owner] : [owner, moderator];
      expect((await get(id)).body.report).toMatchObject({ state: 'claimed', claimedBy: winner.id });
      const taken = await act(id, 'claim', loser);
      expect(taken).toMatchObject(refused(409, 'report_claimed'));
      expect(taken.body.error.details).toEqual({ claimedBy: winner.id });
      expect((await act(id, 'claim', winner)).status).toBe(200);
      expect(await resolve(id, { action: 'dismiss' }, loser)).toMatchObject(refused(409, 'report_claimed'));
      expect(await act(id, 'release', loser)).toMatchObject(refused(409, 'report_claimed'));
      expect((await act(id, 'release', winner)).body.report).toMatchObject({
        state: 'open',
        claimedBy: null,
      });
      expect(await resolve(id, { action: 'dismiss' }, winner)).toMatchObject(
        refused(409, 'report_not_claimed'),
      );
    }
  });

  it('can be reverted by a super admin, and ends when the report is resolved', async () => {
    const id = await claimed();
    expect((await act(id, 'release', root)).body.report.state).toBe('open');
    await act(id, 'claim');
    await resolve(id, { action: 'dismiss' });
    for (const name of ['claim', 'release']) {
      expect(await act(id, name)).toMatchObject(refused(409, 'report_resolved'));
      expect(await act(id, name, root)).toMatchObject(refused(409, 'report_resolved'));
    }
    expect(await resolve(id, { action: 'dismiss' })).toMatchObject(refused(409, 'report_resolved'));
  });
});

describe('resolving a report', () => {
  it('is in the audit log, and the reporter learns whether anything was done', async () => {
    for (const [action, text] of [
      ['dismiss', 'dismissed'],
      ['delete_message', 'action_taken'],
    ]) {
      const id = await claimed();
      const { body } = await resolve(id, { action });
      expect(body.report).toMatchObject({ state: 'resolved', resolution: { action, by: moderator.id } });
      expect((await notificationsOf(reporter))[0]).toMatchObject({
        kind: 'report.resolved',
        text,
        actorId: null,
      });
      expect(await auditOf(server, { id }, 'report.resolved')).toMatchObject([
        { action: 'report.resolved', details: { action, authorId: author.id } },
      ]);
    }
  });

  it('deletes the message for everyone', async () => {
    const socket = await connect(server.url, reporter.token);
    const id = await claimed();
    const { messageId } = (await get(id)).body.report;
    await resolve(id, { action: 'delete_message' });
    const { message } = await socket.waitForMessage((one) => one.event === 'message:deleted');
    expect(message).toMatchObject({ id: messageId, body: '' });
    expect((await get(id)).body.report.message.body).toBe('Buy now');
    socket.close();
  });

  it('warns the author with the reason', async () => {
    const id = await claimed();
    expect(await resolve(id, { action: 'warn' })).toMatchObject(refused(400, 'validation_failed'));
    await resolve(id, { action: 'warn', reason: 'No advertising here' });
    expect((await notificationsOf(author))[0]).toMatchObject({
      kind: 'warning',
      text: 'No advertising here',
      channelId,
    });
  });

  it('mutes or bans the author in the channel for a time', async () => {
    const until = new Date(Date.now() + 3600_000).toISOString();
    const loud = await signUp(api, 'loud');
    await api.post(`/api/groups/${groupId}/members`, { userId: loud.id }, owner.token);
    const write = () =>
      api.post(
        `/api/channels/${channelId}/messages`,
        { clientMessageId: randomUUID(), body: 'x' },
        loud.token,
      );
    for (const [action, code] of [
      ['mute', 'muted'],
      ['ban', 'not_found'],
    ]) {
      const { body } = await report(await send('Aaaah', loud));
      await act(body.report.id, 'claim');
      const resolved = await resolve(body.report.id, { action, reason: 'Too loud', until });
      expect(resolved.body.report).toMatchObject({ state: 'resolved', resolution: { action } });
      expect((await write()).body.error.code).toBe(code);
      await api.delete(`/api/channels/${channelId}/restrictions/${loud.id}`, owner.token);
      expect((await write()).status).toBe(201);
    }
    const id = await claimed();
    expect(await resolve(id, { action: 'warn', reason: 'x', until })).toMatchObject(
      refused(400, 'validation_failed'),
    );
  });

  it('bans the author from the group for a time: on all devices and for every way of joining', async () => {
    const spammer = await signUp(api, 'spammer');
    await api.post(`/api/groups/${groupId}/members`, { userId: spammer.id }, owner.token);
    const { body } = await report(await send('Buy now', spammer));
    const { id } = body.report;
    await act(id, 'claim');
    const devices = await Promise.all([
      connect(server.url, spammer.token),
      connect(server.url, spammer.token),
    ]);
    const before = (await notificationsOf(reporter)).length;
    const until = new Date(Date.now() + 3600_000).toISOString();
    const ban = { action: 'ban_from_group', reason: 'Advertising', until };
    expect((await resolve(id, ban)).body.report).toMatchObject({
      state: 'resolved',
      resolution: { action: 'ban_from_group', reason: 'Advertising', by: moderator.id },
    });
    await send('Peace at last', owner);
    for (const device of devices) {
      await device.waitFor('group:removed', (payload) => payload.reason === 'banned');
      // A later notification would be listed before this one.
      await device.ask('message:delete', {});
      expect(device.events.filter(({ event }) => event === 'message:created')).toEqual([]);
      device.close();
    }
    const { bans } = (await api.get(`/api/groups/${groupId}/bans`, moderator.token)).body;
    expect(bans).toMatchObject([{ user: { id: spammer.id }, reason: 'Advertising', expiresAt: until }]);
    const back = await api.post(`/api/groups/${groupId}/members`, { userId: spammer.id }, owner.token);
    expect(back).toMatchObject(refused(403, 'banned'));
    expect((await notificationsOf(spammer))[0]).toMatchObject({ kind: 'group.banned', text: 'Advertising' });
    const notifications = await notificationsOf(reporter);
    expect(notifications.length).toBe(before + 1);
    expect(notifications[0]).toMatchObject({ kind: 'report.resolved', text: 'action_taken' });
    expect(await auditOf(server, { id }, 'report.resolved')).toMatchObject([
      { action: 'report.resolved', details: { action: 'ban_from_group', authorId: spammer.id } },
    ]);
    const entries = await auditOf(server, { id: groupId });
    expect(entries.at(-1)).toMatchObject({ action: 'member.banned', details: { userId: spammer.id, until } });
  });

  it('does not ban from a group what the moderator could not ban, or outside of a group', async () => {
    const id = await aReport('Mine', moderator);
    await act(id, 'claim', owner);
    const ban = { action: 'ban_from_group', reason: 'x' };
    expect(await resolve(id, { action: 'ban_from_group' }, owner)).toMatchObject(
      refused(400, 'validation_failed'),
    );
    await api.post(`/api/reports/${id}/release`, undefined, owner.token);
    await act(id, 'claim');
    const membership = { groupId: new ObjectId(groupId), userId: new ObjectId(author.id) };
    await collections().memberships.updateOne(membership, { $set: { role: 'admin' } });
    expect(await resolve(id, ban)).toMatchObject(refused(403, 'forbidden'));
    await collections().memberships.updateOne(membership, { $set: { role: 'member' } });
    expect((await get(id)).body.report).toMatchObject({ state: 'claimed', resolution: null });

    const { body } = await api.post('/api/direct-messages', { userIds: [author.id] }, reporter.token);
    const direct = await aReport('psst', reporter, body.conversation.channel.id);
    await act(direct, 'claim', root);
    expect(await resolve(direct, ban, root)).toMatchObject(refused(409, 'direct_channel'));
  });

  it('bans the account on behalf of super admins only; an attempt by a moderator changes nothing', async () => {
    const spammer = await signUp(api, 'spammer');
    await api.post(`/api/groups/${groupId}/members`, { userId: spammer.id }, owner.token);
    const { body } = await report(await send('Buy now', spammer));
    const { id } = body.report;
    await act(id, 'claim');
    const ban = { action: 'ban_account', reason: 'Spam' };
    expect(await resolve(id, ban)).toMatchObject(refused(403, 'forbidden'));
    expect((await get(id)).body.report.state).toBe('claimed');
    await act(id, 'release');
    await act(id, 'claim', root);
    expect((await resolve(id, ban, root)).status).toBe(200);
    expect((await me(api, spammer)).status).toBe(401);
    expect(await auditOf(server, spammer)).toMatchObject([
      { action: 'user.banned', details: { reason: 'Spam' } },
    ]);
  });

  it('changes nothing when its action fails', async () => {
    const id = await aReport('Mine');
    await api.post(`/api/reports/${id}/claim`, undefined, moderator.token);
    const before = (await notificationsOf(reporter)).length;
    // A moderator cannot warn a user with a higher role.
    const { message } = (await get(id)).body.report;
    const membership = { groupId: new ObjectId(groupId), userId: new ObjectId(message.senderId as string) };
    await collections().memberships.updateOne(membership, { $set: { role: 'admin' } });
    expect(await resolve(id, { action: 'warn', reason: 'x' })).toMatchObject(refused(403, 'forbidden'));
    await collections().memberships.updateOne(membership, { $set: { role: 'member' } });
    expect((await get(id)).body.report).toMatchObject({ state: 'claimed', resolution: null });
    expect((await notificationsOf(reporter)).length).toBe(before);
    expect(await auditOf(server, { id }, 'report.resolved')).toEqual([]);
  });
});
