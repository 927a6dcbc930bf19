import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { TIMEOUT_MS, rounds, SEED } from '../../../../tools/jest/budget';
import type { Command, AccessModel } from '../../fixtures/access-model';
import { Linearizations, type Call } from '../../fixtures/linearizations';
import { AccessHarness, PEOPLE, type VisibleChannels, type World } from '../../fixtures/access-harness';
import {
  commandsBefore,
  everyPair,
  concurrentCommands,
  SUBJECT,
  type Interleaving,
} from '../../fixtures/access-pairs';
import { upload } from '../../fixtures/uploads';

let harness: AccessHarness;
/** When messages and the notifications about their mentions were published, by message id. Times are counted. */
const publishedAt = new Map<string, number>();
let moment = 0;

beforeAll(async () => {
  harness = await AccessHarness.create();
  harness.server.context.bus.subscribe((event) => {
    if (event.type === 'message.created') publishedAt.set(event.message._id.toHexString(), ++moment);
    if (event.type !== 'notification.created' || event.notification.kind !== 'mention') return;
    publishedAt.set(`mention ${event.notification.messageId?.toHexString()}`, ++moment);
  });
});
afterAll(() => harness.close());

/** Actions that revoke access. After such a call has returned, a message is sent at once. */
const REVOKING = [
  'leave',
  'remove',
  'banFromGroup',
  'ban',
  'makePrivate',
  'removeMember',
  'leaveChannel',
  'archive',
  'delete',
] as const;
const GRANTING = ['join', 'unbanFromGroup', 'lift', 'makePublic', 'addMember', 'restore', 'mute'] as const;

const anySend = fc.record({
  action: fc.constant('send' as const),
  who: fc.nat({ max: PEOPLE - 1 }),
  where: fc.nat({ max: 1 }),
  flag: fc.boolean(),
});
const anyChange = fc.record({
  action: fc.oneof(
    { arbitrary: fc.constantFrom(...REVOKING), weight: 3 },
    { arbitrary: fc.constantFrom(...GRANTING), weight: 2 },
  ),
  // The owner remains in the group, and performs what requires a role. The others are few, so that their actions
  // collide.
  who: fc.integer({ min: 1, max: 2 }),
  where: fc.nat({ max: 1 }),
  flag: fc.boolean(),
});
/** The commands that run concurrently. */
const anyRace: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(anyChange, { minLength: 1, maxLength: 3 }),
    fc.array(anySend, { minLength: 3, maxLength: 5 }),
  )
  .map(([changes, sends]) => [...sends.slice(0, 1), ...changes, ...sends.slice(1)]);

/** A world with several possible states. */
type Uncertain = World & {
  models: AccessModel[];
  /** The uploads of messages, by the index of the channel. */
  files: Map<number, string>;
};

const newWorld = async (): Promise<Uncertain> => {
  const made = await harness.createWorld();
  return Object.assign(made, { models: [made.model], files: new Map<number, string>() });
};

/** Performs commands, and checks that what all users received is possible in some linearization. */
async function observe(
  world: Uncertain,
  work: (call: (command: Command) => Promise<Call>) => Promise<void>,
): Promise<Map<string, number>> {
  const calls: Call[] = [];
  /** The sent messages, with the index of the channel. */
  const sent = new Map<string, number>();
  await work(async (command) => {
    const issuedAt = ++moment;
    const { status, body } = await harness.perform(world, command);
    const call = { command, issuedAt, returnedAt: ++moment, status };
    calls.push(call);
    if (status === 201 && body.message) sent.set(body.message.id, world.model.channelAt(command.where));
    if (status === 201 && body.channel) world.channelIds.push(body.channel.id);
    return call;
  });
  const received = await harness.collect();
  const orders = new Linearizations(world.models, calls);
  const { ends } = orders;
  expect({ calls, explained: ends.length > 0 }).toEqual({ calls, explained: true });
  for (const [who, devices] of received.entries()) {
    for (const events of devices) {
      const received = events
        .filter(({ event }) => event === 'message:created')
        .map(({ payload }): string => payload.message.id);
      const mentioned = events.filter(
        ({ event, payload }) => event === 'notification:created' && payload.notification.kind === 'mention',
      );
      for (const { payload } of mentioned) {
        const { messageId, channelId } = payload.notification;
        const where = world.channelIds.indexOf(channelId);
        const possible = orders
          .at(publishedAt.get(`mention ${messageId}`)!)
          .some((model) => model.reads(who, where));
        expect({ calls, who, where, mention: messageId, possible }).toEqual({
          ...{ calls, who, where, mention: messageId },
          possible: true,
        });
      }
      const surplus = received.filter((id, index) => !sent.has(id) || received.indexOf(id) !== index);
      expect({ calls, who, surplus }).toEqual({ calls, who, surplus: [] });
      for (const [id, where] of sent) {
        const possible = orders.at(publishedAt.get(id)!).map((model) => model.reads(who, where));
        const receives = received.includes(id);
        expect({ calls, who, where, id, hears: receives, possible: possible.includes(receives) }).toEqual({
          ...{ calls, who, where, id, hears: receives },
          possible: true,
        });
      }
    }
  }
  world.models = ends;
  world.model = ends[0]!;
  return sent;
}

const sequentially = (world: Uncertain, commands: Command[]) =>
  observe(world, async (call) => {
    for (const command of commands) await call(command);
  });

/** Checks that every search result is in a readable channel in some possible state, after all commands. */
async function searchAll(world: Uncertain): Promise<void> {
  const found = await Promise.all(
    harness.people.map(async ({ token }) => {
      const query = { query: 'hello', groupId: world.groupId, limit: 50 };
      const { body } = await harness.server.api.get('/api/search/messages', token, query);
      return body.hits.map(({ message }: any): number => world.channelIds.indexOf(message.channelId));
    }),
  );
  for (const [who, channels] of found.entries()) {
    for (const where of new Set<number>(channels)) {
      const readable = world.models.some((model) => model.reads(who, where));
      expect({ who, where, readable }).toEqual({ who, where, readable: true });
    }
  }
}

/** Issues all commands at once, and sends a message of the owner after each that revokes access. */
const concurrently = (world: Uncertain, commands: Command[]) =>
  observe(world, async (call) => {
    await Promise.all(
      commands.map(async (command) => {
        await call(command);
        if (!(REVOKING as readonly string[]).includes(command.action)) return;
        // A socket is the fastest way.
        await call({ action: 'send', who: 0, where: command.where, flag: true });
      }),
    );
  });

/** A message of every user in both channels: the answers and the recipients reveal the state. */
const PROBES: Command[] = [0, 1].flatMap((where) =>
  Array.from({ length: PEOPLE }, (_, who) => ({ action: 'send', who, where, flag: who % 2 === 0 }) as const),
);

test(
  'during concurrent changes of access, all users receive and find exactly what they may read at that time',
  async () => {
    for (const round of rounds(1)) {
      await fc.assert(
        fc.asyncProperty(fc.array(anyRace, { minLength: 3, maxLength: 3 }), async (races) => {
          const world = await newWorld();
          await harness.collect();
          for (const command of harness.setup) await sequentially(world, [command]);
          for (const commands of races) {
            await concurrently(world, commands);
            await sequentially(world, PROBES);
            await searchAll(world);
          }
        }),
        { seed: SEED + round, numRuns: 4, endOnFailure: true },
      );
    }
  },
  TIMEOUT_MS * 2,
);

const nextTick = () => new Promise<void>((resolve) => setImmediate(resolve));

/** The expected views of some users in a given state. */
function expectedOf(
  { files }: Uncertain,
  model: AccessModel,
  mentions: Map<string, number>,
  observers: number[],
): VisibleChannels[] {
  return observers.map((who) => {
    const reads = [0, 1].filter((where) => model.reads(who, where));
    return {
      history: reads,
      search: reads,
      overview: reads,
      sync: reads,
      files: reads.filter((where) => files.has(where)),
      // Senders are not notified of their own messages.
      mentions: who === 0 ? [] : [...mentions.values()].filter((where) => reads.includes(where)),
    };
  });
}

async function interleave(way: Interleaving): Promise<void> {
  const { where, delay, withFile, observer: onlooker } = way;
  const observers = [SUBJECT, onlooker];
  const world = await newWorld();
  for (const command of commandsBefore(way)) await harness.prepare(world, command);
  const { server, people } = harness;
  if (withFile) {
    const { id } = await upload(server.api, people[0]!, 'what is in it', 'note.txt');
    const input = { clientMessageId: randomUUID(), body: 'Look', attachmentIds: [id] };
    const path = `/api/channels/${world.channelIds[where]!}/messages`;
    expect((await server.api.post(path, input, people[0]!.token)).status).toBe(201);
    world.files.set(where, id);
  }
  await harness.collect();
  const mentions = await observe(world, async (call) => {
    const [one, other] = concurrentCommands(way);
    const first = call(one);
    for (let turn = 0; turn < delay; turn++) await nextTick();
    await Promise.all([first, call(other)]);
    for (const at of [0, 1]) await call({ action: 'send', who: 0, where: at, flag: true });
  });
  const seen = await Promise.all(
    observers.map((who) => harness.visibleChannelsOf(world, who, world.files, mentions)),
  );
  const explained = world.models.some((model) =>
    isDeepStrictEqual(seen, expectedOf(world, model, mentions, observers)),
  );
  const expected = expectedOf(world, world.model, mentions, observers);
  if (!explained) expect({ way, seen }).toEqual({ way, seen: expected });
  expect(await harness.inconsistenciesIn(world)).toEqual([]);
  await harness.deleteWorld(world);
}

test(
  'after any two concurrent changes, all users see exactly what they may read, in every route and event',
  async () => {
    for (const round of rounds(1)) {
      await fc.assert(
        fc.asyncProperty(everyPair, async (pairs) => {
          for (const pair of pairs) await interleave(pair);
        }),
        { seed: SEED + round, numRuns: 1, endOnFailure: true },
      );
    }
  },
  TIMEOUT_MS * 2,
);
