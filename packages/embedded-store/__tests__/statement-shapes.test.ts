import { EJSON, Int32 } from 'bson';
import type { Db } from 'mongodb';
import { changedFields } from '../src/bson/changed-fields';
import { decode, encode, fromPlain } from '../src/bson/codec';
import type { Document, Value } from '../src/bson/types';
import { StoreError } from '../src/errors';
import { compileIndex, type IndexDefinition } from '../src/index/keys';
import { PlanCache } from '../src/index/plan-template';
import { planQuery } from '../src/index/planner';
import { isEqualityFilter } from '../src/query/equality';
import { compileAny, compileFilter } from '../src/query/matcher';
import { compileUpdate } from '../src/update/update';
import { rounds, SEED, TIMEOUT_MS } from '../../../tools/jest/budget';
import { MemoryIndex } from './support/memory-index';
import * as generate from './support/query-generator';
import { Random } from './support/random';
import { openTestStore, type TestStore } from './support/served-store';

// Work that is done once for each shape of a statement gives the same results as doing it for each statement.
// By hand: FUZZ_SECONDS=600 npx jest statement-shapes

const TASTE: generate.Taste = { arrays: 0.15, wild: 0.6, long: 0.05 };
const NAMES = ['a', 'b', 'c', '_id', 'missing'];
const show = (value: unknown): string => EJSON.stringify(value, { relaxed: false });

/** A filter of the given names, with a value that one of the documents has, or any other. */
function filterOf(
  random: Random,
  names: readonly string[],
  documents: readonly Document[],
  taste: generate.Taste,
): Document {
  const document = random.pick(documents);
  return new Map(
    names.map((name): [string, Value] => {
      const own = random.chance(0.5) ? document.get(name) : undefined;
      return [
        name,
        own ?? (random.chance(0.2) ? generate.value(random, taste) : generate.scalar(random, taste)),
      ];
    }),
  );
}

function memoryIndexes(
  random: Random,
  names: readonly string[],
  documents: readonly Document[],
): MemoryIndex[] {
  const definitions = Array.from({ length: 4 }, (_, i) => generate.index(random, TASTE, `i${i}`));
  // These are chosen for many of the filters.
  definitions.push({ name: 'whole', key: names.map((name) => [name, random.pick([1, -1])]) });
  const limit: Document = new Map([[random.pick(['$gte', '$lt', '$eq']), new Int32(2)]]);
  const partialFilterExpression: Document = new Map([[random.pick(names), limit]]);
  definitions.push({ name: 'part', key: [[random.pick(names), 1]], unique: true, partialFilterExpression });
  return definitions.flatMap((definition) => {
    if (random.chance(0.2) && definition.collation === undefined) definition.unique = true;
    try {
      return [new MemoryIndex(definition, documents)];
    } catch (error) {
      // Parallel arrays, or a number that is a position here and a name there: MongoDB refuses the index too.
      if (error instanceof StoreError && [171, 16746].includes(error.code)) return [];
      throw error;
    }
  });
}

test(
  'filters of one shape match, and are planned, as if each was the first',
  () => {
    let fromTemplates = 0;
    for (const round of rounds(60)) {
      const random = new Random(SEED + round);
      const taste = { arrays: random.pick([0, 0.15]), wild: 0.5, long: random.pick([0, 0.5]) };
      const documents = Array.from({ length: 10 }, () => generate.document(random, taste));
      const names = [...new Set([random.pick(NAMES), ...random.some(NAMES, 2)])];
      const idIndex = new MemoryIndex({ name: '_id_', key: [['_id', 1]] }, documents);
      const indexes = [idIndex, ...memoryIndexes(random, names, documents)].map(({ compiled }) => compiled);
      const plans = new PlanCache();
      for (let i = 0; i < 20; i++) {
        const document = filterOf(random, names, documents, taste);
        const filter = compileFilter(document);
        const plain = compileAny(document);
        const wanted = documents.map((each) => plain.matches(each));
        const found = documents.map((each) => filter.matches(each));
        expect({ filter: show(document), found }).toEqual({ filter: show(document), found: wanted });
        if (!isEqualityFilter(filter)) continue;
        expect(documents.map((each) => filter.matchesBytes(encode(each)))).toEqual(wanted);
        const choose = jest.fn(() => planQuery({ filter: document, indexes }));
        const plan = plans.plan(filter, () => indexes, choose);
        if (choose.mock.calls.length === 0) fromTemplates++;
        expect([show(document), plan]).toEqual([
          show(document),
          planQuery({ filter: document, compiled: plain, indexes }),
        ]);
      }
    }
    expect(fromTemplates).toBeGreaterThan(50);
  },
  TIMEOUT_MS,
);

test('values of another kind, or too long for the index, are not planned like the first', () => {
  const collation = fromPlain({ locale: 'en', strength: 2 }) as Document;
  const cases: [Partial<IndexDefinition>, Value[]][] = [
    [{}, ['short', 'x'.repeat(3_000), 'y'.repeat(3_000), 'short']],
    [{ collation }, [new Int32(1), 'a', new Int32(2), 'A']],
    [
      { partialFilterExpression: fromPlain({ a: { $gt: 5 } }) as Document },
      [6, 5, 'a', 7].map((n) => fromPlain(n)),
    ],
    [{ sparse: true }, [new Int32(1), null, [], new Int32(2)]],
  ];
  for (const [options, values] of cases) {
    const plans = new PlanCache();
    const indexes = [compileIndex({ name: 'a', key: [['a', 1]], ...options })];
    for (const value of values) {
      const document: Document = new Map([['a', value]]);
      const filter = compileFilter(document);
      const wanted = planQuery({ filter: document, compiled: compileAny(document), indexes });
      if (!isEqualityFilter(filter)) continue;
      expect(
        plans.plan(
          filter,
          () => indexes,
          () => planQuery({ filter: document, indexes }),
        ),
      ).toEqual(wanted);
    }
  }
});

const OPERATORS = [
  '$set',
  '$setOnInsert',
  '$inc',
  '$mul',
  '$min',
  '$max',
  '$unset',
  '$push',
  '$addToSet',
  '$bit',
];

function updateOf(random: Random): Document {
  const update: Document = new Map();
  for (const name of new Set(random.some([...NAMES.slice(0, 3), 'd', 'e', '0', 'x.y', '_id'], 4))) {
    const operator = random.pick(OPERATORS);
    const argument =
      operator === '$bit'
        ? new Map<string, Value>([['or', new Int32(5)]])
        : ['$inc', '$mul'].includes(operator)
          ? random.pick<Value>([new Int32(1), new Int32(-2), generate.scalar(random, TASTE)])
          : generate.value(random, TASTE);
    const fields = update.get(operator) ?? new Map<string, Value>();
    update.set(operator, (fields as Document).set(name, argument));
  }
  return update;
}

type Attempt = { after: string; changed: string[] } | { error: number; message: string };

function attempt(work: () => Attempt): Attempt {
  try {
    return work();
  } catch (error) {
    if (error instanceof StoreError) return { error: error.code, message: error.message };
    throw error;
  }
}

test(
  'updates of encoded documents have the results and errors of updates of decoded ones',
  () => {
    const now = new Date(0);
    let compared = 0;
    for (const round of rounds(1_000)) {
      const random = new Random(SEED + round);
      const bytes = encode(generate.document(random, TASTE));
      const source = updateOf(random);
      if (source.size === 0) continue;
      let update: ReturnType<typeof compileUpdate>;
      try {
        update = compileUpdate(source);
      } catch (error) {
        expect(error).toBeInstanceOf(StoreError);
        continue;
      }
      const applyToBytes = update.applyToBytes?.bind(update);
      if (!applyToBytes) continue;
      compared++;
      const wanted = attempt(() => {
        const after = encode(update.apply(decode(bytes), { insert: false, now }));
        return { after: show(decode(after)), changed: [...changedFields(bytes, after)].sort() };
      });
      const found = attempt(() => {
        const { bytes: after, changed } = applyToBytes(bytes, now) ?? { bytes, changed: [] };
        return { after: show(decode(after)), changed: [...changed].sort() };
      });
      expect([show(source), show(decode(bytes)), found]).toEqual([show(source), show(decode(bytes)), wanted]);
    }
    expect(compared).toBeGreaterThan(200);
  },
  TIMEOUT_MS,
);

describe('in a store', () => {
  let store: TestStore;
  let db: Db;
  beforeAll(async () => {
    store = await openTestStore();
    db = store.client.db('shapes');
  });
  afterAll(() => store.close());

  const stageOf = async (collection: string, filter: object): Promise<string> => {
    const { queryPlanner } = await db.collection(collection).find(filter).explain('queryPlanner');
    return show(queryPlanner.winningPlan);
  };

  test('a plan that is known is not used after a change of the indexes or of their contents', async () => {
    const rooms = db.collection<{ _id: number; a: unknown; b: number }>('rooms');
    const idsOf = async (filter: object) =>
      (await rooms.find(filter).toArray()).map(({ _id }) => _id).sort((a, b) => a - b);
    await rooms.insertMany([1, 2, 3].map((n) => ({ _id: n, a: n, b: n })));
    await rooms.createIndex({ a: 1 }, { name: 'one' });
    for (const a of [1, 2]) expect(await stageOf('rooms', { a, b: a })).toContain('one');
    await rooms.createIndex({ a: 1, b: 1 }, { name: 'both' });
    for (const a of [1, 2]) expect(await stageOf('rooms', { a, b: a })).toContain('both');
    await rooms.insertOne({ _id: 4, a: [2, 7, 2], b: 2 });
    for (const a of [2, 7, 1]) {
      expect(await stageOf('rooms', { a, b: 2 })).toMatch(/FETCH.*"filter".*both/);
      expect(await idsOf({ a, b: 2 })).toEqual({ 1: [], 2: [2, 4], 7: [4] }[a]);
    }
    await rooms.deleteOne({ _id: 4 });
    await rooms.dropIndex('both');
    expect(await stageOf('rooms', { a: 1, b: 1 })).toContain('one');
    await rooms.dropIndex('one');
    expect(await stageOf('rooms', { a: 1, b: 1 })).toContain('COLLSCAN');
    await rooms.createIndex(
      { a: 1 },
      { name: 'positive', unique: true, partialFilterExpression: { b: { $gt: 0 } } },
    );
    await rooms.insertOne({ _id: 5, a: 1, b: -1 });
    for (const b of [1, -1, 1]) expect(await idsOf({ a: 1, b })).toEqual([b > 0 ? 1 : 5]);
  });

  test('statements that look up one document see what their transaction has changed', async () => {
    const marks = db.collection<{ _id: number; user: string; room?: number; seq: number }>('marks');
    await marks.createIndex({ user: 1, room: 1 }, { unique: true });
    await marks.insertMany(['ann', 'bob', 'cid'].map((user, i) => ({ _id: i, user, room: 1, seq: 0 })));
    const session = store.client.startSession();
    await session.withTransaction(async () => {
      const set = (filter: object, update: object, upsert = false) =>
        marks.updateOne(filter, update, { session, upsert });
      expect(await set({ user: 'ann', room: 1 }, { $set: { user: 'eve' } })).toMatchObject({
        modifiedCount: 1,
      });
      expect(await set({ user: 'ann', room: 1 }, { $inc: { seq: 1 } })).toMatchObject({ matchedCount: 0 });
      expect(await set({ user: 'eve', room: 1 }, { $inc: { seq: 5 } })).toMatchObject({ modifiedCount: 1 });
      expect(await set({ _id: 0, seq: 5 }, { $inc: { seq: 1 } })).toMatchObject({ modifiedCount: 1 });
      expect(await marks.deleteOne({ user: 'bob', room: 1 }, { session })).toMatchObject({ deletedCount: 1 });
      expect(await set({ user: 'bob', room: 1 }, { $inc: { seq: 1 } })).toMatchObject({ matchedCount: 0 });
      expect(await set({ _id: 1 }, { $inc: { seq: 1 } })).toMatchObject({ matchedCount: 0 });
      expect(
        await set({ user: 'bob', room: 1 }, { $max: { seq: 9 }, $setOnInsert: { _id: 7 } }, true),
      ).toMatchObject({
        upsertedId: 7,
      });
      expect(await set({ user: 'bob', room: 1 }, { $max: { seq: 8 } })).toMatchObject({
        matchedCount: 1,
        modifiedCount: 0,
      });
    });
    await session.endSession();
    expect(await marks.find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: 0, user: 'eve', room: 1, seq: 6 },
      { _id: 2, user: 'cid', room: 1, seq: 0 },
      { _id: 7, user: 'bob', room: 1, seq: 9 },
    ]);
    expect(
      await marks.findOneAndUpdate({ _id: 7 }, { $unset: { room: '' } }, { returnDocument: 'after' }),
    ).toEqual({
      _id: 7,
      user: 'bob',
      seq: 9,
    });
  });
});
