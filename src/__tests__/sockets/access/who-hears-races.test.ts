import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { PATIENCE, rounds, SEED } from '../../../../tools/jest/budget';
import type { Command, HearingModel } from '../../fixtures/hearing-model';
import { Orders, type Call } from '../../fixtures/hearing-orders';
import { Audience, PEOPLE, type Sightings, type World } from '../../fixtures/hearing-world';
import { beforePair, everyPair, pairOf, SUBJECT, type Interleaving } from '../../fixtures/hearing-pairs';
import { upload } from '../../fixtures/uploads';

let audience: Audience;
/** When messages, and notifications of their mentions, were published, by the ids of the messages. Moments are counted. */
const publishedAt = new Map<string, number>();
let moment = 0;

beforeAll(async () => {
  audience = await Audience.gather();
  audience.server.context.bus.subscribe((event) => {
    if (event.type === 'message.created') publishedAt.set(event.message._id.toHexString(), ++moment);
    if (event.type !== 'notification.created' || event.notification.kind !== 'mention') return;
    publishedAt.set(`mention ${event.notification.messageId?.toHexString()}`, ++moment);
  });
});
afterAll(() => audience.close());

/** After these somebody hears less. When such a call has returned, something is said on the spot. */
const TAKES = ['leave', 'remove', 'bar', 'ban', 'close', 'expel', 'quit', 'archive', 'delete'] as const;
const GIVES = ['join', 'unbar', 'lift', 'open', 'take', 'restore', 'mute'] as const;

const anySend = fc.record({
  act: fc.constant('send' as const),
  who: fc.nat({ max: PEOPLE - 1 }),
  where: fc.nat({ max: 1 }),
  flag: fc.boolean(),
});
const anyChange = fc.record({
  act: fc.oneof(
    { arbitrary: fc.constantFrom(...TAKES), weight: 3 },
    { arbitrary: fc.constantFrom(...GIVES), weight: 2 },
  ),
  // The owner of the group stays in it, and does what takes a role. The others are few: they are to collide.
  who: fc.integer({ min: 1, max: 2 }),
  where: fc.nat({ max: 1 }),
  flag: fc.boolean(),
});
/** What is done at once. */
const anyRace: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(anyChange, { minLength: 1, maxLength: 3 }),
    fc.array(anySend, { minLength: 3, maxLength: 5 }),
  )
  .map(([changes, sends]) => [...sends.slice(0, 1), ...changes, ...sends.slice(1)]);

/** A world of which it may not be certain what it is like. */
type Uncertain = World & {
  models: HearingModel[];
  /** The uploads that messages have, by the index of the channel. */
  files: Map<number, string>;
};

const newWorld = async (): Promise<Uncertain> => {
  const made = await audience.createWorld();
  return Object.assign(made, { models: [made.model], files: new Map<number, string>() });
};

/** Does commands, and compares all that everybody has heard with all that may have been. */
async function observe(
  world: Uncertain,
  work: (call: (command: Command) => Promise<Call>) => Promise<void>,
): Promise<Map<string, number>> {
  const calls: Call[] = [];
  /** The messages that were sent, with the channel of each. */
  const sent = new Map<string, number>();
  await work(async (command) => {
    const issuedAt = ++moment;
    const { status, body } = await audience.perform(world, command);
    const call = { command, issuedAt, returnedAt: ++moment, status };
    calls.push(call);
    if (status === 201 && body.message) sent.set(body.message.id, world.model.channelAt(command.where));
    if (status === 201 && body.channel) world.channelIds.push(body.channel.id);
    return call;
  });
  const told = await audience.collect();
  const orders = new Orders(world.models, calls);
  const { ends } = orders;
  expect({ calls, explained: ends.length > 0 }).toEqual({ calls, explained: true });
  for (const [who, devices] of told.entries()) {
    for (const events of devices) {
      const heard = events
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
      const surplus = heard.filter((id, index) => !sent.has(id) || heard.indexOf(id) !== index);
      expect({ calls, who, surplus }).toEqual({ calls, who, surplus: [] });
      for (const [id, where] of sent) {
        const possible = orders.at(publishedAt.get(id)!).map((model) => model.reads(who, where));
        const hears = heard.includes(id);
        expect({ calls, who, where, id, hears, possible: possible.includes(hears) }).toEqual({
          ...{ calls, who, where, id, hears },
          possible: true,
        });
      }
    }
  }
  world.models = ends;
  world.model = ends[0]!;
  return sent;
}

const inTurn = (world: Uncertain, commands: Command[]) =>
  observe(world, async (call) => {
    for (const command of commands) await call(command);
  });

/** What everybody finds by search is of channels that they may read: in each world that may be, after all is done. */
async function searchAll(world: Uncertain): Promise<void> {
  const found = await Promise.all(
    audience.people.map(async ({ token }) => {
      const query = { query: 'hears', groupId: world.groupId, limit: 50 };
      const { body } = await audience.server.api.get('/api/search/messages', token, query);
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

/** Issues all before any has returned; and a message of the owner behind each that took something. */
const atOnce = (world: Uncertain, commands: Command[]) =>
  observe(world, async (call) => {
    await Promise.all(
      commands.map(async (command) => {
        await call(command);
        if (!(TAKES as readonly string[]).includes(command.act)) return;
        // Over a socket it is quickest.
        await call({ act: 'send', who: 0, where: command.where, flag: true });
      }),
    );
  });

/** Everybody says something in both channels: what they are answered, and who hears it, tells what has become. */
const PROBES: Command[] = [0, 1].flatMap((where) =>
  Array.from({ length: PEOPLE }, (_, who) => ({ act: 'send', who, where, flag: who % 2 === 0 }) as const),
);

test(
  'during concurrent changes of access, all users receive and find exactly what they may read at that time',
  async () => {
    for (const round of rounds(1)) {
      await fc.assert(
        fc.asyncProperty(fc.array(anyRace, { minLength: 3, maxLength: 3 }), async (races) => {
          const world = await newWorld();
          await audience.collect();
          for (const command of audience.beginning) await inTurn(world, [command]);
          for (const commands of races) {
            await atOnce(world, commands);
            await inTurn(world, PROBES);
            await searchAll(world);
          }
        }),
        { seed: SEED + round, numRuns: 2, endOnFailure: true },
      );
    }
  },
  PATIENCE * 2,
);

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What some people should see in a world, wherever they look. */
function expectedOf(
  { files }: Uncertain,
  model: HearingModel,
  mentions: Map<string, number>,
  lookers: number[],
): Sightings[] {
  return lookers.map((who) => {
    const reads = [0, 1].filter((where) => model.reads(who, where));
    return {
      history: reads,
      search: reads,
      overview: reads,
      sync: reads,
      files: reads.filter((where) => files.has(where)),
      // Nobody is told of what they say themselves.
      mentions: who === 0 ? [] : [...mentions.values()].filter((where) => reads.includes(where)),
    };
  });
}

async function interleave(way: Interleaving): Promise<void> {
  const { where, delay, withFile, onlooker } = way;
  const lookers = [SUBJECT, onlooker];
  const world = await newWorld();
  for (const command of beforePair(way)) await audience.begin(world, command);
  const { server, people } = audience;
  if (withFile) {
    const { id } = await upload(server.api, people[0]!, 'what is in it', 'note.txt');
    const input = { clientMessageId: randomUUID(), body: 'Look', attachmentIds: [id] };
    const path = `/api/channels/${world.channelIds[where]!}/messages`;
    expect((await server.api.post(path, input, people[0]!.token)).status).toBe(201);
    world.files.set(where, id);
  }
  await audience.collect();
  const mentions = await observe(world, async (call) => {
    const [one, other] = pairOf(way);
    const first = call(one);
    for (let turn = 0; turn < delay; turn++) await nextTurn();
    await Promise.all([first, call(other)]);
    for (const at of [0, 1]) await call({ act: 'send', who: 0, where: at, flag: true });
  });
  const seen = await Promise.all(
    lookers.map((who) => audience.sightingsOf(world, who, world.files, mentions)),
  );
  const explained = world.models.some((model) =>
    isDeepStrictEqual(seen, expectedOf(world, model, mentions, lookers)),
  );
  const expected = expectedOf(world, world.model, mentions, lookers);
  if (!explained) expect({ way, seen }).toEqual({ way, seen: expected });
  expect(await audience.leftoversIn(world)).toEqual([]);
  await audience.deleteWorld(world);
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
  PATIENCE * 2,
);
