import { Int32 } from 'bson';
import { fromPlain } from '../src/bson/codec';
import type { Document } from '../src/bson/types';
import { compileIndex, encodeKey, type CompiledIndex, type IndexDefinition } from '../src/index/keys';
import { planQuery, type IndexScan, type Plan } from '../src/index/planner';
import { compileCollation } from '../src/query/collation';

const doc = (plain: object): Document => fromPlain(plain) as Document;

type Key = Record<string, 1 | -1>;
type Extra = Partial<IndexDefinition> & { multikeyFields?: number };

function index(key: Key, { multikeyFields = 0, ...extra }: Extra = {}): CompiledIndex {
  const name = Object.entries(key).flat().join('_');
  const state = { multikey: multikeyFields > 0, multikeyFields, truncated: false };
  return compileIndex({ name, key: Object.entries(key), ...extra }, state);
}

const ID = index({ _id: 1 }, { name: '_id_' });

interface Options {
  sort?: Key;
  hint?: string | object;
  collation?: object;
  min?: object;
  max?: object;
}

function plan(
  filter: object,
  indexes: CompiledIndex[],
  { sort, hint, collation, min, max }: Options = {},
): Plan {
  return planQuery({
    filter: doc(filter),
    indexes: [ID, ...indexes],
    sort: sort && doc(sort),
    hint: typeof hint === 'object' ? doc(hint) : hint,
    collator: collation && compileCollation(doc(collation)),
    min: min && doc(min),
    max: max && doc(max),
  });
}

const scan = (...args: Parameters<typeof plan>): IndexScan => plan(...args) as IndexScan;
const chosen = (...args: Parameters<typeof plan>): string => {
  const found = plan(...args);
  return found.stage === 'IXSCAN' ? found.index.definition.name : found.stage;
};

test('a page of history reads its own entries only, backwards, and checks no document', () => {
  const page = scan({ ch: 7, seq: { $lt: 100 } }, [index({ ch: 1, seq: 1 })], { sort: { seq: -1 } });
  expect(page).toMatchObject({
    reverse: true,
    residual: false,
    providesSort: true,
    mergeSort: false,
    deduplicate: false,
  });
  expect(page.ranges).toHaveLength(1);
  const key = (seq: number): Buffer => encodeKey([new Int32(7), new Int32(seq)], [1, 1]);
  expect(Buffer.compare(page.ranges[0]!.upper, key(100))).toBeLessThanOrEqual(0);
  expect(Buffer.compare(page.ranges[0]!.upper, key(99))).toBeGreaterThan(0);
  expect(Buffer.compare(page.ranges[0]!.lower, key(-5))).toBeLessThanOrEqual(0);
});

test('several values before the sort are merged', () => {
  const merged = scan({ ch: { $in: [3, 1, 2] } }, [index({ ch: 1, seq: 1 })], { sort: { seq: -1 } });
  expect(merged).toMatchObject({ providesSort: true, mergeSort: true, reverse: true, residual: false });
  expect(merged.ranges).toHaveLength(3);
});

test('the page after a cursor of two fields starts at the cursor', () => {
  const filter = { ch: 1, $or: [{ at: { $lt: 9 } }, { at: 9, _id: { $lt: 5 } }] };
  const page = scan(filter, [index({ ch: 1, at: -1, _id: -1 })], { sort: { at: -1, _id: -1 } });
  expect(page).toMatchObject({ providesSort: true, residual: true, reverse: false });
  expect(page.ranges.length).toBeLessThanOrEqual(2);
  expect(
    Buffer.compare(page.ranges[0]!.lower, encodeKey([new Int32(1), new Int32(10)], [1, -1])),
  ).toBeGreaterThan(0);
});

test('which index is taken', () => {
  const [a, ab, abs, u] = [
    index({ a: 1 }),
    index({ a: 1, b: 1 }),
    index({ a: 1, s: 1 }),
    index({ u: 1 }, { unique: true }),
  ];
  expect(chosen({ _id: 1, a: 1 }, [a, ab])).toBe('IDHACK');
  expect(chosen({ a: 1, b: 2 }, [a, ab])).toBe('a_1_b_1');
  expect(chosen({ a: 1 }, [a, ab])).toBe('a_1');
  expect(chosen({ a: 1 }, [a, abs], { sort: { s: -1 } })).toBe('a_1_s_1');
  expect(chosen({ a: 1, b: 1, u: 1 }, [ab, u])).toBe('u_1');
  expect(chosen({ b: 1 }, [a, ab])).toBe('COLLSCAN');
  expect(chosen({}, [a, ab], { sort: { a: -1, b: -1 } })).toBe('a_1_b_1');
  expect(chosen({}, [a, ab], { sort: { a: -1, b: 1 } })).toBe('COLLSCAN');
  expect(chosen({ $or: [{ a: 1 }, { u: 2 }] }, [a, u])).toBe('OR');
  expect(chosen({ $or: [{ a: 1 }, { z: 2 }] }, [a, u])).toBe('COLLSCAN');
  expect(chosen({ a: { $in: [] } }, [a])).toBe('EOF');
  expect(chosen({ a: { $gt: 5, $lt: 3 } }, [a])).toBe('EOF');
});

test('an index that lacks documents is left alone', () => {
  const sparse = index({ a: 1 }, { sparse: true });
  const partial = index({ a: 1 }, { partialFilterExpression: doc({ b: { $exists: true } }) });
  const above = index({ a: 1 }, { partialFilterExpression: doc({ b: { $gt: 5 } }) });
  expect(chosen({ a: 5 }, [sparse])).toBe('a_1');
  expect(chosen({ a: null }, [sparse])).toBe('COLLSCAN');
  expect(chosen({ a: { $lte: null } }, [sparse])).toBe('COLLSCAN');
  expect(chosen({ a: { $ne: 1 } }, [sparse])).toBe('COLLSCAN');
  expect(chosen({ a: { $exists: false } }, [sparse])).toBe('COLLSCAN');
  expect(chosen({ a: { $in: [1, null] } }, [sparse])).toBe('COLLSCAN');
  expect(chosen({}, [sparse], { sort: { a: 1 } })).toBe('COLLSCAN');
  expect(chosen({ a: 1, b: 5 }, [partial])).toBe('a_1');
  expect(chosen({ a: 1, b: { $lte: null } }, [partial])).toBe('COLLSCAN');
  expect(chosen({ a: 1, b: { $ne: null } }, [partial])).toBe('a_1');
  expect(chosen({ a: 1, b: { $not: { $gt: 1 } } }, [partial])).toBe('COLLSCAN');
  expect(chosen({ a: 1, b: { $gt: 5 } }, [above])).toBe('a_1');
  expect(chosen({ a: 1, b: { $gte: 5 } }, [above])).toBe('COLLSCAN');
  expect(chosen({ a: 1, b: { $in: [6, 7] } }, [above])).toBe('a_1');
  expect(chosen({ a: 1, b: { $in: [6, 7, null] } }, [above])).toBe('COLLSCAN');
  expect(chosen({ a: 1, $or: [{ b: 6 }, { b: { $gt: 8 } }] }, [above])).toBe('a_1');
});

test('a collation has to be the index’s own where strings are compared', () => {
  const ci = index({ a: 1 }, { collation: doc({ locale: 'en', strength: 2 }) });
  const collation = { locale: 'en', strength: 2 };
  expect(chosen({ a: 'x' }, [ci], { collation })).toBe('a_1');
  expect(chosen({ a: 'x' }, [ci])).toBe('COLLSCAN');
  expect(chosen({ a: 5 }, [ci])).toBe('a_1');
  expect(scan({ a: { $gt: 'x' } }, [ci], { collation })).toMatchObject({ residual: true });
  expect(scan({ a: 'x' }, [ci], { collation, sort: { a: 1 } })).toMatchObject({ providesSort: false });
});

test('an _id is looked up under the collation of its index only', () => {
  const collation = { locale: 'en', strength: 2 };
  const own = index({ _id: 1 }, { name: '_id_', collation: doc(collation) });
  const stage = (id: unknown, options: { collation?: object }): string =>
    planQuery({
      filter: doc({ _id: id }),
      indexes: [own],
      collator: options.collation && compileCollation(doc(options.collation)),
    }).stage;
  expect(stage('Ann', { collation })).toBe('IDHACK');
  expect(stage('Ann', {})).toBe('COLLSCAN');
  expect(stage(5, {})).toBe('IDHACK');
  expect(chosen({ _id: 'Ann' }, [], { collation })).toBe('COLLSCAN');
});

test('arrays loosen bounds', () => {
  const tags = index({ tags: 1, at: -1 }, { multikeyFields: 1 });
  expect(scan({ tags: 'x' }, [tags], { sort: { at: -1 } })).toMatchObject({
    providesSort: true,
    residual: true,
    deduplicate: false,
  });
  expect(scan({ tags: { $in: ['x', 'y'] } }, [tags])).toMatchObject({ deduplicate: true });
  expect(scan({ tags: 'x' }, [tags], { sort: { tags: 1, at: 1 } })).toMatchObject({ providesSort: false });
  const pairs = index({ 'a.b': 1, 'a.c': 1 }, { multikeyFields: 3 });
  const apart = scan({ 'a.b': 1, 'a.c': 2 }, [pairs]).ranges[0]!;
  const together = scan({ a: { $elemMatch: { b: 1, c: 2 } } }, [pairs]).ranges[0]!;
  expect(together.lower.length).toBeGreaterThan(apart.lower.length);
});

test('hints, min and max', () => {
  const ab = index({ a: 1, b: -1 });
  expect(chosen({}, [ab], { hint: 'a_1_b_-1' })).toBe('a_1_b_-1');
  expect(chosen({ a: 1 }, [ab], { hint: { a: 1, b: -1 } })).toBe('a_1_b_-1');
  expect(plan({ a: 1 }, [ab], { hint: { $natural: -1 } })).toMatchObject({
    stage: 'COLLSCAN',
    reverse: true,
  });
  const range = scan({}, [ab], { hint: 'a_1_b_-1', min: { a: 1, b: 5 }, max: { a: 2, b: 5 } }).ranges[0]!;
  expect(range.lower).toEqual(encodeKey([new Int32(1), new Int32(5)], [1, -1]));
  const code = (value: number): Error => expect.objectContaining({ code: value });
  expect(() => plan({}, [ab], { hint: 'nope' })).toThrow(code(2));
  expect(() => plan({}, [ab], { hint: { a: 1 } })).toThrow(code(2));
  expect(() => plan({}, [ab], { min: { a: 1, b: 1 } })).toThrow(code(51173));
  expect(() => plan({}, [ab], { hint: 'a_1_b_-1', min: { a: 1 } })).toThrow(code(51174));
  expect(() => plan({}, [ab], { hint: 'a_1_b_-1', min: { a: 2, b: 1 }, max: { a: 1, b: 1 } })).toThrow(
    code(51175),
  );
  expect(() => plan({ $text: { $search: 'x' } }, [ab])).toThrow(code(27));
});
