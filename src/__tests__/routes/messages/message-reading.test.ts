import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { Message } from '../../../models/message.model';
import { postMessage, sendMessage } from '../../fixtures/messages';
import { createUsers, createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let ada: Person;
let bruno: Person;
let chiara: Person;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  ({ ada, bruno, chiara } = await signUpAll(server.api, 'root', 'ada', 'bruno', 'chiara'));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server.close());

async function connectClient(person: Person): Promise<Client> {
  const client = await connect(server.url, person.token);
  clients.push(client);
  return client;
}

const collections = () => server.context.database.collections;
const put = (path: string, by: Person, body?: object) =>
  server.api.call('put', path, { token: by.token, ...(body && { body }) });
const seqsOf = ({ body }: { body: any }): number[] => body.messages.map((message: Message) => message.seq);
/** The kinds of a user's notifications about one message. */
const mentionsOf = async (person: Person, messageId: string) =>
  (
    await collections()
      .notifications.find({ userId: new ObjectId(person.id) })
      .toArray()
  ).filter((one) => one.kind === 'mention' && one.messageId?.toHexString() === messageId).length;

describe('history', () => {
  let channelId: string;
  let sent: Message[];
  const page = (query: object) =>
    server.api.get(`/api/channels/${channelId}/messages`, ada.token, { ...query });

  beforeAll(async () => {
    ({ channelId } = await createRoom(server.api, ada, [bruno]));
    sent = [];
    for (let seq = 1; seq <= 20; seq++) {
      // Messages 6, 7 and 8 are replies to 5.
      const more = seq > 5 && seq < 9 ? { threadId: sent[4]!.id } : {};
      sent.push(await sendMessage(server.api, channelId, ada, `Message ${seq}`, more));
    }
  });

  test('around a message has as many messages before it as after it, and says how to continue', async () => {
    const middle = await page({ around: 10, limit: 5 });
    expect(seqsOf(middle)).toEqual([8, 9, 10, 11, 12]);
    expect(middle.body).toMatchObject({ previousCursor: 8, nextCursor: 12 });
    expect(seqsOf(await page({ before: middle.body.previousCursor, limit: 3 }))).toEqual([7, 6, 5]);
    expect(seqsOf(await page({ after: middle.body.nextCursor, limit: 3 }))).toEqual([13, 14, 15]);
  });

  test('around a message near an end of the channel is filled from the other side', async () => {
    const [start, end, beyond, all] = [
      await page({ around: 1, limit: 5 }),
      await page({ around: 20, limit: 5 }),
      await page({ around: 1000, limit: 5 }),
      await page({ around: 10, limit: 100 }),
    ];
    expect([start, end, beyond].map(seqsOf)).toEqual([
      [1, 2, 3, 4, 5],
      [16, 17, 18, 19, 20],
      [16, 17, 18, 19, 20],
    ]);
    expect([start, end, beyond, all].map(({ body }) => [body.previousCursor, body.nextCursor])).toEqual([
      [null, 5],
      [16, null],
      [16, null],
      [null, null],
    ]);
    expect(seqsOf(all)).toEqual(sent.map(({ seq }) => seq));
  });

  test('around a time starts with the first message from then on', async () => {
    // The clock may not have moved between two messages, so they get times a minute apart.
    const start = Date.parse('2026-01-01T00:00:00.000Z');
    for (const { id, seq } of sent) {
      const createdAt = new Date(start + seq * 60_000);
      await collections().messages.updateOne({ _id: new ObjectId(id) }, { $set: { createdAt } });
    }
    const at = (seq: number) => new Date(start + seq * 60_000 - 1000).toISOString();
    expect(seqsOf(await page({ at: at(10), limit: 3 }))).toEqual([9, 10, 11]);
    expect(seqsOf(await page({ at: '2000-01-01T00:00:00Z', limit: 2 }))).toEqual([1, 2]);
    expect(seqsOf(await page({ at: '2100-01-01T00:00:00Z', limit: 2 }))).toEqual([19, 20]);
  });

  test('can leave out replies, which have a list of their own', async () => {
    expect(seqsOf(await page({ around: 7, limit: 4, replies: 'exclude' }))).toEqual([4, 5, 9, 10]);
    expect(seqsOf(await page({ after: 4, limit: 3, replies: 'exclude' }))).toEqual([5, 9, 10]);
    const root = sent[4]!;
    for (const parent of [root, sent[6]!]) {
      const replies = await server.api.get(`/api/messages/${parent.id}/replies`, bruno.token, {
        after: 0,
        limit: 2,
      });
      expect([seqsOf(replies), replies.body.nextCursor]).toEqual([[6, 7], 7]);
    }
    expect(seqsOf(await server.api.get(`/api/messages/${root.id}/replies`, bruno.token))).toEqual([8, 7, 6]);
  });

  test.each([
    { around: 1, before: 2 },
    { at: '2026-01-01T00:00:00Z', after: 1 },
    { around: -1 },
    { around: '' },
    { at: 'yesterday' },
    { replies: 'some' },
  ])('refuses %j', async (query) => {
    expect((await page(query)).body.error.code).toBe('validation_failed');
  });

  test('a permalink leads to a message for users who may read it', async () => {
    const { id } = sent[9]!;
    const answer = await server.api.get(`/api/messages/${id}`, bruno.token);
    expect(answer.body.message).toMatchObject({ id, channelId, seq: 10 });
    for (const path of [
      `/api/messages/${id}`,
      `/api/messages/${id}/replies`,
      `/api/messages/${id}/seen-by`,
    ]) {
      expect((await server.api.get(path, chiara.token)).body.error.code).toBe('not_found');
    }
  });
});

describe('an edited message', () => {
  test('keeps its earlier texts for moderators until it is deleted', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const { id, createdAt } = await sendMessage(server.api, channelId, bruno, 'One');
    for (const body of ['Two', 'Two', 'Three'])
      await server.api.patch(`/api/messages/${id}`, { body }, bruno.token);
    const path = `/api/messages/${id}/edits`;
    const { edits } = (await server.api.get(path, ada.token)).body;
    expect(edits.map((edit: any) => edit.body)).toEqual(['Two', 'One']);
    expect(edits[1]).toMatchObject({ writtenAt: createdAt, replacedAt: edits[0].writtenAt });
    const page = await server.api.get(path, ada.token, { limit: 1 });
    const rest = await server.api.get(path, ada.token, { limit: 1, cursor: page.body.nextCursor });
    expect([page, rest].map(({ body }) => body.edits[0].body)).toEqual(['Two', 'One']);
    expect((await server.api.get(path, bruno.token)).body.error.code).toBe('forbidden');
    await server.api.delete(`/api/messages/${id}`, ada.token);
    expect((await server.api.get(path, ada.token)).body.edits).toEqual([]);
    const entry = await collections().auditLog.findOne({
      action: 'message.deleted',
      targetId: new ObjectId(id),
    });
    expect(entry?.actorId?.toHexString()).toBe(ada.id);
  });

  test('with a new mention notifies the user once', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno, chiara]);
    const { id } = await sendMessage(server.api, channelId, ada, `@${bruno.username}`);
    const texts = [
      `@${bruno.username} @${chiara.username}`,
      'nobody',
      `@${chiara.username} @${bruno.username}`,
      '@channel',
    ];
    const mentions: unknown[] = [];
    for (const body of texts) {
      const edited = await server.api.patch(`/api/messages/${id}`, { body }, ada.token);
      mentions.push(edited.body.message.mentionIds);
    }
    expect(mentions).toEqual([[bruno.id, chiara.id], [], [chiara.id, bruno.id], []]);
    expect([await mentionsOf(bruno, id), await mentionsOf(chiara, id)]).toEqual([1, 1]);
    await server.api.delete(`/api/messages/${id}`, ada.token);
    expect([await mentionsOf(bruno, id), await mentionsOf(chiara, id)]).toEqual([0, 0]);
  });
});

describe('mentioned users', () => {
  test('are notified after the message has arrived, on all devices, with the unread counts', async () => {
    const { groupId, channelId } = await createRoom(server.api, ada, [bruno]);
    const device = await connectClient(bruno);
    const message = await sendMessage(server.api, channelId, ada, `@${bruno.username}`);
    const { notification, unread, silent } = await device.waitFor('notification:created');
    expect(notification).toMatchObject({
      kind: 'mention',
      actorId: ada.id,
      groupId,
      channelId,
      messageId: message.id,
    });
    const list = await server.api.get('/api/client/notifications', bruno.token);
    expect([unread, silent]).toEqual([list.body.unread, false]);
    const events = device.events.map(({ event }) => event);
    expect(events.indexOf('message:created')).toBeLessThan(events.indexOf('notification:created'));
    await server.api.delete(`/api/messages/${message.id}`, ada.token);
    const deletion = await device.waitFor('notification:deleted');
    expect(deletion).toEqual({ notificationId: notification.id, unread: unread - 1 });
  });

  test('are not notified in muted channels, and only silently during do not disturb', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const device = await connectClient(bruno);
    const path = `/api/channels/${channelId}/notification-setting`;
    const off = await put(path, bruno, { notificationLevel: 'none' });
    expect(off.body.setting).toEqual({ channelId, notificationLevel: 'none' });
    expect((await device.waitFor('channel_setting:updated')).setting).toEqual(off.body.setting);
    const silentMessage = await sendMessage(server.api, channelId, ada, `@${bruno.username}`);
    expect(await mentionsOf(bruno, silentMessage.id)).toBe(0);
    expect(silentMessage.mentionIds).toEqual([bruno.id]);
    await server.api.patch('/api/client/preferences', { notificationLevel: 'none' }, bruno.token);
    await device.ask('channel:set_notifications', { channelId, notificationLevel: 'mentions' });
    const until = new Date(Date.now() + 60_000).toISOString();
    await server.api.patch('/api/client/preferences', { doNotDisturbUntil: until }, bruno.token);
    await sendMessage(server.api, channelId, ada, `@${bruno.username}`);
    expect((await device.waitFor('notification:created')).silent).toBe(true);
    await put(path, bruno, { notificationLevel: null });
    expect((await server.api.get(path, bruno.token)).body.setting.notificationLevel).toBeNull();
    const byPreference = await sendMessage(server.api, channelId, ada, `@${bruno.username}`);
    expect(await mentionsOf(bruno, byPreference.id)).toBe(0);
    const usual = { doNotDisturbUntil: null, notificationLevel: 'all' };
    await server.api.patch('/api/client/preferences', usual, bruno.token);
  });

  test('by @channel are all readers but the sender and those who blocked the sender; by @here those online', async () => {
    const { dora, emil } = await signUpAll(server.api, 'dora', 'emil');
    const { channelId } = await createRoom(server.api, ada, [chiara, dora, emil]);
    await put(`/api/users/me/blocks/${ada.id}`, dora);
    const all = await sendMessage(server.api, channelId, ada, '@channel');
    const notified = async ({ id }: Message) =>
      Promise.all([ada, chiara, dora, emil].map((person) => mentionsOf(person, id)));
    expect(await notified(all)).toEqual([0, 1, 0, 1]);
    await Promise.all([connectClient(chiara), connectClient(dora)]);
    expect(await notified(await sendMessage(server.api, channelId, ada, '@here'))).toEqual([0, 1, 0, 0]);
    expect(await notified(await sendMessage(server.api, channelId, emil, '@channel'))).toEqual([0, 0, 0, 0]);
  });
});

describe('a forwarded message', () => {
  const forward = (id: string, channelId: string, by: Person, clientMessageId: string = randomUUID()) =>
    server.api.post(`/api/messages/${id}/forward`, { channelId, clientMessageId }, by.token);

  test('keeps its author, however often it is forwarded, and mentions nobody', async () => {
    const [from, to, further] = [
      await createRoom(server.api, ada, [bruno]),
      await createRoom(server.api, bruno, [ada, chiara]),
      await createRoom(server.api, chiara),
    ];
    const source = await sendMessage(server.api, from.channelId, ada, `Words, @${bruno.username}`);
    const first = await forward(source.id, to.channelId, bruno);
    expect([first.status, first.body.message]).toMatchObject([
      201,
      {
        channelId: to.channelId,
        senderId: bruno.id,
        body: source.body,
        mentionIds: [],
        forwardedFrom: { messageId: source.id, senderId: ada.id, createdAt: source.createdAt },
      },
    ]);
    const second = await forward(first.body.message.id, further.channelId, chiara);
    expect(second.body.message.forwardedFrom).toEqual(first.body.message.forwardedFrom);
    expect(JSON.stringify(second.body)).not.toContain(from.channelId);
    const edit = await server.api.patch(
      `/api/messages/${first.body.message.id}`,
      { body: 'Others' },
      bruno.token,
    );
    expect(edit.body.error.code).toBe('forbidden');
  });

  test('requires read access to the source and write access to the destination', async () => {
    const [from, to] = [await createRoom(server.api, ada), await createRoom(server.api, bruno)];
    const { id } = await sendMessage(server.api, from.channelId, ada);
    expect((await forward(id, to.channelId, bruno)).body.error.code).toBe('not_found');
    expect((await forward(id, to.channelId, ada)).status).toBe(404);
    const own = await sendMessage(server.api, to.channelId, bruno);
    expect((await forward(own.id, from.channelId, bruno)).body.error.code).toBe('not_found');
  });

  test('is sent once, even when its source was deleted before the retry', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const source = await sendMessage(server.api, channelId, ada, 'Words');
    const key = randomUUID();
    const first = await forward(source.id, channelId, ada, key);
    await server.api.delete(`/api/messages/${source.id}`, ada.token);
    const again = await forward(source.id, channelId, ada, key);
    expect([again.status, again.body]).toEqual([200, first.body]);
    expect((await forward(source.id, channelId, ada)).body.error.code).toBe('message_deleted');
    expect((await forward(first.body.message.id, channelId, ada, key)).body.error.code).toBe(
      'client_message_id_reused',
    );
  });
});

describe('a thread', () => {
  test("can be followed and unfollowed on all devices; one's own reply follows it again", async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const root = await sendMessage(server.api, channelId, ada, 'Root');
    const device = await connectClient(ada);
    const reply = await sendMessage(server.api, channelId, bruno, 'Reply', { threadId: root.id });
    const left = await server.api.delete(`/api/messages/${root.id}/follow`, ada.token);
    expect(left.body.thread).toMatchObject({ threadId: root.id, channelId, following: false });
    const notified = await device.waitFor('thread:updated', ({ thread }) => !thread.following);
    expect(notified.thread).toEqual(left.body.thread);
    const of = async ({ id }: Person) =>
      (
        await collections().threadFollows.findOne({
          threadId: new ObjectId(root.id),
          userId: new ObjectId(id),
        })
      )?.following;
    await sendMessage(server.api, channelId, bruno, 'Another', { threadId: root.id });
    expect([await of(ada), await of(bruno)]).toEqual([false, true]);
    await sendMessage(server.api, channelId, ada, 'Mine', { threadId: root.id });
    expect(await of(ada)).toBe(true);
    await server.api.delete(`/api/messages/${root.id}/follow`, bruno.token);
    const again = await put(`/api/messages/${reply.id}/follow`, bruno);
    expect(again.body.thread).toEqual({ threadId: root.id, channelId, following: true, readSeq: 4 });
  });

  test('becomes followed on all devices of its participants', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const root = await sendMessage(server.api, channelId, ada, 'Root');
    const devices = await Promise.all([connectClient(ada), connectClient(ada), connectClient(bruno)]);
    const reply = await sendMessage(server.api, channelId, bruno, 'Reply', { threadId: root.id });
    const notified = await Promise.all(
      devices.map((device) => device.waitFor('thread:updated', ({ thread }) => thread.threadId === root.id)),
    );
    const thread = { threadId: root.id, channelId, following: true };
    expect(notified.map((event) => event.thread)).toEqual([
      { ...thread, readSeq: root.seq },
      { ...thread, readSeq: root.seq },
      { ...thread, readSeq: reply.seq },
    ]);
  });

  test('sends no event to the author of its root after they have left the channel', async () => {
    const { groupId, channelId } = await createRoom(server.api, ada, [bruno, chiara]);
    const root = await sendMessage(server.api, channelId, bruno, 'Root');
    const device = await connectClient(bruno);
    expect((await server.api.post(`/api/groups/${groupId}/leave`, undefined, bruno.token)).status).toBe(204);
    await sendMessage(server.api, channelId, chiara, 'Reply', { threadId: root.id });
    // A round trip: every earlier event has arrived.
    await device.ask('message:delete', {});
    expect(device.events.filter(({ event }) => event === 'thread:updated')).toEqual([]);
  });

  test('counts the replies that have not been deleted at its root', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const root = await sendMessage(server.api, channelId, ada, 'Root');
    const replies = await Promise.all(
      Array.from({ length: 6 }, () =>
        sendMessage(server.api, channelId, bruno, 'Reply', { threadId: root.id }),
      ),
    );
    const bySeq = replies.sort((one, other) => one.seq - other.seq);
    const rootNow = async () => (await server.api.get(`/api/messages/${root.id}`, ada.token)).body.message;
    const remove = ({ id }: Message) => server.api.delete(`/api/messages/${id}`, ada.token);
    await Promise.all([remove(bySeq[5]!), remove(bySeq[0]!), remove(bySeq[5]!)]);
    expect(await rootNow()).toMatchObject({ replyCount: 4, lastReplyAt: bySeq[4]!.createdAt });
    await Promise.all(bySeq.map(remove));
    expect(await rootNow()).toMatchObject({ replyCount: 0, lastReplyAt: null });
  });
});

describe('the users who have seen a message', () => {
  const seenBy = async (id: string) => {
    const { body } = await server.api.get(`/api/messages/${id}/seen-by`, ada.token);
    return body.users?.map((user: any) => user.id) ?? body.error.code;
  };

  test('are those who have read up to it and share their read receipts', async () => {
    const { groupId, channelId } = await createRoom(server.api, ada, [bruno, chiara]);
    const listener = await connectClient(ada);
    const [one, two] = [
      await sendMessage(server.api, channelId, ada),
      await sendMessage(server.api, channelId, ada),
    ];
    await put(`/api/channels/${channelId}/read`, bruno, { seq: one.seq });
    await server.api.patch('/api/client/preferences', { sendReadReceipts: false }, chiara.token);
    await put(`/api/channels/${channelId}/read`, chiara, { seq: two.seq });
    expect([await seenBy(one.id), await seenBy(two.id)]).toEqual([[bruno.id], []]);
    const { seen } = await listener.waitFor('channel:seen');
    expect(seen).toEqual([{ userId: bruno.id, readSeq: one.seq }]);
    await server.api.patch('/api/client/preferences', { sendReadReceipts: true }, chiara.token);
    expect(await seenBy(two.id)).toEqual([chiara.id]);
    // A later member has not seen it, although nothing is unread for them.
    const late = await signUp(server.api, 'late');
    await server.api.post(`/api/groups/${groupId}/members`, { userId: late.id }, ada.token);
    expect(await seenBy(two.id)).toEqual([chiara.id]);
  });

  test('are not listed in a channel with more than 50 readers', async () => {
    const { groupId, channelId } = await createRoom(server.api, ada, [bruno]);
    const { id } = await sendMessage(server.api, channelId, ada);
    const userIds = await createUsers(server, bruno, 49);
    const others = userIds.map((userId) => ({
      _id: new ObjectId(),
      groupId: new ObjectId(groupId),
      userId,
      role: 'member' as const,
      joinedAt: new Date(),
    }));
    await collections().memberships.insertMany(others.slice(1));
    expect(await seenBy(id)).toEqual([]);
    await collections().memberships.insertMany(others.slice(0, 1));
    expect(await seenBy(id)).toBe('receipts_unavailable');
  });
});

test('users who may not write are refused also when a message refers to another', async () => {
  const { channelId } = await createRoom(server.api, ada, [bruno]);
  const { id } = await sendMessage(server.api, channelId, ada);
  await server.api.patch(`/api/channels/${channelId}`, { announcementOnly: true }, ada.token);
  const answer = await postMessage(server.api, channelId, bruno, 'Reply', { threadId: id });
  expect(answer.body.error.code).toBe('announcement_only');
});
