import { ObjectId } from 'mongodb';
import { createUsers, createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let guest: Person;
let moderator: Person;
/** The guest's devices. */
let devices: Client[];

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  ({ owner, guest, moderator } = await signUpAll(server.api, 'root', 'owner', 'guest', 'moderator'));
  devices = [
    await connect(server.url, guest.token, { transports: ['websocket'] }),
    await connect(server.url, guest.token, { transports: ['polling'] }),
  ];
});
afterAll(async () => {
  for (const device of devices) device.close();
  await server.close();
});

const refused = (status: number, code: string) => ({ status, body: { error: { code } } });
const room = async () => {
  const created = await createRoom(server.api, owner, [guest, moderator]);
  const membership = { groupId: new ObjectId(created.groupId), userId: new ObjectId(moderator.id) };
  await server.context.database.collections.memberships.updateOne(membership, {
    $set: { role: 'moderator' },
  });
  return created;
};
const create = async (body: object, by = owner): Promise<string> => {
  const answer = await server.api.post('/api/channels', body, by.token);
  expect(answer.status).toBe(201);
  return answer.body.channel.id;
};
const get = (channelId: string, by: Person) => server.api.get(`/api/channels/${channelId}`, by.token);
const patch = (channelId: string, body: object, by = owner) =>
  server.api.patch(`/api/channels/${channelId}`, body, by.token);
const post = (path: string, by = owner) => server.api.post(path, undefined, by.token);
const put = (path: string, body: object, by = owner) =>
  server.api.call('put', path, { body, token: by.token });
const send = (channelId: string, by: Person) =>
  server.api.post(
    `/api/channels/${channelId}/messages`,
    { clientMessageId: new ObjectId().toHexString(), body: 'hello' },
    by.token,
  );
const sendBySocket = (channelId: string) =>
  devices[0]!.ask('message:send', {
    channelId,
    clientMessageId: new ObjectId().toHexString(),
    body: 'hello',
  });
const group = async (groupId: string, by = owner) =>
  (await server.api.get(`/api/groups/${groupId}`, by.token)).body.group;
const list = async (groupId: string, by = owner, query = {}) =>
  (await server.api.get('/api/channels', by.token, { groupId, ...query })).body;
const ids = async (groupId: string, by = owner): Promise<string[]> =>
  (await list(groupId, by)).channels.map(({ id }: { id: string }) => id);
const isTold = (event: 'channel:updated', matches: (payload: any) => boolean) =>
  Promise.all(devices.map((device) => device.waitFor(event, matches)));

describe('slow mode', () => {
  it('makes members wait between two messages, over REST and sockets, but not moderators', async () => {
    const { channelId } = await room();
    expect((await patch(channelId, { slowModeSeconds: 60 })).body.channel.slowModeSeconds).toBe(60);
    await isTold(
      'channel:updated',
      ({ channel }) => channel.id === channelId && channel.slowModeSeconds === 60,
    );
    expect((await send(channelId, guest)).status).toBe(201);
    const wait = { code: 'slow_mode', retryAfter: expect.any(Number) };
    expect(await sendBySocket(channelId)).toMatchObject({ ok: false, error: wait });
    const answer = await send(channelId, guest);
    expect(answer).toMatchObject({ status: 429, body: { error: wait } });
    expect(answer.body.error.retryAfter).toBeGreaterThan(50);
    expect(answer.headers['retry-after']).toBe(String(answer.body.error.retryAfter));
    for (let time = 0; time < 2; time++) expect((await send(channelId, moderator)).status).toBe(201);
    await patch(channelId, { slowModeSeconds: 0 });
    expect(await sendBySocket(channelId)).toMatchObject({ ok: true });
    expect((await send(channelId, guest)).status).toBe(201);
  });

  it('limits edits and reactions by an interval of their own, but not for moderators', async () => {
    const { channelId } = await room();
    const first: string = (await send(channelId, guest)).body.message.id;
    const other: string = (await send(channelId, owner)).body.message.id;
    await patch(channelId, { slowModeSeconds: 60 });
    const edit = (id: string, body: string, by: Person) =>
      server.api.patch(`/api/messages/${id}`, { body }, by.token);
    const reaction = (id: string, emoji: string) =>
      `/api/messages/${id}/reactions/${encodeURIComponent(emoji)}`;
    const wait = { status: 429, body: { error: { code: 'slow_mode', retryAfter: expect.any(Number) } } };
    expect((await edit(first, 'mended', guest)).status).toBe(200);
    expect(await edit(first, 'and again', guest)).toMatchObject(wait);
    expect((await edit(first, 'mended', guest)).status).toBe(200);
    expect(await put(reaction(other, '👍'), {}, guest)).toMatchObject(wait);
    const overSocket = await devices[0]!.ask('message:react', { messageId: other, emoji: '👍' });
    expect(overSocket).toMatchObject({ ok: false, error: { code: 'slow_mode' } });
    expect((await send(channelId, guest)).status).toBe(201);
    for (const body of ['one', 'two']) expect((await edit(other, body, owner)).status).toBe(200);
    expect((await server.api.delete(`/api/messages/${first}`, guest.token)).status).toBe(200);

    await patch(channelId, { slowModeSeconds: 0 });
    expect((await put(reaction(other, '👍'), {}, guest)).status).toBe(200);
    await patch(channelId, { slowModeSeconds: 60 });
    // Removing a reaction is not limited; adding one is.
    expect((await server.api.delete(reaction(other, '👍'), guest.token)).status).toBe(200);
    expect(await put(reaction(other, '🎉'), {}, guest)).toMatchObject(wait);
  });

  it.each([-1, 0.5, 21_601, '60', null])('cannot be %j seconds', async (slowModeSeconds) => {
    const { channelId } = await room();
    expect(await patch(channelId, { slowModeSeconds })).toMatchObject(refused(400, 'validation_failed'));
  });
});

test('only moderators may send in an announcement channel, over REST and sockets', async () => {
  const { groupId } = await room();
  const channelId = await create({ groupId, name: 'news', announcementOnly: true });
  expect(await send(channelId, guest)).toMatchObject(refused(403, 'announcement_only'));
  const refusal = { ok: false, error: { code: 'announcement_only' } };
  expect(await sendBySocket(channelId)).toMatchObject(refusal);
  for (const by of [moderator, owner]) expect((await send(channelId, by)).status).toBe(201);
  await patch(channelId, { announcementOnly: false });
  expect(await sendBySocket(channelId)).toMatchObject({ ok: true });
});

test('messages from before a channel became an announcement channel stay as they are', async () => {
  const { channelId } = await room();
  const own: string = (await send(channelId, guest)).body.message.id;
  const news: string = (await send(channelId, moderator)).body.message.id;
  await patch(channelId, { announcementOnly: true });
  const refusal = refused(403, 'announcement_only');
  const edit = (id: string, by: Person) =>
    server.api.patch(`/api/messages/${id}`, { body: 'More news' }, by.token);
  const react = (by: Person) => put(`/api/messages/${news}/reactions/${encodeURIComponent('👍')}`, {}, by);
  const overSocket = { ok: false, error: { code: 'announcement_only' } };
  expect(await edit(own, guest)).toMatchObject(refusal);
  expect(await devices[0]!.ask('message:edit', { messageId: own, body: 'x' })).toMatchObject(overSocket);
  expect(await react(guest)).toMatchObject(refusal);
  expect(await devices[0]!.ask('message:react', { messageId: news, emoji: '👍' })).toMatchObject(overSocket);
  const input = { clientMessageId: 'reply-in-thread', body: 'More news', threadId: news };
  const path = `/api/channels/${channelId}/messages`;
  expect(await server.api.post(path, input, guest.token)).toMatchObject(refusal);
  const forward = { clientMessageId: 'forwarded', channelId };
  expect(await server.api.post(`/api/messages/${own}/forward`, forward, guest.token)).toMatchObject(refusal);
  expect((await edit(news, moderator)).status).toBe(200);
  expect((await react(moderator)).status).toBe(200);
  // Authors may delete their own messages.
  expect((await server.api.delete(`/api/messages/${own}`, guest.token)).status).toBe(200);
});

describe('an archived channel', () => {
  it('is read-only until it is restored; a second time changes nothing', async () => {
    const { channelId } = await room();
    await send(channelId, guest);
    const archived = await post(`/api/channels/${channelId}/archive`);
    expect(archived.body.channel.archivedAt).not.toBeNull();
    await isTold('channel:updated', ({ channel }) => channel.id === channelId && channel.archivedAt !== null);
    expect((await post(`/api/channels/${channelId}/archive`)).body).toEqual(archived.body);

    const refusal = { code: 'channel_archived' };
    for (const by of [owner, guest]) {
      expect(await send(channelId, by)).toMatchObject(refused(409, 'channel_archived'));
      expect((await get(channelId, by)).body).toEqual(archived.body);
      const history = await server.api.get(`/api/channels/${channelId}/messages`, by.token);
      expect(history.body.messages).toHaveLength(1);
    }
    expect(await sendBySocket(channelId)).toMatchObject({ ok: false, error: refusal });
    expect(await patch(channelId, { topic: 'x' })).toMatchObject(refused(409, 'channel_archived'));

    const restored = await post(`/api/channels/${channelId}/restore`);
    expect(restored.body.channel).toMatchObject({
      archivedAt: null,
      revision: archived.body.channel.revision + 1,
    });
    expect((await post(`/api/channels/${channelId}/restore`)).body).toEqual(restored.body);
    expect(await sendBySocket(channelId)).toMatchObject({ ok: true });
  });
});

describe('the default channel', () => {
  it('is the first public one, and another one when that is deleted', async () => {
    const { groupId, channelId } = await room();
    const [second, third] = [
      await create({ groupId, name: 'second' }),
      await create({ groupId, name: 'third' }),
    ];
    await create({ groupId, name: 'hidden', visibility: 'private' });
    expect(await group(groupId)).toMatchObject({ defaultChannelId: channelId, channelCount: 3 });
    await post(`/api/channels/${channelId}/archive`);
    expect(await group(groupId)).toMatchObject({ defaultChannelId: second, channelCount: 3 });
    await patch(second, { visibility: 'private' });
    expect(await group(groupId)).toMatchObject({ defaultChannelId: third, channelCount: 2 });
    await server.api.delete(`/api/channels/${third}`, owner.token);
    expect(await group(groupId)).toMatchObject({ defaultChannelId: null, channelCount: 1 });
    await post(`/api/channels/${channelId}/restore`);
    expect(await group(groupId)).toMatchObject({ defaultChannelId: channelId, channelCount: 1 });
    await server.api.delete(`/api/channels/${channelId}`, owner.token);
    await patch(second, { visibility: 'public' });
    expect(await group(groupId)).toMatchObject({ defaultChannelId: second, channelCount: 1 });
  });

  it("belongs to the group itself: two groups that name each other's channel do not deadlock", async () => {
    const rooms = [await room(), await room()];
    const answers = await Promise.all(
      rooms.map(({ groupId }, index) =>
        put(`/api/groups/${groupId}/default-channel`, { channelId: rooms[1 - index]!.channelId }),
      ),
    );
    for (const answer of answers) expect(answer).toMatchObject(refused(404, 'not_found'));
  });

  it('is chosen by admins among the active public channels of the group, and members receive an event', async () => {
    const { groupId, channelId } = await room();
    const path = `/api/groups/${groupId}/default-channel`;
    const second = await create({ groupId, name: 'second' });
    const answer = await put(path, { channelId: second });
    expect(answer).toMatchObject({
      status: 200,
      body: { group: { defaultChannelId: second, myRole: 'owner' } },
    });
    for (const device of devices) {
      await device.waitFor('group:updated', (received) => received.group.defaultChannelId === second);
    }
    const hidden = await create({ groupId, name: 'hidden', visibility: 'private' });
    expect(await put(path, { channelId: hidden })).toMatchObject(refused(400, 'bad_request'));
    await post(`/api/channels/${channelId}/archive`);
    expect(await put(path, { channelId })).toMatchObject(refused(409, 'channel_archived'));
    const elsewhere = (await room()).channelId;
    expect(await put(path, { channelId: elsewhere })).toMatchObject(refused(404, 'not_found'));
    expect(await put(path, { channelId: second }, guest)).toMatchObject(refused(403, 'forbidden'));
    expect((await group(groupId)).defaultChannelId).toBe(second);
  });
});

describe('the order of channels', () => {
  let groupId: string;
  let general: string;
  let [news, help]: string[] = [];

  beforeEach(async () => {
    ({ groupId, channelId: general } = await room());
    news = await create({ groupId, name: 'news' });
    help = await create({ groupId, name: 'help' });
  });
  const arrange = (channelIds: (string | undefined)[], by = owner) =>
    put(`/api/groups/${groupId}/channel-order`, { channelIds }, by);

  it('is the order of creation until it is rearranged; new channels come last', async () => {
    expect(await ids(groupId)).toEqual([general, news, help]);
    const revision = async () => (await get(help!, owner)).body.channel.revision;
    const before = await revision();
    const { status, body } = await arrange([help, general, news]);
    expect([status, body.channels.map(({ id }: { id: string }) => id)]).toEqual([200, [help, general, news]]);
    expect(await revision()).toBe(before + 1);
    await isTold('channel:updated', ({ channel }) => channel.id === help && channel.revision === before + 1);
    const last = await create({ groupId, name: 'last' });
    for (const by of [owner, guest]) expect(await ids(groupId, by)).toEqual([help, general, news, last]);
    // The same order again changes nothing.
    await arrange([help, general, news, last]);
    expect(await revision()).toBe(before + 1);
  });

  it('has pages by cursor, with the same order for every page size', async () => {
    await arrange([help, general, news]);
    const pages: string[] = [];
    let cursor: string | null = null;
    do {
      const page: any = await list(groupId, guest, { limit: 1, ...(cursor && { cursor }) });
      pages.push(...page.channels.map(({ id }: { id: string }) => id));
      cursor = page.nextCursor;
    } while (cursor);
    expect(pages).toEqual([help, general, news]);
    for (const wrong of ['', 'x', general, `1.${'g'.repeat(24)}`]) {
      const answer = await server.api.get('/api/channels', owner.token, { groupId, cursor: wrong });
      expect(answer).toMatchObject(refused(400, 'validation_failed'));
    }
  });

  it('changes completely or not at all', async () => {
    const elsewhere = (await room()).channelId;
    const stale = await arrange([help, general, elsewhere]);
    expect(stale).toMatchObject(refused(409, 'channels_changed'));
    expect(stale.body.error.details).toEqual({ missing: [news], unknown: [elsewhere] });
    expect(await arrange([help, general])).toMatchObject(refused(409, 'channels_changed'));
    expect(await arrange([help, general, help])).toMatchObject(refused(400, 'validation_failed'));
    expect(await arrange([help, general, news], moderator)).toMatchObject(refused(403, 'forbidden'));
    expect(await ids(groupId)).toEqual([general, news, help]);
    await server.api.delete(`/api/channels/${news}`, owner.token);
    expect((await arrange([help, news, general])).body.error.details).toEqual({
      missing: [],
      unknown: [news],
    });
  });

  it('ignores channels that the caller cannot see, and does not reveal them', async () => {
    const admin = moderator;
    const membership = { groupId: new ObjectId(groupId), userId: new ObjectId(admin.id) };
    const { memberships } = server.context.database.collections;
    await memberships.updateOne(membership, { $set: { role: 'admin' } });
    const hidden = await create({ groupId, name: 'hidden', visibility: 'private' });
    expect((await arrange([hidden, general, news, help])).status).toBe(200);
    expect((await arrange([help, news, hidden, general], admin)).body.error.details).toEqual({
      missing: [],
      unknown: [hidden],
    });
    expect((await arrange([help, news, general], admin)).status).toBe(200);
    expect(await ids(groupId)).toEqual([hidden, help, news, general]);
    const places = (await list(groupId, admin)).channels.map(
      ({ position }: { position: number }) => position,
    );
    expect(places).toEqual([1024, 2048, 3072]);
  });

  it('is intact after many concurrent changes of the order', async () => {
    const orders = [
      [help, general, news],
      [news, help, general],
      [general, help, news],
    ];
    const answers = await Promise.all([...orders, ...orders].map((order) => arrange(order)));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
    expect(orders).toContainEqual(await ids(groupId));
  });
});

test('readers of a private channel can list its members page by page', async () => {
  const { groupId } = await room();
  const hidden = await create({ groupId, name: 'hidden', visibility: 'private' });
  const members = (by: Person, query = {}) =>
    server.api.get(`/api/channels/${hidden}/members`, by.token, query);
  await server.api.post(`/api/channels/${hidden}/members`, { userId: guest.id }, owner.token);
  const first = await members(guest, { limit: 1 });
  expect(first.body.members).toMatchObject([{ userId: owner.id, user: { username: owner.username } }]);
  const second = await members(guest, { limit: 1, cursor: first.body.nextCursor });
  expect(second.body).toMatchObject({ members: [{ userId: guest.id }], nextCursor: null });
  expect(await members(moderator)).toMatchObject(refused(404, 'not_found'));
});

test('a public channel has the members of its group, without those who are banned from it', async () => {
  const { api } = server;
  const people = await Promise.all(['ann', 'ben', 'cyd', 'dan'].map((name) => signUp(api, name)));
  const room = await createRoom(api, owner, people);
  const path = `/api/channels/${room.channelId}`;
  const members = async (query = {}) => (await api.get(`${path}/members`, owner.token, query)).body;
  const idsOf = ({ members: list }: { members: { userId: string }[] }) => list.map(({ userId }) => userId);
  const restrict = (person: Person, kind: string) =>
    api.call('put', `${path}/restrictions/${person.id}`, { token: owner.token, body: { kind } });
  /** The member count in each response that contains the channel. */
  const counts = async () => {
    const [one, list, overview, synced] = await Promise.all([
      api.get(path, owner.token),
      api.get('/api/channels', owner.token, { groupId: room.groupId }),
      api.get('/api/client/overview', owner.token),
      api.post('/api/client/sync', { since: { [room.channelId]: 1_000_000 } }, owner.token),
    ]);
    const inOverview = overview.body.groups.flatMap((each: any) => each.channels);
    return [
      one.body.channel,
      list.body.channels[0],
      inOverview.find((each: any) => each.channel.id === room.channelId).channel,
      synced.body.reset[0].channel,
    ].map(({ memberCount }: { memberCount: number }) => memberCount);
  };
  expect(await counts()).toEqual([5, 5, 5, 5]);

  await restrict(people[0]!, 'banned');
  await restrict(people[1]!, 'muted');
  await restrict(people[2]!, 'banned');
  expect(await counts()).toEqual([3, 3, 3, 3]);
  const first = await members({ limit: 2 });
  expect(idsOf(first)).toEqual([owner.id, people[1]!.id]);
  const second = await members({ limit: 2, cursor: first.nextCursor });
  expect([idsOf(second), second.nextCursor]).toEqual([[people[3]!.id], null]);

  // A banned user who leaves is not subtracted twice, and an expired ban does not count.
  await api.post(`/api/groups/${room.groupId}/leave`, undefined, people[0]!.token);
  expect(await counts()).toEqual([3, 3, 3, 3]);
  await api.delete(`${path}/restrictions/${people[2]!.id}`, owner.token);
  const changed = await api.patch(path, { topic: 'Counted' }, owner.token);
  expect(changed.body.channel.memberCount).toBe(4);
  expect(idsOf(await members())).toHaveLength(4);
});

test('@channel notifies everyone up to its limit of readers, and does not count banned users', async () => {
  const { first, last } = await signUpAll(server.api, 'first', 'last');
  const room = await createRoom(server.api, owner, [first]);
  const { users, memberships, groups, notifications } = server.context.database.collections;
  const groupId = new ObjectId(room.groupId);
  const lastId = new ObjectId(last.id);
  const join = async (userIds: ObjectId[]) => {
    const joinedAt = new Date();
    const rows = userIds.map((userId) => ({
      _id: new ObjectId(),
      groupId,
      userId,
      role: 'member' as const,
      joinedAt,
    }));
    await memberships.insertMany(rows);
    await groups.updateOne({ _id: groupId }, { $inc: { memberCount: rows.length } });
  };
  await join(await createUsers(server, last, 999));
  const ban = `/api/channels/${room.channelId}/restrictions/${first.id}`;
  await server.api.call('put', ban, { token: owner.token, body: { kind: 'banned' } });
  const mentionChannel = async (clientMessageId: string) => {
    const input = { clientMessageId, body: '@channel' };
    const path = `/api/channels/${room.channelId}/messages`;
    const { body } = await server.api.post(path, input, owner.token);
    return notifications.countDocuments({ messageId: new ObjectId(body.message.id) });
  };
  // The owner and 999 others; at first one of them is banned.
  expect(await mentionChannel('at-the-limit')).toBe(999);
  await join([lastId]);
  expect(await mentionChannel('above-it')).toBe(0);
  // A deactivated user does not count as a reader.
  await users.updateOne({ _id: lastId }, { $set: { state: 'deactivated' } });
  expect(await mentionChannel('at-the-limit-again')).toBe(999);
});
