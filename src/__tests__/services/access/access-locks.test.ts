import fc from 'fast-check';
import { once } from 'node:events';
import { ObjectId } from 'mongodb';
import type { Collections } from '../../../db/collections';
import { lock } from '../../../db/transaction';
import { TIMEOUT_MS, rounds, SEED } from '../../../../tools/jest/budget';
import type { Answer } from '../../fixtures/api';
import { Linearizations, type Call } from '../../fixtures/linearizations';
import { commandsBefore, everyPair, concurrentCommands, SUBJECT } from '../../fixtures/access-pairs';
import { AccessHarness } from '../../fixtures/access-harness';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

/** Two nodes on one database, so that no queue in memory serialises their writes. */
let here: TestServer;
let there: TestServer;
let root: Person;
let owner: Person;

beforeAll(async () => {
  here = await startTestServer({}, { monitorCommands: true });
  there = await startTestServer({}, { beside: here });
  ({ root, owner } = await signUpAll(here.api, 'root', 'owner'));
});
afterAll(async () => {
  await there.close();
  await here.close();
});

/** A collection and one of its operations, where a call is paused just before or just after it. */
type PausePoint = [keyof Collections, string, 'after'?];

/**
 * Holds a call up just before it writes what it has decided, and does another one meanwhile: until that has been
 * answered, or has been in the way of the first one and so has to begin again.
 * @returns the two answers, and whether one of the two was in the way of the other.
 */
async function interleave(
  [name, operation, after]: PausePoint,
  first: () => Promise<{ status: number }>,
  second: () => Promise<{ status: number }>,
): Promise<[first: number, second: number, collided: boolean]> {
  const collections = here.context.database.collections as unknown as Record<string, object>;
  const real = collections[name]!;
  let stop = () => {};
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  let continueCall = () => {};
  const gate = new Promise<void>((resolve) => (continueCall = resolve));
  let passed = false;
  collections[name] = new Proxy(real, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (key !== operation || passed) return value;
      return async (...parameters: unknown[]) => {
        passed = true;
        const run = () => (value as (...all: unknown[]) => Promise<unknown>)(...parameters);
        const result = after && (await run());
        stop();
        await gate;
        return after ? result : run();
      };
    },
  });
  try {
    const begun = first();
    await stopped;
    const conflict = once(here.context.database.db.client, 'commandFailed');
    const meanwhile = second();
    const collided = await Promise.race([meanwhile.then(() => false), conflict.then(() => true)]);
    continueCall();
    const answers = await Promise.all([begun, meanwhile]);
    return [answers[0].status, answers[1].status, collided];
  } finally {
    collections[name] = real;
  }
}

/** A group of the owner with a public and a private channel, and an admin. */
async function createWorld(): Promise<{ groupId: string; open: string; closed: string; person: Person }> {
  const person = await signUp(here.api, 'person');
  const { groupId, channelId } = await createRoom(here.api, owner, [person], 'public');
  const input = { groupId, name: 'closed', visibility: 'private' };
  const { body } = await here.api.post('/api/channels', input, owner.token);
  const path = `/api/groups/${groupId}/members/${person.id}`;
  await here.api.patch(path, { role: 'admin' }, owner.token);
  return { groupId, open: channelId, closed: body.channel.id, person };
}
type World = Awaited<ReturnType<typeof createWorld>>;

const post = (path: string, body: object | undefined, { token }: Person) => here.api.post(path, body, token);
const into = { channelMembers: ['channelMembers', 'updateOne'] as PausePoint };

/** The calls that add the user to a private channel. */
const entries: Record<string, (world: World) => Promise<Answer>> = {
  'adding to a private channel': ({ closed, person }) =>
    post(`/api/channels/${closed}/members`, { userId: person.id }, owner),
  'transferring a private channel': ({ closed, person }) =>
    post(`/api/channels/${closed}/transfer`, { userId: person.id }, owner),
  'making a channel private': ({ open, person }) =>
    here.api.patch(`/api/channels/${open}`, { visibility: 'private' }, person.token),
  'creating a private channel': ({ groupId, person }) =>
    post('/api/channels', { groupId, name: 'mine', visibility: 'private' }, person),
};

/** The calls that remove the user from the group, on the other node. */
const exits: Record<string, (world: World) => Promise<Answer>> = {
  leaving: ({ groupId, person }) => there.api.post(`/api/groups/${groupId}/leave`, undefined, person.token),
  removal: ({ groupId, person }) =>
    there.api.delete(`/api/groups/${groupId}/members/${person.id}`, owner.token),
  'a ban': ({ groupId, person }) =>
    there.api.call('put', `/api/groups/${groupId}/bans/${person.id}`, { token: owner.token, body: {} }),
  'the end of the account': ({ person }) =>
    there.api.call('delete', '/api/users/me', { token: person.token, body: { password: PASSWORD } }),
  'the end of the group': ({ groupId }) => there.api.delete(`/api/groups/${groupId}`, owner.token),
};

const FIRST = { clientMessageId: 'first', body: 'Begin here' };

describe('of two conflicting writes on two nodes, neither relies on what the other one has just changed', () => {
  const pairs = [
    ...Object.keys(exits).map((exit) => ['adding to a private channel', exit] as const),
    ...Object.keys(entries)
      .slice(1)
      .map((entry) => [entry, 'leaving'] as const),
  ];

  test.each(pairs)('%s, and %s meanwhile', async (entry, exit) => {
    const world = await createWorld();
    const [, left] = await interleave(
      into.channelMembers,
      () => entries[entry]!(world),
      () => exits[exit]!(world),
    );
    expect(left).toBeLessThan(300);
    const { channels, channelMembers, memberships } = here.context.database.collections;
    const groupId = new ObjectId(world.groupId);
    const userId = new ObjectId(world.person.id);
    expect(await memberships.countDocuments({ groupId, userId })).toBe(0);
    expect(await channelMembers.countDocuments({ groupId, userId })).toBe(0);
    for (const { _id, visibility, memberCount } of await channels.find({ groupId }).toArray()) {
      const inside = await channelMembers.countDocuments({ channelId: _id });
      expect([visibility, memberCount]).toEqual([visibility, inside]);
    }
  });

  test('an admin who is removed leaves no invite behind', async () => {
    const world = await createWorld();
    await interleave(
      ['invites', 'insertOne'],
      () => post(`/api/groups/${world.groupId}/invites`, {}, world.person),
      () => exits['removal']!(world),
    );
    const createdBy = new ObjectId(world.person.id);
    expect(await here.context.database.collections.invites.countDocuments({ createdBy })).toBe(0);
  });

  test('a banned user has no pending invite or request', async () => {
    const { groupId } = await createWorld();
    await here.api.patch(`/api/groups/${groupId}`, { joinPolicy: 'approval' }, owner.token);
    const asker = await signUp(here.api, 'asker');
    await interleave(
      ['joinRequests', 'updateOne'],
      () => post(`/api/groups/${groupId}/join-requests`, { note: '' }, asker),
      () => exits['a ban']!({ groupId, person: asker, open: '', closed: '' }),
    );
    const userId = new ObjectId(asker.id);
    expect(await here.context.database.collections.joinRequests.countDocuments({ userId })).toBe(0);
  });

  test('nothing about an ended account is stored', async () => {
    const world = await createWorld();
    const { person, open } = world;
    const path = `/api/channels/${open}/restrictions/${person.id}`;
    await interleave(
      ['channelRestrictions', 'replaceOne'],
      () => here.api.call('put', path, { token: owner.token, body: { kind: 'muted' } }),
      () => exits['the end of the account']!(world),
    );
    const other = await signUp(here.api, 'other');
    await interleave(
      into.channelMembers,
      () => post('/api/direct-messages', { userIds: [other.id] }, owner),
      () => exits['the end of the account']!({ ...world, person: other }),
    );
    const third = await createWorld();
    const { message } = (await here.api.post(`/api/channels/${third.open}/messages`, FIRST, owner.token))
      .body;
    await interleave(
      ['threadFollows', 'findOneAndUpdate'],
      () => here.api.call('put', `/api/messages/${message.id}/follow`, { token: third.person.token }),
      () => exits['the end of the account']!(third),
    );
    const { channelRestrictions, channelMembers, threadFollows } = here.context.database.collections;
    const followerId = new ObjectId(third.person.id);
    expect(await threadFollows.countDocuments({ userId: followerId })).toBe(0);
    const userId = { $in: [new ObjectId(person.id), new ObjectId(other.id)] };
    expect(await channelRestrictions.countDocuments({ userId })).toBe(0);
    expect(await channelMembers.countDocuments({ userId })).toBe(0);
  });
});

test(
  'any two concurrent changes on two nodes are serialised, and leave nothing inconsistent behind',
  async () => {
    const audience = await AccessHarness.create({ server: here, root });
    for (const round of rounds(1)) {
      await fc.assert(
        fc.asyncProperty(everyPair, async (ways) => {
          for (const way of ways) {
            const world = await audience.createWorld();
            for (const command of commandsBefore(way)) await audience.prepare(world, command);
            const nodes = [here.api, there.api];
            const calls = await Promise.all(
              concurrentCommands(way).map(async (command, index): Promise<Call> => {
                const { status } = await audience.perform(world, command, nodes[index]);
                return { command, issuedAt: 1, returnedAt: 2, status };
              }),
            );
            const { ends } = new Linearizations([world.model], calls);
            expect({ way, calls, explained: ends.length > 0 }).toEqual({ way, calls, explained: true });
            expect({ way, calls, left: await audience.inconsistenciesIn(world) }).toEqual({
              way,
              calls,
              left: [],
            });
            const seen = await audience.overviewOf(world, SUBJECT);
            const possible = ends.map((model) => [0, 1].filter((where) => model.reads(SUBJECT, where)));
            await audience.deleteWorld(world);
            expect({ way, calls, possible }).toEqual({
              way,
              calls,
              possible: expect.arrayContaining([seen]),
            });
          }
        }),
        { seed: SEED + round, numRuns: 1, endOnFailure: true },
      );
    }
  },
  TIMEOUT_MS * 2,
);

test('the end of a ban locks the membership: a user who leaves at the same time gets no event of the channel', async () => {
  const { groupId, open, person } = await createWorld();
  const input = { kind: 'banned', expiresAt: new Date(Date.now() + 500).toISOString() };
  const path = `/api/channels/${open}/restrictions/${person.id}`;
  expect((await here.api.call('put', path, { body: input, token: owner.token })).status).toBe(200);
  const { channelRestrictions } = here.context.database.collections;
  const ban = { channelId: new ObjectId(open), userId: new ObjectId(person.id) };
  const ended = async () => (await channelRestrictions.countDocuments(ban)) === 0;
  const [, left, collided] = await interleave(
    ['channelRestrictions', 'findOneAndDelete', 'after'],
    () => until(ended).then(() => ({ status: 204 })),
    () => exits['leaving']!({ groupId, open, closed: '', person }),
  );
  expect({ left, collided }).toEqual({ left: 204, collided: true });
});

test('a user who leaves while a mention of them is published is not notified', async () => {
  const world = await createWorld();
  const { open, person } = world;
  const client = await connect(here.url, person.token, { transports: ['websocket'] });
  const say = (clientMessageId: string, body: string) =>
    post(`/api/channels/${open}/messages`, { clientMessageId, body }, owner);
  // From then on the send itself does not read the channel; only its publication does.
  await say('plain', 'Nobody is meant');
  const answers = await interleave(
    ['channels', 'findOne'],
    () => say('mention', 'Listen, @channel'),
    () => post(`/api/groups/${world.groupId}/leave`, undefined, person),
  );
  expect(answers).toEqual([201, 204, false]);
  await client.ask('message:delete', {});
  const mentions = client.events.filter(
    ({ event, payload }) => event === 'notification:created' && payload.notification.kind === 'mention',
  );
  expect(mentions).toEqual([]);
  client.close();
});

test('on one node, too, a user who is added while leaving is not left in the channel', async () => {
  for (let iteration = 0; iteration < 4; iteration++) {
    const world = await createWorld();
    const { groupId, person } = world;
    const [added, left] = await Promise.all([
      entries['adding to a private channel']!(world),
      post(`/api/groups/${groupId}/leave`, undefined, person),
    ]);
    expect([204, 400]).toContain(added.status);
    expect(left.status).toBe(204);
    const { channelMembers } = here.context.database.collections;
    expect(await channelMembers.countDocuments({ userId: new ObjectId(person.id) })).toBe(0);
  }
});

test("a lock blocks others until the end of its transaction, and changes nobody's rights", async () => {
  const { groupId, person } = await createWorld();
  const { db, transactions, collections, accessVersion } = here.context.database;
  const { memberships } = collections;
  const which = { groupId: new ObjectId(groupId), userId: new ObjectId(person.id) };
  await expect(lock(memberships, which)).rejects.toThrow('requires a transaction');
  const version = accessVersion();
  const seen: string[] = [];
  let second = Promise.resolve();
  await transactions.run(async () => {
    expect(await lock(memberships, which)).toMatchObject({ ...which, role: 'admin' });
    expect(await lock(memberships, { ...which, userId: new ObjectId() })).toBeNull();
    const conflict = once(db.client, 'commandFailed');
    second = transactions.outside(() =>
      transactions.run(async () => {
        await lock(memberships, which);
        seen.push('second');
      }),
    );
    await conflict;
    seen.push('first');
  });
  await second;
  expect(seen).toEqual(['first', 'second']);
  expect(accessVersion()).toBe(version);
});

test('leftover members of a private channel, of an older version or a crash, have no access', async () => {
  const world = await createWorld();
  const { groupId, closed, open, person } = world;
  const { channelMembers, notifications } = here.context.database.collections;
  await exits['leaving']!(world);
  const stale = { channelId: new ObjectId(closed), groupId: new ObjectId(groupId) };
  const row = { ...stale, userId: new ObjectId(person.id), joinedAt: new Date(0) };
  await channelMembers.insertOne({ _id: new ObjectId(), ...row });

  const client = await connect(here.url, person.token, { transports: ['websocket'] });
  const input = { clientMessageId: 'stale', body: `@channel zebra @${person.username}` };
  const sent = await post(`/api/channels/${closed}/messages`, input, owner);
  const { message } = sent.body;
  await post(`/api/channels/${closed}/read`, { seq: message.seq }, owner);
  const get = (path: string, who = person) => here.api.get(path, who.token);

  expect(message.mentionIds).toEqual([]);
  expect((await get('/api/search/messages?query=zebra')).body.hits).toEqual([]);
  expect((await get('/api/client/overview')).body).toMatchObject({ groups: [], direct: [], complete: true });
  expect((await get(`/api/channels/${closed}/messages`)).status).toBe(404);
  expect((await get(`/api/messages/${message.id}`)).status).toBe(404);
  const synced = await post('/api/client/sync', { since: { [closed]: 0 } }, person);
  expect(synced.body).toMatchObject({ channels: [], reset: [], added: [], gone: [{ channelId: closed }] });
  expect(
    await notifications.countDocuments({ userId: row.userId, messageId: new ObjectId(message.id) }),
  ).toBe(0);
  expect((await get(`/api/messages/${message.id}/seen-by`, owner)).body.users).toEqual([]);
  const present = await get(`/api/channels/${closed}/presence`, owner);
  expect(present.body.presences.map(({ userId }: { userId: string }) => userId)).not.toContain(person.id);
  const list = await get(`/api/channels/${closed}/members?limit=1`, owner);
  expect(list.body).toMatchObject({ members: [{ userId: owner.id }], nextCursor: null });
  // A round trip over the socket: every earlier event has arrived.
  expect(
    await client.ask('message:send', { channelId: open, clientMessageId: 'x', body: 'x' }),
  ).toMatchObject({
    ok: false,
  });
  expect(client.messages).toEqual([]);
  client.close();

  // The channel is not visible after joining again.
  expect((await post(`/api/groups/${groupId}/join`, undefined, person)).status).toBe(200);
  expect((await get(`/api/channels/${closed}/messages`)).status).toBe(404);
});
