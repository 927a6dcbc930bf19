import { ObjectId } from 'mongodb';
import { commandsOf } from '../../fixtures/commands';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { nameKeysOf } from '../../../utils/name-keys';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer({}, { monitorCommands: true });
  await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ owner, ada } = await signUpAll(server.api, 'owner', 'ada'));
});
afterAll(() => server.close());

const collections = () => server.context.database.collections;
const post = async (path: string, body: object, { token }: Person) => {
  const answer = await server.api.post(path, body, token);
  expect([200, 201]).toContain(answer.status);
  return answer.body;
};
const send = async (channelId: string, by: Person, body = 'hello') =>
  post(`/api/channels/${channelId}/messages`, { clientMessageId: new ObjectId().toHexString(), body }, by);
const newChannel = async (groupId: string, name: string, more: object = {}): Promise<string> =>
  (await post('/api/channels', { groupId, name, ...more }, owner)).channel.id;
async function overview(of: Person) {
  const { status, body } = await server.api.get('/api/client/overview', of.token);
  expect(status).toBe(200);
  return body;
}

describe('the overview', () => {
  it('of a new user contains only their account and the limits of the server', async () => {
    const body = await overview(ada);
    expect(body).toMatchObject({
      me: { id: ada.id, email: `${ada.username}@example.org` },
      groups: [],
      direct: [],
      users: [],
      presences: [],
      unread: { messages: 0, mentions: 0, direct: 0, notifications: 0 },
      joinRequests: [],
      invites: [],
      announcements: [],
      preferences: { notificationLevel: 'all' },
      blockedUserIds: [],
      complete: true,
    });
    const { messageLength, pageSize, ...limits } = body.limits;
    const { limits: uploadBytes, quota: quotaBytes } = server.context.config.uploads;
    expect(limits).toMatchObject({ attachments: 10, uploadBytes, quotaBytes });
    const { channelId } = await createRoom(server.api, ada);
    const path = `/api/channels/${channelId}/messages`;
    await send(channelId, ada, 'x'.repeat(messageLength));
    const tooLong = { clientMessageId: 'long', body: 'x'.repeat(messageLength + 1) };
    expect((await server.api.post(path, tooLong, ada.token)).status).toBe(400);
    expect((await server.api.get('/api/groups', ada.token, { limit: pageSize })).status).toBe(200);
    expect((await server.api.get('/api/groups', ada.token, { limit: pageSize + 1 })).status).toBe(400);
  });

  it('agrees with the routes of groups and channels, including what is unread', async () => {
    const rooms = [await createRoom(server.api, owner, [ada]), await createRoom(server.api, owner, [ada])];
    const [{ groupId, channelId }, other] = rooms as [(typeof rooms)[0], (typeof rooms)[0]];
    const second = await newChannel(groupId, 'second');
    for (const id of [channelId, channelId, second, other.channelId]) await send(id, owner);
    await server.api.call('put', `/api/channels/${channelId}/read`, { token: ada.token, body: { seq: 1 } });

    const body = await overview(ada);
    expect(body.groups.map(({ unread }: any) => unread).sort()).toEqual([1, 2]);
    expect(body.unread).toMatchObject({ messages: 3, mentions: 0, direct: 0 });
    const listed = (await server.api.get('/api/groups', ada.token)).body.groups;
    expect(body.groups.map(({ group }: any) => group)).toEqual(expect.arrayContaining(listed));
    expect(body.groups).toHaveLength(2);
    const group = body.groups.find((each: any) => each.group.id === groupId);
    const channels = (await server.api.get('/api/channels', ada.token, { groupId })).body.channels;
    expect(group.channels.map(({ channel }: any) => channel)).toEqual(channels);
    for (const { channel, summary } of group.channels) {
      const own = await server.api.get(`/api/channels/${channel.id}/summary`, ada.token);
      expect(summary).toEqual(own.body.summary);
    }
    expect(body.users).toMatchObject([{ id: owner.id, username: owner.username }]);
  });

  it('contains nothing that the caller may not read', async () => {
    const { groupId, channelId } = await createRoom(server.api, owner, [ada]);
    const outside = await createRoom(server.api, owner, [], 'public');
    const hidden = await newChannel(groupId, 'hidden', { visibility: 'private' });
    const mine = await newChannel(groupId, 'mine', { visibility: 'private' });
    const forbidden = await newChannel(groupId, 'forbidden');
    await server.api.post(`/api/channels/${mine}/members`, { userId: ada.id }, owner.token);
    await collections().channelRestrictions.insertOne({
      _id: new ObjectId(),
      channelId: new ObjectId(forbidden),
      groupId: new ObjectId(groupId),
      userId: new ObjectId(ada.id),
      kind: 'banned',
      reason: '',
      restrictedBy: new ObjectId(owner.id),
      createdAt: new Date(),
      expiresAt: null,
    });
    for (const id of [hidden, forbidden, outside.channelId, mine]) await send(id, owner);
    const seen = async () =>
      (await overview(ada)).groups.flatMap(({ channels }: any) =>
        channels.map(({ channel }: any) => channel.id),
      );
    expect((await seen()).sort()).toEqual([channelId, mine].sort());
    const text = JSON.stringify(await overview(ada));
    for (const secret of [hidden, forbidden, outside.groupId, outside.channelId])
      expect(text).not.toContain(secret);
    expect((await overview(ada)).unread.messages).toBe(1);

    await server.api.delete(`/api/groups/${groupId}/members/${ada.id}`, owner.token);
    expect(await seen()).toEqual([]);
  });

  it('contains what is pending for the caller: notifications, announcements and blocked users', async () => {
    const { services } = server.context;
    await services.notifications.notify([new ObjectId(ada.id)], { kind: 'warning', actorId: null });
    await server.api.call('put', `/api/users/me/blocks/${owner.id}`, { token: ada.token });
    await server.api.patch('/api/client/preferences', { locale: 'pt' }, ada.token);
    expect(await overview(ada)).toMatchObject({
      unread: { notifications: 1 },
      blockedUserIds: [owner.id],
      preferences: { locale: 'pt' },
    });
  });

  it("contains the caller's join requests and invites until they are decided", async () => {
    const asked = await createRoom(server.api, owner, [], 'public');
    await server.api.patch(`/api/groups/${asked.groupId}`, { joinPolicy: 'approval' }, owner.token);
    await post(`/api/groups/${asked.groupId}/join-requests`, { note: 'Please' }, ada);
    const inviting = await createRoom(server.api, owner);
    await post(`/api/groups/${inviting.groupId}/invites`, { userId: ada.id }, owner);
    const own = async (list: string) => (await server.api.get(`/api/client/${list}`, ada.token)).body;
    const { joinRequests, invites, complete } = await overview(ada);
    expect(joinRequests).toMatchObject([{ group: { id: asked.groupId }, status: 'pending' }]);
    expect(invites).toMatchObject([{ group: { id: inviting.groupId }, invitedBy: { id: owner.id } }]);
    expect({ joinRequests }).toEqual({ joinRequests: (await own('join-requests')).joinRequests });
    expect({ invites }).toEqual({ invites: (await own('invites')).invites });
    expect(complete).toBe(true);

    await server.api.delete(`/api/client/invites/${invites[0].id}`, ada.token);
    await post(`/api/groups/${asked.groupId}/join-requests/${ada.id}/approve`, {}, owner);
    expect(await overview(ada)).toMatchObject({ joinRequests: [], invites: [] });
  });

  it('contains direct messages, newest first, with their members and who of them is online', async () => {
    const bob = await signUp(server.api, 'bob');
    const direct = async (by: Person, others: Person[]): Promise<string> =>
      (await post('/api/direct-messages', { userIds: others.map(({ id }) => id) }, by)).conversation.channel
        .id;
    const pair = await direct(owner, [ada]);
    const three = await direct(ada, [owner, bob]);
    await send(three, bob);
    await send(pair, owner, `Hello @${ada.username}`);
    const client = await connect(server.url, owner.token);
    const body = await overview(ada);
    client.close();
    expect(body.direct.map(({ channel }: any) => channel.id)).toEqual([pair, three]);
    expect(body.direct.map(({ userIds }: any) => [...userIds].sort())).toEqual([
      [owner.id, ada.id].sort(),
      [owner.id, ada.id, bob.id].sort(),
    ]);
    expect(body.unread).toMatchObject({ messages: 2, direct: 2, mentions: 1 });
    expect(body.users.map(({ id }: any) => id).sort()).toEqual([owner.id, ada.id, bob.id].sort());
    expect(body.presences).toEqual([{ userId: owner.id, status: 'online', lastSeenAt: null }]);
  });
});

test('takes the same number of queries for 5 and for 200 channels with messages', async () => {
  const { small, large } = await signUpAll(server.api, 'small', 'large');
  const fill = async (reader: Person, channels: number) => {
    const { groupId, channelId } = await createRoom(server.api, owner, [reader]);
    await send(channelId, owner);
    // The others are inserted into the database as copies of the first.
    const channel = (await collections().channels.findOne({ _id: new ObjectId(channelId) }))!;
    const message = (await collections().messages.findOne({ channelId: channel._id }))!;
    const ids = Array.from({ length: channels - 1 }, () => new ObjectId());
    await collections().channels.insertMany(
      ids.map((_id, index) => ({ ...channel, _id, name: `c${index}`, ...nameKeysOf(`c${index}`) })),
    );
    await collections().messages.insertMany(
      ids.map((id) => ({
        ...message,
        _id: new ObjectId(),
        channelId: id,
        clientMessageId: id.toHexString(),
      })),
    );
    expect(groupId).toBe(channel.groupId?.toHexString());
  };
  await fill(small, 5);
  await fill(large, 200);
  const countFor = async (person: Person, channels: number) => {
    const body = await overview(person);
    expect(body.groups.flatMap((group: any) => group.channels)).toHaveLength(channels);
    expect(body.unread.messages).toBe(channels);
    const commands = await commandsOf(server.context.database.db.client, () => overview(person));
    // Commands other than reads belong to background work of the server.
    const reads = commands.filter((name) => ['find', 'aggregate', 'getMore'].includes(name));
    const more = reads.filter((name) => name === 'getMore').length;
    return { queries: reads.length - more, more };
  };
  const few = await countFor(small, 5);
  const many = await countFor(large, 200);
  expect(many.queries).toBe(few.queries);
  expect(many.queries).toBeLessThanOrEqual(21);
  // What does not fit into the first batch of a cursor takes one more, at most once for each query.
  expect(few.more).toBe(0);
  expect(many.more).toBeLessThanOrEqual(many.queries);
});
