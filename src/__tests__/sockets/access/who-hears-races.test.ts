import fc from 'fast-check';
import { PATIENCE, rounds, SEED } from '../../../../tools/jest/budget';
import type { Command, HearingModel } from '../../fixtures/hearing-model';
import { Orders, type Call } from '../../fixtures/hearing-orders';
import { Audience, PEOPLE, type World } from '../../fixtures/hearing-world';

let audience: Audience;
/** When messages were published, by their ids. Moments are counted. */
const publishedAt = new Map<string, number>();
let moment = 0;

beforeAll(async () => {
  audience = await Audience.gather();
  audience.server.context.bus.subscribe((event) => {
    if (event.type === 'message.created') publishedAt.set(event.message._id.toHexString(), ++moment);
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
type Uncertain = World & { models: HearingModel[] };

/** Does commands, and compares all that everybody has heard with all that may have been. */
async function observe(
  world: Uncertain,
  work: (call: (command: Command) => Promise<Call>) => Promise<void>,
): Promise<void> {
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
  'of what is said while people come and go, everybody hears and finds what they may at that moment, and then no more',
  async () => {
    for (const round of rounds(1)) {
      await fc.assert(
        fc.asyncProperty(fc.array(anyRace, { minLength: 3, maxLength: 3 }), async (races) => {
          const made = await audience.createWorld();
          const world: Uncertain = Object.assign(made, { models: [made.model] });
          for (const command of audience.beginning) await inTurn(world, [command]);
          for (const commands of races) {
            await atOnce(world, commands);
            await inTurn(world, PROBES);
            await searchAll(world);
          }
        }),
        { seed: SEED + round, numRuns: 4, endOnFailure: true },
      );
    }
  },
  PATIENCE * 2,
);
