import { ObjectId } from 'mongodb';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

/** The number of users who act at the same time. */
const PEOPLE = 50;

let server: TestServer;
let owner: Person;
const people: Person[] = [];
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin.
  ({ owner } = await signUpAll(server.api, 'root', 'owner'));
  while (people.length < PEOPLE) people.push(await signUp(server.api));
}, 60_000);
afterAll(async () => {
  for (const client of clients) client.close();
  await server.close();
});

/** A call on a new connection: a kept-alive one may be closed by the time that fifty calls need it. */
const call = (method: 'post' | 'put' | 'patch' | 'delete', path: string, by: Person, body?: object) =>
  server.api.call(method, path, { body, token: by.token, headers: { Connection: 'close' } });

/** Checks that the counters of a group and of its private channels equal a recount. */
async function expectTrueCounts(groupId: string): Promise<number> {
  const { groups, memberships, channels, channelMembers } = server.context.database.collections;
  const _id = new ObjectId(groupId);
  const group = (await groups.findOne({ _id }))!;
  const ofGroup = { groupId: _id };
  expect(group.memberCount).toBe(await memberships.countDocuments(ofGroup));
  expect(group.channelCount).toBe(await channels.countDocuments({ ...ofGroup, visibility: 'public' }));
  for (const channel of await channels.find({ ...ofGroup, visibility: 'private' }).toArray()) {
    const { _id: channelId, memberCount } = channel;
    expect(memberCount).toBe(await channelMembers.countDocuments({ channelId }));
  }
  return group.memberCount;
}

test('the member count is exact when fifty users join, leave and are removed at the same time', async () => {
  const { groupId } = await createRoom(server.api, owner, [], 'public');
  const path = `/api/groups/${groupId}`;
  const input = { groupId, name: 'inner', visibility: 'private' };
  const inner: string = (await server.api.post('/api/channels', input, owner.token)).body.channel.id;
  for (const { token } of people.slice(0, 5)) clients.push(await connect(server.url, token));

  const joins = await Promise.all(people.map((person) => call('post', `${path}/join`, person)));
  expect(joins.map(({ status }) => status)).toEqual(Array(PEOPLE).fill(200));
  expect(await expectTrueCounts(groupId)).toBe(PEOPLE + 1);
  await Promise.all(
    people
      .slice(0, 20)
      .map(({ id }) => call('post', `/api/channels/${inner}/members`, owner, { userId: id })),
  );

  // Each user is removed in some way, some of them twice at once, and some join again at the same time.
  const departures = people.flatMap((person, index) => {
    const leave = () => call('post', `${path}/leave`, person);
    const remove = () => call('delete', `${path}/members/${person.id}`, owner);
    const ban = () => call('put', `${path}/bans/${person.id}`, owner, {});
    const join = () => call('post', `${path}/join`, person);
    const ways = [[leave, remove], [remove], [ban], [leave, join], [ban, leave]];
    return ways[index % 5]!.map((go) => go());
  });
  for (const { status } of await Promise.all(departures)) expect([200, 204, 403, 404]).toContain(status);
  await expectTrueCounts(groupId);
  // No banned user has remained.
  const { memberships, groupBans } = server.context.database.collections;
  const banned = await groupBans.find({ groupId: new ObjectId(groupId) }).toArray();
  expect(banned).toHaveLength(20);
  const inside = { groupId: new ObjectId(groupId), userId: { $in: banned.map(({ userId }) => userId) } };
  expect(await memberships.countDocuments(inside)).toBe(0);
  await expectSilence(groupId, people.slice(0, 5));
}, 120_000);

/** Checks that former members receive no message of the group, and members do. */
async function expectSilence(groupId: string, of: Person[]): Promise<void> {
  const { body } = await server.api.get('/api/channels', owner.token, { groupId });
  const channel = body.channels.find(({ name }: { name: string }) => name === 'general');
  const message = { clientMessageId: 'after-all', body: 'Who is still here?' };
  await server.api.post(`/api/channels/${channel.id}/messages`, message, owner.token);
  for (const [index, client] of clients.entries()) {
    const mine = await server.api.get(`/api/groups/${groupId}`, of[index]!.token);
    if (mine.body.group.myRole)
      await client.waitForMessage(({ message: { body: text } }) => text === message.body);
    else await client.ask('message:delete', { messageId: '0'.repeat(24) });
    expect([index, client.messages.length]).toEqual([index, mine.body.group.myRole ? 1 : 0]);
  }
}

test('the channel count is exact when many channels are created, closed, opened and deleted at the same time', async () => {
  const { groupId } = await createRoom(server.api, owner, [], 'public');
  const made = await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      call('post', '/api/channels', owner, { groupId, name: `c${index}` }),
    ),
  );
  expect(made.map(({ status }) => status)).toEqual(Array(16).fill(201));
  const paths = made.map(({ body }) => `/api/channels/${body.channel.id}`);
  await Promise.all(
    paths.flatMap((path, index) => [
      call('patch', path, owner, { visibility: 'private' }),
      ...(index % 2 ? [call('delete', path, owner)] : []),
      ...(index % 3 ? [call('patch', path, owner, { visibility: 'public' })] : []),
    ]),
  );
  await expectTrueCounts(groupId);
}, 60_000);
