import { createContext } from '../../../context';
import { NodeRegistry } from '../../../services/kernel/node-registry';
import { ManualClock } from '../../fixtures/manual-clock';
import { startTestServer, type TestServer } from '../../fixtures/server';

const clock = new ManualClock();
let here: TestServer;

beforeAll(async () => {
  here = await startTestServer({}, { clock });
});
afterAll(() => here.close());

const idOf = ({ context }: TestServer) => context.nodes.id;
/** The nodes that a node considers alive, in the order of their ids. */
const aliveAt = async ({ context }: TestServer) => [...(await context.nodes.alive())].sort();
const ids = (...servers: TestServer[]) => servers.map(idOf).sort();
const documents = () => here.context.database.collections.nodes.find().toArray();
const stored = async () => (await documents()).map(({ _id }) => _id).sort();

describe('a node is alive', () => {
  it('while it renews its lease, and not after it has stopped', async () => {
    const there = await startTestServer({}, { beside: here, clock });
    await clock.advance(60_000);
    for (const server of [here, there]) expect(await aliveAt(server)).toEqual(ids(here, there));
    for (const { aliveUntil } of await documents()) expect(aliveUntil.getTime()).toBeGreaterThan(clock.now());
    await there.close();
    expect(await aliveAt(here)).toEqual(ids(here));
    expect(await stored()).toEqual(ids(here));
  });

  it('until its lease of ten seconds ends, when it was killed', async () => {
    // It does not renew its lease, because its clock stands still.
    const killed = await startTestServer({}, { beside: here, clock: new ManualClock(clock.now()) });
    await clock.advance(9_999);
    expect(await aliveAt(here)).toEqual(ids(here, killed));
    await clock.advance(1);
    expect(await aliveAt(here)).toEqual(ids(here));
    await killed.close();
  });

  it('under a new id after each start', async () => {
    const there = await startTestServer({}, { beside: here, clock });
    const former = idOf(there);
    await there.restart();
    expect(idOf(there)).not.toBe(former);
    expect(await aliveAt(here)).toEqual(ids(here, there));
    await there.close();
  });
});

describe('after an interruption of its own lease', () => {
  it('a node considers others alive until they have had the time to renew theirs', async () => {
    let now = clock.now();
    const { database, logger } = here.context;
    const { collections } = database;
    const [one, other] = [0, 1].map(
      () => new NodeRegistry({ collections, schema: database, clock: { now: () => now }, logger }),
    ) as [NodeRegistry, NodeRegistry];
    await one.start();
    await other.start();
    const isOtherAlive = async () => (await one.alive()).has(other.id);
    const pass = async (milliseconds: number, ...renewing: NodeRegistry[]) => {
      now += milliseconds;
      for (const registry of renewing) await registry.renew();
    };
    // Nobody can reach the database for a minute.
    await pass(60_000);
    expect(await isOtherAlive()).toBe(true);
    await pass(0, one);
    expect(await isOtherAlive()).toBe(true);
    await pass(3_000, one, other);
    await pass(3_000, one);
    expect(await isOtherAlive()).toBe(true);
    // A node that does not come back is considered dead soon.
    await pass(60_000);
    await pass(0, one);
    await pass(4_999, one);
    expect(await isOtherAlive()).toBe(true);
    await pass(1, one);
    expect(await isOtherAlive()).toBe(false);
    await one.stop();
    await other.stop();
  });
});

test('a context that is not started, such as that of a script, is no node', async () => {
  const { config, database } = here.context;
  const context = await createContext(config, { database });
  expect(await stored()).toEqual(ids(here));
  expect((await context.nodes.alive()).has(context.nodes.id)).toBe(false);
  await context.close();
  expect(await stored()).toEqual(ids(here));
});

test('the only node of an embedded store writes no lease', async () => {
  const { collections } = here.context.database;
  const { logger } = here.context;
  const only = new NodeRegistry({
    collections,
    schema: here.context.database,
    clock,
    logger,
    isOnlyNode: true,
  });
  await only.start();
  await only.renew();
  expect(await stored()).toEqual(ids(here));
  expect(await only.alive()).toEqual(new Set([only.id]));
  await only.stop();
});
