import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { Answer } from '../../fixtures/api';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let guest: Person;
let listener: Client;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  ({ owner, guest } = await signUpAll(server.api, 'root', 'owner', 'guest'));
  listener = await connect(server.url, guest.token);
});
afterAll(async () => {
  listener.close();
  await server.close();
});

const collections = () => server.context.database.collections;
const create = async (groupId: string, visibility = 'public'): Promise<string> => {
  const input = { groupId, name: randomUUID(), visibility };
  const answer = await server.api.post('/api/channels', input, owner.token);
  expect(answer.status).toBe(201);
  return answer.body.channel.id;
};
const remove = (channelId: string) => server.api.delete(`/api/channels/${channelId}`, owner.token);
const show = (channelId: string, visibility: string) =>
  server.api.patch(`/api/channels/${channelId}`, { visibility }, owner.token);
const take = (channelId: string, { id }: Person) =>
  server.api.post(`/api/channels/${channelId}/members`, { userId: id }, owner.token);
const expel = (channelId: string, { id }: Person) =>
  server.api.delete(`/api/channels/${channelId}/members/${id}`, owner.token);

/** The stored counts, and the result of counting again. */
async function countsOf(groupId: string): Promise<{ kept: unknown; recounted: unknown }> {
  const { groups, channels, channelMembers, memberships } = collections();
  const own = { groupId: new ObjectId(groupId) };
  const group = await groups.findOne({ _id: own.groupId });
  const inGroup = await channels.find(own).sort({ _id: 1 }).toArray();
  const members = await Promise.all(
    inGroup.map(({ _id }) => channelMembers.countDocuments({ channelId: _id })),
  );
  return {
    kept: {
      people: group!.memberCount,
      channels: group!.channelCount,
      members: inGroup.map(({ memberCount }) => memberCount),
    },
    recounted: {
      people: await memberships.countDocuments(own),
      channels: inGroup.filter(({ visibility }) => visibility === 'public').length,
      members,
    },
  };
}

describe('counters match the stored data', () => {
  test('after a dozen users are added to and removed from a private channel and the group at once', async () => {
    const people = await Promise.all(Array.from({ length: 12 }, () => signUp(server.api)));
    const { groupId } = await createRoom(server.api, owner, people);
    const group = `/api/groups/${groupId}`;
    const channelId = await create(groupId, 'private');
    await Promise.all(people.map((person) => take(channelId, person)));
    expect(await countsOf(groupId)).toMatchObject({ kept: { people: 13, members: [0, 13] } });
    const acts = people.flatMap((person, index): Promise<Answer>[] => {
      if (index % 3 === 0) return [server.api.post(`${group}/leave`, undefined, person.token)];
      const quit = `/api/channels/${channelId}/members/${person.id}`;
      if (index % 3 === 1) return [expel(channelId, person), server.api.delete(quit, person.token)];
      return [expel(channelId, person), take(channelId, person)];
    });
    for (const { status } of await Promise.all(acts)) expect([204, 404]).toContain(status);
    const { kept, recounted } = await countsOf(groupId);
    expect(kept).toEqual(recounted);
  }, 60_000);

  test('after channels are created, opened, closed and deleted at once', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const [closing, opening, going] = await Promise.all([
      Promise.all(Array.from({ length: 5 }, () => create(groupId))),
      Promise.all(Array.from({ length: 5 }, () => create(groupId, 'private'))),
      Promise.all(Array.from({ length: 5 }, () => create(groupId))),
    ]);
    await Promise.all([
      ...closing.flatMap((id) => [show(id, 'private'), show(id, 'private')]),
      ...opening.map((id) => show(id, 'public')),
      ...going.flatMap((id) => [remove(id), show(id, 'private'), remove(id)]),
      ...Array.from({ length: 5 }, () => create(groupId)),
    ]);
    const { kept, recounted } = await countsOf(groupId);
    expect(kept).toEqual(recounted);
    expect(kept).toMatchObject({ channels: 1 + 5 + 5 });
  });
});

/**
 * The content of the collections, without sessions and what the server writes at its own time: facts about the
 * installation, the leases of nodes, and the times when users were last seen.
 */
async function everything(): Promise<unknown> {
  const names = await server.context.database.db.listCollections({}, { nameOnly: true }).toArray();
  const kept = names.map(({ name }) => name).filter((name) => !/^(sessions|installation|nodes)$/.test(name));
  const contents = kept.sort().map(async (name) => {
    const documents = await server.context.database.db
      .collection(name)
      .find({}, { projection: { lastSeenAt: 0 } })
      .sort({ _id: 1 })
      .toArray();
    return [name, documents] as const;
  });
  return Object.fromEntries(await Promise.all(contents));
}

/** Makes a method of a collection fail from the given call on. */
function breakAt(
  name: keyof TestServer['context']['database']['collections'],
  method: string,
  calls: number,
) {
  const all = collections() as unknown as Record<string, object>;
  const whole = all[name]!;
  let left = calls;
  all[name] = new Proxy(whole, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== method || typeof value !== 'function') return value;
      return (...parameters: unknown[]) =>
        --left < 0
          ? Promise.reject(new Error('The disk is on fire.'))
          : (value as (...all: unknown[]) => unknown).apply(target, parameters);
    },
  });
  return () => (all[name] = whole);
}

describe('a change that fails midway stores nothing and sends no event', () => {
  let channelId: string;
  let others: string[];
  let groupId: string;

  beforeAll(async () => {
    ({ groupId, channelId } = await createRoom(server.api, owner, [guest]));
    others = [await create(groupId), await create(groupId, 'private')];
    await take(others[1]!, guest);
  });
  const put = (path: string, body: object) => server.api.call('put', path, { body, token: owner.token });

  test.each<[string, Parameters<typeof breakAt>, () => Promise<Answer>]>([
    ['deleting a channel', ['slowModeMarks', 'deleteMany', 0], () => remove(channelId)],
    ['deleting a channel, in the last step', ['auditLog', 'insertOne', 0], () => remove(channelId)],
    ['making a channel private', ['channelMembers', 'updateOne', 0], () => show(channelId, 'private')],
    ['making a channel public', ['groups', 'findOneAndUpdate', 0], () => show(others[1]!, 'public')],
    [
      'reordering channels',
      ['channels', 'findOneAndUpdate', 1],
      () => put(`/api/groups/${groupId}/channel-order`, { channelIds: [others[1], others[0], channelId] }),
    ],
    [
      'banning a user',
      ['notifications', 'insertMany', 0],
      () => put(`/api/channels/${channelId}/restrictions/${guest.id}`, { kind: 'banned' }),
    ],
    [
      'starting a conversation',
      ['channelMembers', 'updateOne', 1],
      () => server.api.post('/api/direct-messages', { userIds: [guest.id] }, owner.token),
    ],
    [
      'archiving a channel',
      ['groups', 'findOneAndUpdate', 0],
      () => server.api.post(`/api/channels/${channelId}/archive`, undefined, owner.token),
    ],
  ])('%s', async (_, broken, act) => {
    const before = await everything();
    listener.events.splice(0);
    const restore = breakAt(...broken);
    const answer = await act();
    restore();
    expect(answer).toMatchObject({ status: 500, body: { error: { code: 'internal_error' } } });
    expect(await everything()).toEqual(before);
    await listener.ask('message:delete', { messageId: '0'.repeat(24) });
    expect(listener.events.filter(({ event }) => event !== 'presence:changed')).toEqual([]);
    const input = { clientMessageId: randomUUID(), body: 'Still there?' };
    const sent = await server.api.post(`/api/channels/${channelId}/messages`, input, owner.token);
    await listener.waitForMessage(({ message }) => message.id === sent.body.message.id);
  });
});
