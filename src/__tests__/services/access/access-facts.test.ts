import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import type { ChannelDocument } from '../../../models/channel.model';
import { AccessFacts } from '../../../services/access/access-facts';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let people: Person[];
let channel: ChannelDocument;
/** The direct conversation of the first two. */
let conversation: ChannelDocument;

beforeAll(async () => {
  server = await startTestServer();
  people = await Promise.all(['ada', 'bob', 'cyd'].map((name) => signUp(server.api, name)));
  const { channelId } = await createRoom(server.api, people[0]!, people.slice(1));
  const { channels } = server.context.database.collections;
  channel = (await channels.findOne({ _id: new ObjectId(channelId) }))!;
  const [ada, bob] = people;
  const { body } = await server.api.post('/api/direct-messages', { userIds: [bob!.id] }, ada!.token);
  conversation = (await channels.findOne({ _id: new ObjectId(body.conversation.channel.id) }))!;
});
afterAll(() => server.close());

const KINDS = [
  ...(['join', 'leave', 'role', 'mute', 'unmute', 'enter', 'exit', 'archive', 'restore'] as const),
  ...(['block', 'unblock', 'deactivate', 'activate'] as const),
];

/** A write that changes what a user may do. */
interface Action {
  kind: (typeof KINDS)[number];
  who: number;
  /** Whether it is written directly, in a transaction, or in a transaction that is rolled back. */
  way: 'plain' | 'transaction' | 'undone';
  /** Whether the cache is read during the write. */
  asked: boolean;
}

const act: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom(...KINDS),
  who: fc.nat(2),
  way: fc.constantFrom('plain', 'transaction', 'undone'),
  asked: fc.boolean(),
});

function write({ kind, who }: Action): Promise<unknown> {
  const { groups, memberships, channelMembers, channelRestrictions, blocks, users } =
    server.context.database.collections;
  const userId = new ObjectId(people[who]!.id);
  const { _id: channelId } = channel;
  const groupId = channel.groupId!;
  const now = new Date();
  switch (kind) {
    case 'join':
    case 'role': {
      const role = kind === 'join' ? 'member' : 'moderator';
      return memberships.updateOne({ groupId, userId }, { $set: { role } }, { upsert: true });
    }
    case 'leave':
      return memberships.deleteOne({ groupId, userId });
    case 'mute': {
      const restriction = { kind: 'muted' as const, reason: '', restrictedBy: userId, expiresAt: null };
      return channelRestrictions.updateOne(
        { channelId, userId },
        { $set: { ...restriction, groupId, createdAt: now } },
        { upsert: true },
      );
    }
    case 'unmute':
      return channelRestrictions.findOneAndDelete({ channelId, userId });
    case 'enter':
      return channelMembers.bulkWrite([
        {
          updateOne: {
            filter: { channelId, userId },
            update: { $set: { groupId, joinedAt: now } },
            upsert: true,
          },
        },
      ]);
    case 'exit':
      return channelMembers.deleteMany({ channelId, userId });
    case 'block':
    case 'unblock': {
      const pair = { userId, blockedId: new ObjectId(people[(who + 1) % 2]!.id) };
      return kind === 'block'
        ? blocks.updateOne(pair, { $setOnInsert: { createdAt: now } }, { upsert: true })
        : blocks.deleteOne(pair);
    }
    case 'deactivate':
    case 'activate': {
      const state = kind === 'activate' ? 'active' : 'deactivated';
      return users.updateOne({ _id: userId }, { $set: { state } });
    }
    case 'archive':
    case 'restore':
      return groups.findOneAndUpdate(
        { _id: groupId },
        { $set: { archivedAt: kind === 'archive' ? now : null } },
      );
  }
}

const withoutKey = ({ directKey: _, ...others }: ChannelDocument): ChannelDocument => others;

const everybody = () =>
  people.map(({ id }) => ({ id: new ObjectId(id), role: 'client', state: 'active' }) as const);

async function perform(step: Action): Promise<void> {
  const { transactions } = server.context.database;
  if (step.way === 'plain') await write(step);
  else {
    const done = transactions.run(async () => {
      await write(step);
      if (step.way === 'undone') throw new Error('undone');
    });
    await done.catch((error: Error) => expect(error.message).toBe('undone'));
  }
}

test('the cache agrees with the database as soon as a write has been answered', async () => {
  const { collections, transactions, accessVersion } = server.context.database;
  const caching = new AccessFacts(collections, transactions, accessVersion);
  const asking = new AccessFacts(collections, transactions, () => undefined);
  const actors = everybody();
  const facts = (from: AccessFacts) =>
    Promise.all(
      [
        { ...channel, visibility: 'public' as const },
        { ...channel, visibility: 'private' as const },
        conversation,
        // As a conversation that began with more people.
        { ...withoutKey(conversation), memberCount: 2 },
      ].map((each) => from.channel(each, actors, {})),
    );
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 12 }), async (acts) => {
      for (const step of acts) {
        const asked = step.asked ? facts(caching) : undefined;
        await perform(step);
        expect(await facts(caching)).toEqual(await facts(asking));
        await asked;
      }
    }),
    { numRuns: 40 },
  );
  // What follows in this file needs all three.
  for (const who of [0, 1, 2]) await write({ kind: 'activate', who, way: 'plain', asked: false });
});

test('a transaction sees its own writes, and does not share what it reads with others', async () => {
  const { collections, transactions, accessVersion } = server.context.database;
  const caching = new AccessFacts(collections, transactions, accessVersion);
  const [bob] = everybody().slice(1);
  const groupId = channel.groupId!;
  const filter = { groupId, userId: bob!.id };
  const roleOf = async () => (await caching.channel(channel, [bob!], {}))[0]!.role;
  const setRole = (role: 'member' | 'moderator') =>
    collections.memberships.updateOne(filter, { $set: { role } }, { upsert: true });
  await setRole('moderator');
  expect(await roleOf()).toBe('moderator');

  // An uncommitted write is visible only in its own transaction.
  await transactions.run(async () => {
    await setRole('member');
    expect(await roleOf()).toBe('member');
    expect(await transactions.outside(roleOf)).toBe('moderator');
  });
  expect(await roleOf()).toBe('member');

  // A transaction reads from its snapshot, which must not be cached for others.
  await transactions.run(async () => {
    await collections.memberships.findOne(filter);
    await transactions.outside(() => collections.memberships.deleteOne(filter));
    expect(await roleOf()).toBe('member');
  });
  expect(await roleOf()).toBeNull();
});

test('what is missing is read once for all channels that need it in the same turn', async () => {
  const { collections, transactions, accessVersion } = server.context.database;
  let finds = 0;
  const counting = new Proxy(collections, {
    get: (target, name) =>
      new Proxy(Reflect.get(target, name) as typeof collections.memberships, {
        get(collection, method) {
          if (method === 'find') finds++;
          return Reflect.get(collection, method) as unknown;
        },
      }),
  });
  const facts = new AccessFacts(counting, transactions, accessVersion);
  const actors = everybody();
  const others = [channel, conversation].map((each) => ({ ...each, _id: new ObjectId() }));
  const ask = () =>
    Promise.all(
      [channel, conversation, ...others].map((each) => facts.channel(each, actors.slice(0, 2), {})),
    );
  await ask();
  // Groups, memberships, members of private channels, restrictions, blocks, accounts.
  expect(finds).toBe(6);
  await ask();
  expect(finds).toBe(6);
});

test('roles are not read again until something has been written', async () => {
  const { collections, transactions, accessVersion } = server.context.database;
  let asked = 0;
  const counting = new Proxy(collections, {
    get(target, name) {
      asked++;
      return Reflect.get(target, name) as unknown;
    },
  });
  const facts = new AccessFacts(counting, transactions, accessVersion);
  const actors = everybody();
  await facts.channel(channel, actors, {});
  const once = asked;
  await facts.channel(channel, actors, {});
  expect(asked).toBe(once);
  await collections.memberships.updateOne({ groupId: channel.groupId! }, { $set: { role: 'member' } });
  await facts.channel(channel, actors, {});
  expect(asked).toBeGreaterThan(once);
});

test('a write to an account counts if it may change its state, and no other does', async () => {
  const { collections, accessVersion } = server.context.database;
  const { users } = collections;
  const filter = { _id: new ObjectId() };
  const seen = { $set: { lastSeenAt: new Date() } };
  const state = { $set: { state: 'deactivated' as const } };
  const grows = async (write: () => Promise<unknown>) => {
    const before = accessVersion();
    await write();
    return accessVersion() > before;
  };
  expect([
    await grows(() => users.updateOne(filter, seen)),
    await grows(() => users.bulkWrite([{ updateOne: { filter, update: seen } }])),
    await grows(() => users.updateMany(filter, state)),
    await grows(() => users.findOneAndUpdate(filter, state)),
    await grows(() => users.bulkWrite([{ updateOne: { filter, update: state } }])),
    await grows(() => users.bulkWrite([{ deleteOne: { filter } }])),
    await grows(() => users.deleteOne(filter)),
  ]).toEqual([false, false, true, true, true, true, true]);
});
