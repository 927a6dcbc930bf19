import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { ClientEvent } from '../../../models/kernel/client-events.model';
import { MAX_PINS } from '../../../models/messages/pin.model';
import { MAX_EMOJIS, MAX_REACTIONS } from '../../../models/messages/reaction.model';
import { sendMessage } from '../../fixtures/messages';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let ada: Person;
let bruno: Person;
let eve: Person;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer();
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

const collections = () => server.context.database.collections;
const put = (path: string, by: Person, body?: object) =>
  server.api.call('put', path, { token: by.token, ...(body && { body }) });
const reaction = (messageId: string, emoji: string) =>
  `/api/messages/${messageId}/reactions/${encodeURIComponent(emoji)}`;
const read = async (messageId: string, by: Person) =>
  (await server.api.get(`/api/messages/${messageId}`, by.token)).body.message;

describe('reactions', () => {
  test('are counted once per user and emoji, in one order, and sent to all under a revision', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const { id } = await sendMessage(server.api, channelId, ada);
    const listener = await connectClient(bruno);
    await put(reaction(id, '👍'), ada);
    await listener.ask('message:react', { messageId: id, emoji: ':shipit:' });
    const twice = await listener.ask('message:react', { messageId: id, emoji: '👍' });
    const same = await put(reaction(id, '👍'), bruno);
    const reactions = [
      { emoji: '👍', count: 2, userIds: [ada.id, bruno.id] },
      { emoji: ':shipit:', count: 1, userIds: [bruno.id] },
    ];
    expect(twice).toMatchObject({ ok: true, data: { message: { reactions, revision: 4 } } });
    expect(same.body.message).toEqual(twice.ok && twice.data.message);
    await server.api.delete(reaction(id, '👍'), ada.token);
    const last = await listener.ask('message:unreact', { messageId: id, emoji: '👍' });
    expect(last).toMatchObject({
      data: { message: { reactions: [reactions[1]], revision: 6, editedAt: null } },
    });
    expect(listener.messages.map(({ event, message }) => [event, message.revision])).toEqual(
      [2, 3, 4, 5, 6].map((revision) => ['message:updated', revision]),
    );
  });

  test('of many users at once are all stored', async () => {
    const people = await Promise.all(Array.from({ length: 8 }, () => signUp(server.api)));
    const { channelId } = await createRoom(server.api, ada, people);
    const { id } = await sendMessage(server.api, channelId, ada);
    await Promise.all(people.flatMap((by) => ['👍', '🎉'].map((emoji) => put(reaction(id, emoji), by))));
    await Promise.all(people.slice(0, 3).map((by) => server.api.delete(reaction(id, '🎉'), by.token)));
    const { reactions } = await read(id, ada);
    const counts = Object.fromEntries(reactions.map(({ emoji, count }: any) => [emoji, count]));
    expect(counts).toEqual({ '👍': 8, '🎉': 5 });
    const ids: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page = await server.api.get(reaction(id, '👍'), ada.token, {
        limit: 3,
        ...(cursor && { cursor }),
      });
      ids.push(...page.body.users.map((user: any) => user.id));
      cursor = page.body.nextCursor;
    }
    expect(ids).toEqual(people.map((person) => person.id).sort());
  });

  test('are limited in emojis and in number', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const { id } = await sendMessage(server.api, channelId, ada);
    const messageId = new ObjectId(id);
    const many = Array.from({ length: MAX_EMOJIS }, (_, index) => ({
      emoji: `:e${index}:`,
      userIds: [new ObjectId(bruno.id)],
    }));
    await collections().messages.updateOne({ _id: messageId }, { $set: { reactions: many } });
    expect((await put(reaction(id, '👍'), ada)).body.error.code).toBe('too_many_reactions');
    expect((await put(reaction(id, ':e0:'), ada)).status).toBe(200);
    const crowd = { emoji: '👍', userIds: Array.from({ length: MAX_REACTIONS }, () => new ObjectId()) };
    await collections().messages.updateOne({ _id: messageId }, { $set: { reactions: [crowd] } });
    expect((await put(reaction(id, '👍'), ada)).body.error.code).toBe('too_many_reactions');
    const [shown] = (await read(id, ada)).reactions;
    expect([shown.count, shown.userIds.length]).toEqual([MAX_REACTIONS, 50]);
  });

  test('accept one emoji or a shortcode, over both transports', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const { id } = await sendMessage(server.api, channelId, ada);
    const client = await connectClient(ada);
    for (const emoji of ['x', '👍👍', '<script>', '$where', '../..', ' ']) {
      expect((await put(reaction(id, emoji), ada)).body.error.code).toBe('validation_failed');
      const overSocket = await client.ask('message:react', { messageId: id, emoji });
      expect(overSocket).toMatchObject({ ok: false, error: { code: 'validation_failed' } });
    }
    expect((await put(reaction(id, '❤'), ada)).body.message.reactions[0].emoji).toBe('❤️');
  });
});

describe('pins', () => {
  test('are listed latest first, page by page, and no longer once they are removed', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const ids: string[] = [];
    for (let count = 0; count < 3; count++) ids.push((await sendMessage(server.api, channelId, bruno)).id);
    const [one, two, three] = ids as [string, string, string];
    for (const id of [two, one, three]) expect((await put(`/api/messages/${id}/pin`, ada)).status).toBe(200);
    const again = await put(`/api/messages/${two}/pin`, ada);
    expect(again.body.message).toMatchObject({ pinnedBy: ada.id, pinnedAt: expect.any(String), revision: 4 });
    const path = `/api/channels/${channelId}/pins`;
    const first = await server.api.get(path, bruno.token, { limit: 2 });
    const second = await server.api.get(path, bruno.token, { limit: 2, cursor: first.body.nextCursor });
    const pages = [first, second].map(({ body }) => body.messages.map((message: any) => message.id));
    expect(pages).toEqual([[three, one], [two]]);
    expect(second.body.nextCursor).toBeNull();
    await server.api.delete(`/api/messages/${one}/pin`, ada.token);
    await server.api.delete(`/api/messages/${three}`, bruno.token);
    const left = (await server.api.get(path, bruno.token)).body.messages;
    expect(left.map((message: any) => message.id)).toEqual([two]);
  });

  test('are limited per channel, however many are added at once', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const sent = await Promise.all(Array.from({ length: 6 }, () => sendMessage(server.api, channelId, ada)));
    const [like] = await collections()
      .messages.find({ channelId: new ObjectId(channelId) })
      .limit(1)
      .toArray();
    await collections().messages.insertMany(
      Array.from({ length: MAX_PINS - 2 }, (_, index) => {
        const number = 1000 + index;
        const numbers = { seq: number, revision: number, clientMessageId: `pinned ${number}` };
        return { ...like!, _id: new ObjectId(), ...numbers, pinnedRevision: number };
      }),
    );
    const answers = await Promise.all(sent.map(({ id }) => put(`/api/messages/${id}/pin`, ada)));
    const codes = answers.filter(({ status }) => status !== 200).map(({ body }) => body.error.code);
    expect(codes).toEqual(Array(4).fill('too_many_pins'));
    const { body } = await server.api.get(`/api/channels/${channelId}/pins`, ada.token);
    expect(body.messages).toHaveLength(MAX_PINS);
  });

  test('require a moderator in groups, and any member in direct messages', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const { id } = await sendMessage(server.api, channelId, bruno);
    expect((await put(`/api/messages/${id}/pin`, bruno)).body.error.code).toBe('forbidden');
    const started = await server.api.post('/api/direct-messages', { userIds: [eve.id] }, bruno.token);
    const direct: string = started.body.conversation.channel.id;
    const message = await sendMessage(server.api, direct, bruno, '@channel');
    expect(message.mentionsEveryone).toBe('channel');
    expect((await put(`/api/messages/${message.id}/pin`, eve)).status).toBe(200);
  });
});

describe('bookmarks', () => {
  test("are listed newest first, sent to the user's own devices, and to nobody else's", async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const [one, two] = [
      await sendMessage(server.api, channelId, ada),
      await sendMessage(server.api, channelId, ada),
    ];
    const [device, other] = [await connectClient(bruno), await connectClient(ada)];
    await put(`/api/messages/${one.id}/bookmark`, bruno);
    await device.ask('message:bookmark', { messageId: two.id });
    await device.ask('message:bookmark', { messageId: two.id });
    const list = async (by: Person) =>
      (await server.api.get('/api/client/bookmarks', by.token)).body.bookmarks.map(
        (each: any) => each.message.id,
      );
    expect(await list(bruno)).toEqual([two.id, one.id]);
    expect(await list(ada)).toEqual([]);
    await server.api.delete(`/api/messages/${one.id}/bookmark`, bruno.token);
    await server.api.delete(`/api/messages/${two.id}`, ada.token);
    await device.waitFor('bookmark:removed', ({ messageId }) => messageId === two.id);
    expect(await list(bruno)).toEqual([]);
    const events = device.events.filter(({ event }) => event.startsWith('bookmark:'));
    expect(events.map(({ event }) => event)).toEqual([
      'bookmark:added',
      'bookmark:added',
      'bookmark:removed',
      'bookmark:removed',
    ]);
    expect(other.events.some(({ event }) => event.startsWith('bookmark:'))).toBe(false);
  });

  test('exist only as long as the user may read the messages', async () => {
    const { groupId, channelId } = await createRoom(server.api, ada, [bruno]);
    const { id } = await sendMessage(server.api, channelId, ada);
    await put(`/api/messages/${id}/bookmark`, bruno);
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    const { body } = await server.api.get('/api/client/bookmarks', bruno.token);
    expect(body.bookmarks).toEqual([]);
  });
});

describe('a user who may not', () => {
  const calls: [string, ClientEvent, (id: string, by: Person) => Promise<any>, object][] = [
    ['react', 'message:react', (id, by) => put(reaction(id, '👍'), by), { emoji: '👍' }],
    [
      'remove a reaction',
      'message:unreact',
      (id, by) => server.api.delete(reaction(id, '👍'), by.token),
      { emoji: '👍' },
    ],
    ['pin', 'message:pin', (id, by) => put(`/api/messages/${id}/pin`, by), {}],
    ['unpin', 'message:unpin', (id, by) => server.api.delete(`/api/messages/${id}/pin`, by.token), {}],
    ['bookmark', 'message:bookmark', (id, by) => put(`/api/messages/${id}/bookmark`, by), {}],
    ['follow', 'thread:follow', (id, by) => put(`/api/messages/${id}/follow`, by), {}],
    [
      'mark a thread as read',
      'thread:mark_read',
      (id, by) => put(`/api/messages/${id}/thread-read`, by, { seq: 1 }),
      { seq: 1 },
    ],
    [
      'forward',
      'message:forward',
      (id, by) => {
        const body = { channelId: id, clientMessageId: randomUUID() };
        return server.api.post(`/api/messages/${id}/forward`, body, by.token);
      },
      {},
    ],
  ];

  test.each(calls)(
    'read a message can use no action on it (%s), and only learns that it was not found',
    async (_, event, overRest, more) => {
      const { groupId, channelId } = await createRoom(server.api, ada, [bruno]);
      const { id } = await sendMessage(server.api, channelId, ada);
      const [outsider, removed] = [await connectClient(eve), await connectClient(bruno)];
      await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
      const forward = event === 'message:forward' ? { channelId, clientMessageId: randomUUID() } : {};
      for (const [client, person] of [
        [outsider, eve],
        [removed, bruno],
      ] as const) {
        expect((await overRest(id, person)).body.error.code).toBe('not_found');
        const answer = await client.ask(event, { messageId: id, ...more, ...forward });
        expect(answer).toMatchObject({ ok: false, error: { code: 'not_found' } });
      }
      expect((await read(id, ada)).revision).toBe(1);
    },
  );

  test('write in a channel cannot react in it either', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const { id } = await sendMessage(server.api, channelId, ada);
    expect(
      (await put(`/api/channels/${channelId}/restrictions/${bruno.id}`, ada, { kind: 'muted' })).status,
    ).toBe(200);
    expect((await put(reaction(id, '👍'), bruno)).body.error.code).toBe('muted');
    expect((await put(`/api/messages/${id}/bookmark`, bruno)).status).toBe(200);
  });

  test('change a deleted message', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const { id } = await sendMessage(server.api, channelId, ada, 'Secret');
    await put(reaction(id, '👍'), ada);
    await put(`/api/messages/${id}/pin`, ada);
    const deleted = await server.api.delete(`/api/messages/${id}`, ada.token);
    expect(deleted.body.message).toMatchObject({ body: '', reactions: [], pinnedAt: null, pinnedBy: null });
    for (const answer of [
      await put(reaction(id, '👍'), ada),
      await put(`/api/messages/${id}/pin`, ada),
      await put(`/api/messages/${id}/bookmark`, ada),
    ]) {
      expect(answer.body.error.code).toBe('message_deleted');
    }
  });
});

test('an idempotency key applies to both transports', async () => {
  const { channelId } = await createRoom(server.api, ada);
  const { id } = await sendMessage(server.api, channelId, ada);
  const client = await connectClient(ada);
  const key = randomUUID();
  const first = await client.ask('message:react', { messageId: id, emoji: '👍', idempotencyKey: key });
  await client.ask('message:unreact', { messageId: id, emoji: '👍' });
  const headers = { 'Idempotency-Key': key };
  const again = await server.api.call('put', reaction(id, '👍'), { token: ada.token, headers });
  expect(again.headers['idempotency-replayed']).toBe('true');
  expect(again.body).toEqual(first.ok && first.data);
  expect((await read(id, ada)).reactions).toEqual([]);
});
