import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EJSON } from 'bson';
import { MongoClient, MongoServerError, type Collection, type Db } from 'mongodb';
import { toPlain } from '../src/bson/codec';
import type { Value } from '../src/bson/types';
import { startEmbeddedStore } from '../src';
import { TIMEOUT_MS, rounds, SEED } from '../../../tools/jest/budget';
import * as generate from './support/query-generator';
import { Random } from './support/random';

// By hand: FUZZ_SECONDS=600 npx jest store-fuzz

interface Row {
  _id: number;
  [name: string]: unknown;
}

const plain = (value: Value): Record<string, unknown> => toPlain(value) as Record<string, unknown>;

let dataDir: string;
let store: Awaited<ReturnType<typeof startEmbeddedStore>>;
let client: MongoClient;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'store-fuzz-'));
  store = await startEmbeddedStore({ dataDir });
  client = await new MongoClient(store.uri).connect();
});
afterAll(async () => {
  await client.close();
  await store.close();
  await rm(dataDir, { recursive: true });
});

/** Runs a write that an index or a path may refuse: parallel arrays, ambiguous numbers, no field inside a scalar. */
async function tolerant(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    const refused = error instanceof MongoServerError && [171, 16746, 28, 85].includes(Number(error.code));
    if (!refused) throw error;
  }
}

async function createIndex(
  db: Db,
  name: string,
  random: Random,
  taste: generate.Taste,
  i: number,
): Promise<void> {
  const { key, partialFilterExpression, collation, sparse } = generate.index(random, taste, `i${i}`);
  const index = {
    name: `i${i}`,
    key: Object.fromEntries(key),
    ...(sparse ? { sparse } : {}),
    ...(partialFilterExpression ? { partialFilterExpression: plain(partialFilterExpression) } : {}),
    ...(collation ? { collation: plain(collation) } : {}),
  };
  await tolerant(db.command({ createIndexes: name, indexes: [index] }));
}

/** Some documents before the indexes are built, some after, then updates and deletions. */
async function fill(db: Db, rows: Collection<Row>, random: Random, taste: generate.Taste): Promise<void> {
  const documents = Array.from({ length: 60 }, (_, i): Row => ({
    ...plain(generate.document(random, taste)),
    _id: i,
  }));
  await rows.insertMany(documents.slice(0, 30));
  for (let i = 0; i < 4; i++) await createIndex(db, rows.collectionName, random, taste, i);
  for (const row of documents.slice(30)) await tolerant(rows.insertOne(row));
  for (let i = 0; i < 10; i++) {
    const set = { [random.pick(['a', 'b', 'c', 'a.x'])]: toPlain(generate.value(random, taste)) };
    await tolerant(rows.updateMany({ _id: { $lt: random.below(60) } }, { $set: set }));
  }
  for (let i = 0; i < 5; i++) await rows.deleteOne({ _id: random.below(60) });
}

async function compareQueries(rows: Collection<Row>, random: Random, taste: generate.Taste): Promise<void> {
  const filter = plain(generate.filter(random, taste));
  const sort = random.chance(0.5) ? (plain(generate.sort(random)) as Record<string, 1 | -1>) : {};
  const options = { batchSize: random.pick([2, 5, 1000]), projection: { _id: 1 as const } };
  const ids = async (hint?: { $natural: 1 }): Promise<number[]> => {
    const cursor = rows.find(filter, { ...options, ...(hint ? { hint } : { sort }) });
    return (await cursor.toArray()).map((row) => row._id).sort((a, b) => a - b);
  };
  let found: number[];
  try {
    found = await ids();
  } catch (error) {
    if (error instanceof MongoServerError && error.message.includes('parallel arrays')) return;
    throw error;
  }
  const expected = await ids({ $natural: 1 });
  const count = await rows.countDocuments(filter);
  const limited = await rows.find(filter, { ...options, sort, skip: 2, limit: 3 }).toArray();
  const sizes = [expected.length, Math.max(0, Math.min(3, expected.length - 2))];
  const context = EJSON.stringify({ filter, sort }, { relaxed: false });
  expect({ context, found, sizes: [count, limited.length] }).toEqual({ context, found: expected, sizes });
}

test(
  'through the driver, queries with indexes find what a scan of all documents finds',
  async () => {
    const db = client.db('fuzz');
    let seed = SEED;
    for (const round of rounds(6)) {
      seed = SEED + round;
      const random = new Random(seed);
      const taste = {
        arrays: random.pick([0, 0.1, 0.3]),
        wild: random.pick([0, 0.3, 0.8]),
        long: random.pick([0, 0.1]),
      };
      const rows = db.collection<Row>(`c${seed}`);
      try {
        await fill(db, rows, random, taste);
        for (let i = 0; i < 30; i++) await compareQueries(rows, random, taste);
        expect(await db.command({ validate: rows.collectionName })).toMatchObject({ valid: true });
      } catch (error) {
        throw new Error(`FUZZ_SEED=${seed}: ${(error as Error).message}`, { cause: error });
      }
      await rows.drop();
    }
    console.log(`store fuzz: seeds ${SEED}…${seed}`);
  },
  TIMEOUT_MS,
);
