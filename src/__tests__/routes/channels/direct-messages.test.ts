import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let ada: Person;
let bruno: Person;
let chiara: Person;
let outsider: Person;
/** One device of each user. */
let devices: Map<Person, Client>;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  await signUp(server.api, 'root');
});
beforeEach(async () => {
  const people = await Promise.all(
    ['ada', 'bruno', 'chiara', 'outsider'].map((name) => signUp(server.api, name)),
  );
  [ada, bruno, chiara, outsider] = people as [Person, Person, Person, Person];
  const open = people.map(async (person) => [person, await connect(server.url, person.token)] as const);
  devices = new Map(await Promise.all(open));
});
afterEach(() => {
  for (const device of devices.values()) device.close();
});
afterAll(() => server.close());

const refused = (status: number, code: string) => ({ status, body: { error: { code } } });
const post = (path: string, body: object | undefined, by: Person, headers: Record<string, string> = {}) =>
  server.api.call('post', path, { body, token: by.token, headers });
const start = (by: Person, ...others: { id: string }[]) =>
  post('/api/direct-messages', { userIds: others.map(({ id }) => id) }, by);
const startGroup = async (by: Person, ...others: Person[]): Promise<string> => {
  const answer = await start(by, ...others);
  expect(answer.status).toBe(201);
  return answer.body.conversation.channel.id;
};
const add = (channelId: string, by: Person, ...others: { id: string }[]) =>
  post(`/api/direct-messages/${channelId}/people`, { userIds: others.map(({ id }) => id) }, by);
const leave = (channelId: string, by: Person, who = by) =>
  server.api.delete(`/api/channels/${channelId}/members/${who.id}`, by.token);
const send = (channelId: string, by: Person) =>
  post(`/api/channels/${channelId}/messages`, { clientMessageId: randomUUID(), body: 'hello' }, by);
const get = (channelId: string, by: Person) => server.api.get(`/api/channels/${channelId}`, by.token);
const list = async (by: Person, query = {}) =>
  (await server.api.get('/api/direct-messages', by.token, query)).body;
const listed = async (by: Person): Promise<string[]> =>
  (await list(by)).conversations.map(({ channel }: any) => channel.id);
const peopleIn = ({ people }: any) => people.map(({ id }: { id: string }) => id).sort();
const idsOf = (...people: Person[]) => people.map(({ id }) => id).sort();

/** The users who receive a message of another user. */
async function recipients(channelId: string, by: Person): Promise<Person[]> {
  const answer = await send(channelId, by);
  expect(answer.status).toBe(201);
  const { id } = answer.body.message;
  const all = [...devices];
  // An event that was sent to a device would arrive before the answer to this request.
  for (const [, device] of all) await device.ask('message:delete', { messageId: '0'.repeat(24) });
  return all
    .filter(([, { messages: received }]) => received.some(({ message }) => message.id === id))
    .map(([person]) => person);
}

describe('a direct message between two users', () => {
  it('is the same one whoever opens it, and invisible to others', async () => {
    const { status, body } = await start(ada, bruno);
    expect(status).toBe(201);
    const { channel } = body.conversation;
    expect(channel).toMatchObject({
      kind: 'direct',
      groupId: null,
      name: '',
      visibility: 'private',
      memberCount: 2,
    });
    expect(peopleIn(body.conversation)).toEqual(idsOf(ada, bruno));
    await devices.get(bruno)!.waitFor('channel:added', (received) => received.channel.id === channel.id);
    const again = await start(bruno, ada);
    expect([again.status, again.body.conversation.channel.id]).toEqual([200, channel.id]);

    for (const by of [ada, bruno]) {
      expect(await recipients(channel.id, by)).toEqual([ada, bruno]);
      expect(await listed(by)).toEqual([channel.id]);
    }
    expect(await get(channel.id, outsider)).toMatchObject(refused(404, 'not_found'));
    expect(await send(channel.id, outsider)).toMatchObject(refused(404, 'not_found'));
    expect(await add(channel.id, outsider, chiara)).toMatchObject(refused(404, 'not_found'));
    expect(await leave(channel.id, outsider)).toMatchObject(refused(404, 'not_found'));
    expect(await listed(outsider)).toEqual([]);
    // The device receives only the user's own presence.
    const { events: received } = devices.get(outsider)!;
    expect(received.filter(({ event }) => event !== 'presence:changed')).toEqual([]);
  });

  it('is created once when both users start it at the same time, with and without idempotency keys', async () => {
    for (const keyed of [false, true]) {
      const [one, other] = await Promise.all([signUp(server.api), signUp(server.api)]);
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, index) => {
          const [by, to] = index % 2 ? [one!, other!] : [other!, one!];
          const headers: Record<string, string> = keyed ? { 'Idempotency-Key': randomUUID() } : {};
          return post('/api/direct-messages', { userIds: [to.id] }, by, headers);
        }),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(15).fill(200), 201]);
      expect(new Set(answers.map(({ body }) => body.conversation.channel.id)).size).toBe(1);
      const { channel } = (await list(one!)).conversations[0];
      expect(channel.memberCount).toBe(2);
    }
  });

  it('is read-only while one has blocked the other, over REST and sockets', async () => {
    const channelId = await startGroup(ada, bruno);
    const block = `/api/users/me/blocks/${ada.id}`;
    await server.api.call('put', block, { token: bruno.token });
    for (const [by, to] of [
      [ada, bruno],
      [bruno, ada],
    ] as const) {
      expect(await send(channelId, by)).toMatchObject(refused(403, 'direct_messages_closed'));
      expect(await start(by, to)).toMatchObject(refused(403, 'direct_messages_closed'));
      expect(await start(by, to, chiara)).toMatchObject(refused(403, 'direct_messages_closed'));
      const bySocket = { channelId, clientMessageId: randomUUID(), body: 'hello' };
      const answer = await devices.get(by)!.ask('message:send', bySocket);
      expect(answer).toMatchObject({ ok: false, error: { code: 'direct_messages_closed' } });
      expect((await get(channelId, by)).status).toBe(200);
    }
    await server.api.delete(block, bruno.token);
    expect((await send(channelId, ada)).status).toBe(201);
  });

  it('is read-only while an account is deactivated, and stays readable after it is deleted', async () => {
    const channelId = await startGroup(ada, bruno);
    await send(channelId, bruno);
    await post('/api/users/me/deactivate', { password: PASSWORD }, bruno);
    expect(await send(channelId, ada)).toMatchObject(refused(403, 'direct_messages_closed'));
    expect(await start(ada, bruno)).toMatchObject(refused(403, 'direct_messages_closed'));
    const login = { identifier: bruno.username, password: PASSWORD };
    const back = await server.api.post('/api/auth/login', login);
    expect((await send(channelId, ada)).status).toBe(201);
    const end = { token: back.body.accessToken, body: { password: PASSWORD } };
    expect((await server.api.call('delete', '/api/users/me', end)).status).toBe(204);
    expect(await send(channelId, ada)).toMatchObject(refused(403, 'direct_messages_closed'));
    expect(await start(ada, bruno)).toMatchObject(refused(404, 'not_found'));
    const { conversations } = await list(ada);
    expect(conversations).toMatchObject([{ channel: { id: channelId, memberCount: 1 } }]);
    const deletedPerson = conversations[0].people.find(({ id }: { id: string }) => id === bruno.id);
    expect(deletedPerson.displayName).toBe('Deleted user');
    const history = await server.api.get(`/api/channels/${channelId}/messages`, ada.token);
    expect(history.body.messages).toHaveLength(2);
  });

  it('cannot be left, has no moderators, and becomes a new conversation with a third user', async () => {
    const channelId = await startGroup(ada, bruno);
    await send(channelId, ada);
    expect(await leave(channelId, ada)).toMatchObject(refused(409, 'direct_channel'));
    expect(await leave(channelId, ada, bruno)).toMatchObject(refused(409, 'direct_channel'));
    const mute = { token: ada.token, body: { kind: 'muted' } };
    const path = `/api/channels/${channelId}`;
    expect(await server.api.call('put', `${path}/restrictions/${bruno.id}`, mute)).toMatchObject(
      refused(409, 'direct_channel'),
    );
    for (const act of [
      server.api.patch(path, { topic: 'x' }, ada.token),
      server.api.delete(path, ada.token),
      post(`${path}/archive`, undefined, ada),
      post(`${path}/members`, { userId: chiara.id }, ada),
    ]) {
      expect(await act).toMatchObject(refused(409, 'direct_channel'));
    }
    const { status, body } = await add(channelId, bruno, chiara);
    expect(status).toBe(201);
    expect(body.conversation.channel.id).not.toBe(channelId);
    expect(peopleIn(body.conversation)).toEqual(idsOf(ada, bruno, chiara));
    expect(await get(channelId, chiara)).toMatchObject(refused(404, 'not_found'));
    // No new member: it is the same conversation.
    const same = await add(channelId, bruno, ada);
    expect([same.status, same.body.conversation.channel.id]).toEqual([200, channelId]);
  });
});

describe('a group direct message', () => {
  it('lets members be added and leave: they receive events only in between', async () => {
    const channelId = await startGroup(ada, bruno, chiara);
    expect(await startGroup(ada, bruno, chiara)).not.toBe(channelId);
    expect(await recipients(channelId, chiara)).toEqual([ada, bruno, chiara]);
    const { status, body } = await add(channelId, chiara, outsider, bruno);
    expect([status, body.conversation.channel]).toMatchObject([200, { id: channelId, memberCount: 4 }]);
    expect(await recipients(channelId, outsider)).toEqual([ada, bruno, chiara, outsider]);
    await devices.get(ada)!.waitFor('channel_member:added', ({ userId }) => userId === outsider.id);

    expect((await leave(channelId, bruno)).status).toBe(204);
    expect(await recipients(channelId, ada)).toEqual([ada, chiara, outsider]);
    expect(await get(channelId, bruno)).toMatchObject(refused(404, 'not_found'));
    expect(await leave(channelId, ada, chiara)).toMatchObject(refused(409, 'direct_channel'));
    expect((await list(ada)).conversations[0].channel).toMatchObject({ id: channelId, memberCount: 3 });
    const members = await server.api.get(`/api/channels/${channelId}/members`, ada.token);
    expect(members.body.members.map(({ userId }: { userId: string }) => userId)).toEqual([
      ada.id,
      chiara.id,
      outsider.id,
    ]);
  });

  it('is deleted when the last member leaves', async () => {
    const channelId = await startGroup(ada, bruno, chiara);
    await send(channelId, ada);
    for (const by of [ada, bruno, chiara]) expect((await leave(channelId, by)).status).toBe(204);
    const { channels, channelMembers } = server.context.database.collections;
    expect(await channels.findOne({ _id: new ObjectId(channelId) })).toBeNull();
    expect(await channelMembers.countDocuments({ channelId: new ObjectId(channelId) })).toBe(0);
  });

  it('has at most ten members, also when many are added at once', async () => {
    const many = await Promise.all(Array.from({ length: 12 }, () => signUp(server.api)));
    expect(await start(ada, ...many.slice(0, 10))).toMatchObject(refused(400, 'validation_failed'));
    const channelId = await startGroup(ada, bruno, ...many.slice(0, 6));
    const answers = await Promise.all(many.slice(6).map((person) => add(channelId, ada, person)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 409, 409, 409, 409]);
    expect(answers.find(({ status }) => status === 409)!.body.error.code).toBe('too_many_people');
    const { channel, people } = (await list(ada)).conversations[0];
    expect([channel.memberCount, people.length]).toEqual([10, 10]);
  });
});

describe('starting a direct message', () => {
  it('requires existing users other than oneself, each once', async () => {
    expect(await start(ada, { id: '0'.repeat(24) })).toMatchObject(refused(404, 'not_found'));
    expect(await start(ada, bruno, { id: '0'.repeat(24) })).toMatchObject(refused(404, 'not_found'));
    expect(await start(ada, ada)).toMatchObject(refused(400, 'bad_request'));
    expect(await start(ada)).toMatchObject(refused(400, 'validation_failed'));
    expect(await start(ada, bruno, bruno)).toMatchObject(refused(400, 'validation_failed'));
    expect(await listed(ada)).toEqual([]);
  });

  it('lists conversations by their newest message, page by page', async () => {
    const [withBruno, withChiara, withBoth] = [
      await startGroup(ada, bruno),
      await startGroup(ada, chiara),
      await startGroup(ada, bruno, chiara),
    ];
    await send(withChiara, ada);
    await send(withBruno, bruno);
    expect(await listed(ada)).toEqual([withBruno, withChiara, withBoth]);
    const pages: string[] = [];
    let cursor: string | null = null;
    do {
      const page: any = await list(ada, { limit: 1, ...(cursor && { cursor }) });
      pages.push(...page.conversations.map(({ channel }: any) => channel.id));
      cursor = page.nextCursor;
    } while (cursor);
    expect(pages).toEqual([withBruno, withChiara, withBoth]);
    const wrong = await server.api.get('/api/direct-messages', ada.token, { cursor: ada.id });
    expect(wrong).toMatchObject(refused(400, 'validation_failed'));
  });
});
