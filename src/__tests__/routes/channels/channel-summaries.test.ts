import { ObjectId } from 'mongodb';
import { commandsOf } from '../../fixtures/commands';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let guest: Person;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer({}, { monitorCommands: true });
  // The first account is super admin and may do everything.
  await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ owner, guest } = await signUpAll(server.api, 'owner', 'guest'));
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
async function send(channelId: string, by: Person, body = 'hello'): Promise<{ id: string; seq: number }> {
  const input = { clientMessageId: new ObjectId().toHexString(), body };
  const answer = await server.api.post(`/api/channels/${channelId}/messages`, input, by.token);
  expect(answer.status).toBe(201);
  return answer.body.message;
}
async function summary(channelId: string, of: Person) {
  const { status, body } = await server.api.get(`/api/channels/${channelId}/summary`, of.token);
  expect(status).toBe(200);
  return body.summary;
}
const unread = async (channelId: string, of: Person) => (await summary(channelId, of)).unread;
const read = (channelId: string, by: Person, seq: unknown) =>
  server.api.call('put', `/api/channels/${channelId}/read`, { token: by.token, body: { seq } });
const erase = async ({ id }: { id: string }, by: Person) =>
  expect((await server.api.delete(`/api/messages/${id}`, by.token)).status).toBe(200);

/** The unread count, computed from the whole history. */
async function recount(channelId: string, of: Person): Promise<number> {
  const { readSeq } = await summary(channelId, of);
  const { body } = await server.api.get(`/api/channels/${channelId}/messages`, of.token, { limit: 200 });
  return body.messages.filter(
    (message: any) => message.seq > readSeq && !message.deletedAt && message.senderId !== of.id,
  ).length;
}

describe('the summary of a channel', () => {
  it('is empty where nobody has sent a message', async () => {
    const { channelId } = await createRoom(server.api, owner, [guest]);
    expect(await summary(channelId, guest)).toEqual({
      channelId,
      lastMessage: null,
      readSeq: 0,
      unread: 0,
      mentions: 0,
      muted: null,
      membersOnline: 0,
    });
  });

  it('has the newest message, and the number of unread messages of others', async () => {
    const { channelId } = await createRoom(server.api, owner, [guest]);
    const first = await send(channelId, owner, 'first');
    const second = await send(channelId, owner, 'second');
    expect(await summary(channelId, guest)).toMatchObject({ lastMessage: second, unread: 2, readSeq: 0 });
    expect(await summary(channelId, owner)).toMatchObject({ lastMessage: second, unread: 0, readSeq: 2 });
    expect((await read(channelId, guest, first.seq)).body.read).toMatchObject({
      channelId,
      readSeq: 1,
      unread: 1,
    });
    expect(await unread(channelId, guest)).toBe(1);
    // A sender has read what is above their message.
    await send(channelId, guest, 'third');
    expect([await unread(channelId, guest), await unread(channelId, owner)]).toEqual([0, 1]);
  });

  it('does not count deleted messages, but shows the newest one as deleted', async () => {
    const { channelId } = await createRoom(server.api, owner, [guest]);
    const [one, , three] = [
      await send(channelId, owner),
      await send(channelId, owner),
      await send(channelId, owner),
    ];
    await erase(one, owner);
    await erase(three!, owner);
    expect(await summary(channelId, guest)).toMatchObject({
      unread: 1,
      lastMessage: { id: three!.id, body: '', deletedAt: expect.any(String) },
    });
    await read(channelId, guest, 2);
    expect(await unread(channelId, guest)).toBe(0);
  });

  it('agrees with a count by hand after any sequence of actions', async () => {
    const { channelId } = await createRoom(server.api, owner, [guest]);
    const texts = Array.from({ length: 40 }, (_, index) => (index % 3 === 0 ? guest : owner));
    const sent = await Promise.all(texts.map((by) => send(channelId, by)));
    await Promise.all(sent.filter(({ seq }) => seq % 4 === 0).map((message) => erase(message, owner)));
    await read(channelId, guest, 35);
    expect(await unread(channelId, guest)).toBe(await recount(channelId, guest));
    expect(await unread(channelId, owner)).toBe(await recount(channelId, owner));
  });

  it('is not visible to users who cannot read the channel', async () => {
    const { channelId } = await createRoom(server.api, owner);
    const path = `/api/channels/${channelId}/summary`;
    expect((await server.api.get(path, guest.token)).body.error.code).toBe('not_found');
    expect((await read(channelId, guest, 0)).body.error.code).toBe('not_found');
  });
});

describe('messages from before a user joined', () => {
  it('are not unread for a new member of the group', async () => {
    const { groupId, channelId } = await createRoom(server.api, owner);
    await send(channelId, owner);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: guest.id }, owner.token);
    expect(await unread(channelId, guest)).toBe(0);
    await send(channelId, owner);
    expect(await unread(channelId, guest)).toBe(1);
  });

  it('are not unread for a user who is added to a private channel, or gains access when it opens', async () => {
    const { groupId } = await createRoom(server.api, owner, [guest]);
    const input = { groupId, name: 'inner', visibility: 'private' };
    const channelId: string = (await server.api.post('/api/channels', input, owner.token)).body.channel.id;
    await send(channelId, owner);
    await server.api.post(`/api/channels/${channelId}/members`, { userId: guest.id }, owner.token);
    await send(channelId, owner);
    expect(await unread(channelId, guest)).toBe(1);
    const late = await signUp(server.api, 'late');
    await server.api.post(`/api/groups/${groupId}/members`, { userId: late.id }, owner.token);
    await server.api.patch(`/api/channels/${channelId}`, { visibility: 'public' }, owner.token);
    expect([await unread(channelId, late), await unread(channelId, guest)]).toEqual([0, 1]);
    await send(channelId, owner);
    expect([await unread(channelId, late), await unread(channelId, guest)]).toEqual([1, 2]);
  });
});

describe('the read marker', () => {
  it('moves neither backwards nor beyond the newest message', async () => {
    const { channelId } = await createRoom(server.api, owner, [guest]);
    for (let count = 0; count < 3; count++) await send(channelId, owner);
    const marks = [2, 1, 1000, 0];
    const answers: unknown[] = [];
    for (const mark of marks) answers.push((await read(channelId, guest, mark)).body.read.readSeq);
    expect(answers).toEqual([2, 2, 3, 3]);
    // Later messages are unread although a greater number was given before.
    await send(channelId, owner);
    expect(await unread(channelId, guest)).toBe(1);
  });

  it('is at the greatest position of many concurrent calls', async () => {
    const { channelId } = await createRoom(server.api, owner, [guest]);
    for (let count = 0; count < 12; count++) await send(channelId, owner);
    const seqs = [3, 9, 1, 12, 7, 5, 11, 2];
    const answers = await Promise.all(seqs.map((seq) => read(channelId, guest, seq)));
    expect(answers.map(({ status }) => status)).toEqual(seqs.map(() => 200));
    expect(await summary(channelId, guest)).toMatchObject({ readSeq: 12, unread: 0 });
  });

  it.each([undefined, -1, 1.5, '3', null, { $gt: 0 }])('refuses %j', async (seq) => {
    const { channelId } = await createRoom(server.api, owner);
    expect((await read(channelId, owner, seq)).body.error.code).toBe('validation_failed');
  });

  it('is sent to all devices of its owner after it has moved, and to nobody else', async () => {
    const { channelId } = await createRoom(server.api, owner, [guest]);
    await send(channelId, owner);
    const [phone, laptop, other] = [
      await connectClient(guest),
      await connectClient(guest),
      await connectClient(owner),
    ];
    await read(channelId, guest, 1);
    const payload = { read: { channelId, readSeq: 1, unread: 0 } };
    const received = await Promise.all([phone, laptop].map((device) => device.waitFor('channel:read')));
    expect(received).toMatchObject([payload, payload]);
    await read(channelId, guest, 1);
    for (const client of [phone, other]) await client.ask('message:delete', { messageId: '0'.repeat(24) });
    expect(phone.events.filter(({ event }) => event === 'channel:read')).toHaveLength(1);
    expect(other.events.some(({ event }) => event === 'channel:read')).toBe(false);
  });
});

describe('the online users of a channel', () => {
  it('are counted once each, among its readers', async () => {
    const { groupId, channelId } = await createRoom(server.api, owner, [guest]);
    const input = { groupId, name: 'inner', visibility: 'private' };
    const inner: string = (await server.api.post('/api/channels', input, owner.token)).body.channel.id;
    const online = async () => [
      (await summary(channelId, owner)).membersOnline,
      (await summary(inner, owner)).membersOnline,
    ];
    const stranger = await signUp(server.api, 'stranger');
    await Promise.all([connectClient(owner), connectClient(owner), connectClient(stranger)]);
    expect(await online()).toEqual([1, 1]);
    const device = await connectClient(guest);
    expect(await online()).toEqual([2, 1]);
    await server.api.post(`/api/channels/${inner}/members`, { userId: guest.id }, owner.token);
    expect(await online()).toEqual([2, 2]);
    const disconnected = new Promise((resolve) => device.socket.once('disconnect', resolve));
    await server.api.post('/api/auth/logout', undefined, guest.token);
    await disconnected;
    expect(await online()).toEqual([1, 1]);
  });
});

test('summaries take the same number of queries for any number of channels', async () => {
  const { groupId, channelId } = await createRoom(server.api, owner, [guest]);
  const { collections, db } = server.context.database;
  const channelIds = [channelId];
  for (let index = 0; index < 40; index++) {
    const { body } = await server.api.post('/api/channels', { groupId, name: `c${index}` }, owner.token);
    channelIds.push(body.channel.id);
  }
  await Promise.all(channelIds.map((id) => send(id, owner)));
  const channels = await collections.channels.find({ groupId: new ObjectId(groupId) }).toArray();
  const countFor = async (number: number) => {
    const { channelSummaries } = server.context.services;
    const summarise = () => channelSummaries.summarise(new ObjectId(guest.id), channels.slice(0, number));
    const summaries = await summarise();
    expect([...summaries.values()].map((each) => each.unread)).toEqual(Array(number).fill(1));
    return (await commandsOf(db.client, summarise)).length;
  };
  expect([await countFor(2), await countFor(41)]).toEqual([5, 5]);
});
