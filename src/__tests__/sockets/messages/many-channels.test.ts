import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { step, takeAll } from '../../fixtures/channel-steps';
import { at, close, createWorld, finish, problemsOf, send } from '../../fixtures/channel-world';
import { signUp, signUpAll, type Person } from '../../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../../fixtures/redis';
import { acknowledged, type SendInput } from '../../fixtures/send-log';
import { counterOf, startTestServer, type TestServer } from '../../fixtures/server';

/**
 * Sends to many channels through two nodes, concurrently with everything that can make a send fail or a remembered
 * channel outdated. `MESSAGES_SECONDS=600` tries for ten minutes, `MESSAGES_SEED` another sequence.
 */
const SECONDS = Number(process.env['MESSAGES_SECONDS'] ?? 0);
const SEED = Number(process.env['MESSAGES_SEED'] ?? 20_268);
const RUNS = 2;

if (!HAS_REDIS) console.warn('Messages are sent through one node only: there is no redis-server.');

let redis: RedisProcess | undefined;
/** All write to the same database. */
let nodes: TestServer[];
let people: Person[];

beforeAll(async () => {
  redis = HAS_REDIS ? await startRedis() : undefined;
  const settings: Record<string, string> = redis ? { REDIS_URL: redis.url } : {};
  const first = await startTestServer(settings, { soleWriter: false });
  nodes = redis ? [first, await startTestServer(settings, { beside: first })] : [first];
  // The first account is super admin and may do everything.
  await signUp(first.api, 'root');
  people = Object.values(await signUpAll(first.api, 'owner', 'ada', 'bruno', 'chiara'));
});
afterAll(async () => {
  for (const node of nodes.toReversed()) await node.close();
  await redis?.close();
});

test(
  'every acknowledged message is stored, numbered, published and counted once, whatever happens in other channels',
  async () => {
    if (SECONDS > 0) console.log(`seed ${SEED}`);
    const round = fc.array(step, { minLength: 15, maxLength: 40, size: 'max' });
    const rounds = fc.array(round, { minLength: 3, maxLength: 5, size: 'max' });
    let runs = 0;
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(rounds, async (taken) => {
        runs++;
        const world = await createWorld(nodes, people, 5, 4);
        try {
          for (const steps of taken) await takeAll(world, steps);
          await finish(world);
          expect(await problemsOf(world)).toEqual([]);
          accepted += world.log.attempts.filter((attempt) => acknowledged(attempt)).length;
        } finally {
          close(world);
        }
      }),
      {
        seed: SEED,
        endOnFailure: true,
        ...(SECONDS > 0
          ? { numRuns: 1_000_000, interruptAfterTimeLimit: SECONDS * 1000 }
          : { numRuns: RUNS }),
      },
    );
    expect(accepted).toBeGreaterThan(20);
    if (SECONDS > 0) console.log(`${runs} runs, ${accepted} messages`);
  },
  120_000 + SECONDS * 1500,
);

(HAS_REDIS ? test : test.skip)(
  'two nodes that send to the same channels at the same time write each message once, although they conflict',
  async () => {
    const retries = async () => {
      const counts = await Promise.all(
        nodes.map((node) => counterOf(node, 'parley_message_batch_retries_total')),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    };
    const before = await retries();
    const world = await createWorld(nodes, people, 8, 2);
    const text = (by: number, round: number): SendInput => ({
      clientMessageId: randomUUID(),
      body: round % 2 ? 'hello' : `hello @${at(world.people, by + 1).username}`,
    });
    try {
      // One transaction has messages of many channels, and counts once: it goes on until the nodes have disturbed each other
      // more often than there are channels.
      for (let round = 0; round < 2 || (await retries()) - before <= world.places.length; round++) {
        // Both nodes remember all channels from here on, and each message of one makes the other's memory outdated.
        await Promise.all(
          world.places.flatMap((place) =>
            [...place.readers].flatMap((by) =>
              [...nodes.keys()].map((node) =>
                send(world, by, place, text(by, round), { node, rest: false }, 'accepted'),
              ),
            ),
          ),
        );
      }
      await finish(world);
      expect(await problemsOf(world)).toEqual([]);
    } finally {
      close(world);
    }
  },
  120_000,
);

test('slow mode admits one message of each member, through whichever nodes they send', async () => {
  const world = await createWorld(nodes, people, 3, 0);
  const [{ api }] = nodes as [TestServer];
  try {
    const slow = world.places.filter(({ kind }) => kind === 'public');
    for (const { id } of slow) {
      await api.patch(`/api/channels/${id}`, { slowModeSeconds: 600 }, world.people[0]!.token);
    }
    const attempts = await Promise.all(
      slow.flatMap((place) =>
        [1, 2, 3].flatMap((by) =>
          [0, 1, 2, 3].map((node) => {
            const input = { clientMessageId: randomUUID(), body: 'hello' };
            return send(world, by, place, input, { node, rest: false }, 'either');
          }),
        ),
      ),
    );
    const accepted = attempts.filter((attempt) => acknowledged(attempt));
    const senders = accepted.map(({ by, channelId }) => `${by.id} ${channelId}`);
    expect(senders).toHaveLength(3 * slow.length);
    expect(new Set(senders).size).toBe(3 * slow.length);
    await finish(world);
    expect(await problemsOf(world)).toEqual([]);
  } finally {
    close(world);
  }
});
