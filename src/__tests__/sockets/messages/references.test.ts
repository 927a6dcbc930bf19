import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { Message } from '../../../models/message.model';
import { commandsOf } from '../../fixtures/commands';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let ada: Person;
let bruno: Person;
let eve: Person;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer({}, { monitorCommands: true });
  // The first account is super admin and may do everything.
  ({ ada, bruno, eve } = await signUpAll(server.api, 'root', 'ada', 'bruno', 'eve'));
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

async function post(channelId: string, by: Person, body: string, more: object = {}) {
  const input = { clientMessageId: randomUUID(), body, ...more };
  return server.api.post(`/api/channels/${channelId}/messages`, input, by.token);
}

async function say(channelId: string, by: Person, body: string, more: object = {}): Promise<Message> {
  const answer = await post(channelId, by, body, more);
  expect(answer.status).toBe(201);
  return answer.body.message;
}

const follows = (threadId: string) =>
  server.context.database.collections.threadFollows
    .find()
    .toArray()
    .then((rows) => rows.filter((row) => row.threadId.toHexString() === threadId));

describe('a thread', () => {
  test('counts its replies at the root, under a revision of its own, for all readers', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const listener = await connectClient(bruno);
    const root = await say(channelId, ada, 'Root');
    const reply = await say(channelId, bruno, 'Reply', { threadId: root.id });
    expect(reply).toMatchObject({ seq: 2, revision: 2, threadId: root.id, replyCount: 0 });
    const received = await listener.waitForMessage(({ event }) => event === 'message:updated');
    expect(received.message).toMatchObject({
      id: root.id,
      seq: 1,
      revision: 3,
      replyCount: 1,
      lastReplyAt: reply.createdAt,
      editedAt: null,
    });
    const { body } = await server.api.get(`/api/channels/${channelId}`, ada.token);
    expect(body.channel).toMatchObject({ seq: 2, revision: 3 });
  });

  test('keeps one order of revisions during concurrent replies to several roots', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const listener = await connectClient(bruno);
    const roots = [await say(channelId, ada, 'One'), await say(channelId, ada, 'Two')];
    const replies = Array.from({ length: 30 }, (_, index) => index);
    await Promise.all(
      replies.map((index) =>
        say(channelId, index % 2 ? ada : bruno, `Reply ${index}`, { threadId: roots[index % 3 ? 0 : 1]!.id }),
      ),
    );
    const last = await say(channelId, ada, 'Last');
    await listener.waitForMessage(({ message }) => message.id === last.id);
    const revisions = listener.messages.map(({ message }) => message.revision);
    expect(revisions).toEqual(Array.from({ length: revisions.length }, (_, index) => index + 1));
    expect(last.revision).toBe(revisions.length);
    const seqs = listener.messages.filter(({ event }) => event === 'message:created');
    expect(seqs.map(({ message }) => message.seq)).toEqual(seqs.map((_, index) => index + 1));
    const newest = (id: string) =>
      listener.messages.filter(({ message }) => message.id === id).at(-1)!.message;
    expect(roots.map(({ id }) => newest(id).replyCount)).toEqual([20, 10]);
  });

  test('contains replies to its replies', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const root = await say(channelId, ada, 'Root');
    const reply = await say(channelId, bruno, 'Reply', { threadId: root.id });
    const second = await say(channelId, ada, 'Reply to the reply', {
      threadId: reply.id,
      replyToId: reply.id,
    });
    expect(second).toMatchObject({ threadId: root.id, replyToId: reply.id });
  });

  test('is followed by the author of its root and by all who reply', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const root = await say(channelId, ada, 'Root');
    expect(await follows(root.id)).toEqual([]);
    const reply = await say(channelId, bruno, 'Reply', { threadId: root.id });
    const rows = await follows(root.id);
    const byUser = Object.fromEntries(
      rows.map(({ userId, following, readSeq }) => [userId.toHexString(), [following, readSeq]]),
    );
    expect(byUser).toEqual({ [ada.id]: [true, root.seq], [bruno.id]: [true, reply.seq] });
  });

  test('counts a repeated reply once, and refuses it in another thread', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const roots = [await say(channelId, ada, 'One'), await say(channelId, ada, 'Two')];
    const input = { clientMessageId: 'again', threadId: roots[0]!.id };
    const first = await say(channelId, ada, 'Reply', input);
    expect((await post(channelId, ada, 'Reply', input)).body.message).toEqual(first);
    const other = await post(channelId, ada, 'Reply', { ...input, threadId: roots[1]!.id });
    const none = await post(channelId, ada, 'Reply', { clientMessageId: 'again' });
    expect([other, none].map(({ body }) => body.error.code)).toEqual(
      Array(2).fill('client_message_id_reused'),
    );
    const { body } = await server.api.get(`/api/channels/${channelId}/messages`, ada.token);
    expect(body.messages.map((message: Message) => message.replyCount)).toEqual([0, 0, 1]);
  });
});

describe('a message that another one refers to', () => {
  test('must be in the same channel: otherwise it is not found', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const other = await createRoom(server.api, ada);
    const foreign = await say(other.channelId, ada, 'Elsewhere');
    const socket = await connectClient(bruno);
    for (const field of ['threadId', 'replyToId']) {
      for (const id of [foreign.id, '0'.repeat(24)]) {
        const overRest = await post(channelId, bruno, 'Reply', { [field]: id });
        expect(overRest.body.error.code).toBe('not_found');
        const input = { channelId, clientMessageId: randomUUID(), body: 'Reply', [field]: id };
        const overSocket = await socket.ask('message:send', input);
        expect(overSocket).toMatchObject({ ok: false, error: { code: 'not_found' } });
      }
    }
    const { body } = await server.api.get(`/api/channels/${channelId}`, ada.token);
    expect(body.channel).toMatchObject({ seq: 0, revision: 0 });
  });

  test('must not be deleted; a thread that has begun continues nevertheless', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const [lonely, root] = [await say(channelId, ada, 'Lonely'), await say(channelId, ada, 'Root')];
    await say(channelId, bruno, 'Reply', { threadId: root.id });
    for (const { id } of [lonely, root]) await server.api.delete(`/api/messages/${id}`, ada.token);
    for (const refers of [{ threadId: lonely.id }, { replyToId: lonely.id }, { replyToId: root.id }]) {
      expect((await post(channelId, bruno, 'Reply', refers)).body.error.code).toBe('message_deleted');
    }
    await say(channelId, bruno, 'Reply', { threadId: root.id });
  });

  test('fails alone when it is invalid: other messages of the batch are stored', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const answers = await Promise.all([
      post(channelId, ada, 'Good'),
      post(channelId, ada, 'Bad', { threadId: '0'.repeat(24) }),
      post(channelId, ada, 'Good too'),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([201, 404, 201]);
    expect(answers[2].body.message.seq).toBe(2);
  });
});

describe('a mention', () => {
  test('names users of the channel, once each, in any case; not oneself, and not outsiders', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const text = `@${bruno.username.toUpperCase()}, @${bruno.username}. @${ada.username} @${eve.username} @nobody`;
    expect((await say(channelId, ada, text)).mentionIds).toEqual([bruno.id]);
    expect((await say(channelId, ada, `\`@${bruno.username}\``)).mentionIds).toEqual([]);
  });

  test('of a user who is not in the private channel, or is banned from it, is plain text', async () => {
    const { groupId, channelId } = await createRoom(server.api, ada, [bruno]);
    const input = { groupId, name: 'inner', visibility: 'private' };
    const inner: string = (await server.api.post('/api/channels', input, ada.token)).body.channel.id;
    expect((await say(inner, ada, `@${bruno.username}`)).mentionIds).toEqual([]);
    await server.api.post(`/api/channels/${inner}/members`, { userId: bruno.id }, ada.token);
    expect((await say(inner, ada, `@${bruno.username}`)).mentionIds).toEqual([bruno.id]);
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    expect((await say(channelId, ada, `@${bruno.username}`)).mentionIds).toEqual([]);
  });

  test('of a user who has blocked the sender does not notify', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno, eve]);
    await server.api.call('put', `/api/users/me/blocks/${ada.id}`, { token: bruno.token });
    const text = `@${bruno.username} @${eve.username}`;
    expect((await say(channelId, ada, text)).mentionIds).toEqual([eve.id]);
    expect((await say(channelId, eve, text)).mentionIds).toEqual([bruno.id]);
    await server.api.delete(`/api/users/me/blocks/${ada.id}`, bruno.token);
  });

  test('of everyone is effective for moderators, and plain text for others', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const kinds = async (by: Person) => {
      const texts = ['@channel', '@Here!', '@here and @channel', 'channel', '`@here`'];
      return Promise.all(texts.map(async (text) => (await say(channelId, by, text)).mentionsEveryone));
    };
    expect(await kinds(ada)).toEqual(['channel', 'here', 'channel', null, null]);
    expect(await kinds(bruno)).toEqual([null, null, null, null, null]);
  });

  test('notifies a user once per message, however it is edited', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno, eve]);
    const { notifications } = server.context.database.collections;
    const named = `@${bruno.username}`;
    const sequences = [
      ['@channel', named],
      [named, '@channel'],
      ['@channel', 'nobody', named, '@channel'],
    ];
    for (const [first, ...edits] of sequences) {
      const { id } = await say(channelId, ada, first!);
      for (const body of edits) await server.api.patch(`/api/messages/${id}`, { body }, ada.token);
      const messageId = new ObjectId(id);
      expect(await notifications.countDocuments({ messageId, userId: new ObjectId(bruno.id) })).toBe(1);
      expect(await notifications.countDocuments({ messageId, userId: new ObjectId(eve.id) })).toBe(1);
    }
  });

  test('notifies a user who is named after a mention of everyone that did not reach them', async () => {
    const { groupId, channelId } = await createRoom(server.api, ada, [bruno]);
    const { id } = await say(channelId, ada, '@channel');
    await server.api.post(`/api/groups/${groupId}/members`, { userId: eve.id }, ada.token);
    await server.api.patch(`/api/messages/${id}`, { body: `@${eve.username}` }, ada.token);
    const { notifications } = server.context.database.collections;
    const about = { messageId: new ObjectId(id), userId: new ObjectId(eve.id) };
    expect(await notifications.countDocuments(about)).toBe(1);
  });

  test('needs queries only where there is an @', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    await say(channelId, ada, 'warm');
    const { client } = server.context.database.db;
    const userId = new ObjectId(ada.id);
    const caller = { userId, sessionId: new ObjectId(), role: 'client', address: '' } as const;
    const countFor = async (body: string) => {
      const commands = await commandsOf(client, () =>
        server.context.services.messages.send(caller, channelId, { clientMessageId: randomUUID(), body }),
      );
      return commands.length;
    };
    const plain = await countFor('Hello');
    expect(await countFor('a b@example.org')).toBe(plain);
    expect(await countFor(`@${bruno.username}`)).toBeGreaterThan(plain);
  });
});
