import { Double, Int32, Long } from 'bson';
import fc from 'fast-check';
import { fromPlain } from '../src/bson/codec';
import type { Document } from '../src/bson/types';
import { compileCollation } from '../src/query/collation';
import { compileSort } from '../src/query/sort';
import { Sorter } from '../src/query/sorter';

const doc = (plain: unknown) => fromPlain(plain) as Document;

/** Indexes of the documents in sorted order. */
function sorted(spec: unknown, documents: unknown[], limit?: number): number[] {
  const sorter = new Sorter<number>(compileSort(doc(spec)), { limit });
  documents.forEach((plain, i) => sorter.add(i, doc(plain), 10));
  return sorter.finish();
}

test('an empty array is below null, which equals a missing field; then the types in their order', () => {
  expect(
    sorted({ a: 1 }, [{ a: 'x' }, { a: 1 }, {}, { a: null }, { a: [] }, { a: {} }, { a: true }]),
  ).toEqual([4, 2, 3, 1, 0, 5, 6]);
});

test('an array counts as its least element going up and its greatest going down', () => {
  const documents = [{ a: [5, 1] }, { a: 2 }, { a: [3, 4] }, { a: [[0]] }];
  expect(sorted({ a: 1 }, documents)).toEqual([0, 1, 2, 3]);
  expect(sorted({ a: -1 }, documents)).toEqual([3, 0, 2, 1]);
});

test('paths go into documents and through arrays of them', () => {
  const documents = [
    { a: [{ b: 5 }, { b: 2 }] },
    { a: { b: 3 } },
    { a: [{ b: 1 }, 7] },
    { a: [{ c: 1 }] },
    { a: [] },
  ];
  expect(sorted({ 'a.b': 1 }, documents)).toEqual([2, 3, 4, 0, 1]);
  expect(sorted({ 'a.b': -1 }, documents)).toEqual([0, 1, 2, 3, 4]);
  expect(sorted({ 'a.1': 1 }, [{ a: [1, 9] }, { a: [5, 2] }])).toEqual([1, 0]);
});

test('two paths through one array take their values from one element', () => {
  const documents = [
    {
      a: [
        { b: 1, c: 9 },
        { b: 2, c: 0 },
      ],
    },
    { a: [{ b: 1, c: 5 }] },
  ];
  expect(sorted({ 'a.b': 1, 'a.c': 1 }, documents)).toEqual([1, 0]);
});

test('refuses paths through two arrays, directions that are none, and other $meta', () => {
  expect(() => sorted({ a: 1, b: 1 }, [{ a: [1], b: [2] }])).toThrow('parallel arrays');
  for (const order of [0, 2, 'x', true, null, {}, { $meta: 'frob' }]) {
    expect(() => compileSort(doc({ a: order }))).toThrow(expect.objectContaining({ code: 2 }));
  }
  for (const order of [new Int32(1), new Double(-1), Long.fromNumber(1)]) {
    expect(() => compileSort(doc({ a: order }))).not.toThrow();
  }
});

test('equal documents keep their order, with a limit too', () => {
  const documents = Array.from({ length: 5000 }, (_, i) => ({ a: i % 3 }));
  const all = sorted({ a: -1 }, documents);
  expect(all.slice(0, 3)).toEqual([2, 5, 8]);
  expect(sorted({ a: -1 }, documents, 7)).toEqual(all.slice(0, 7));
});

test('a limit gives the first of the whole sort', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 60 }), fc.nat(20), (values, limit) => {
      const documents = values.map((a) => ({ a }));
      const first = sorted({ a: 1 }, documents, limit);
      expect(first).toEqual(sorted({ a: 1 }, documents).slice(0, limit));
    }),
  );
});

test('strings go by the collation, the score by its height', () => {
  const collator = compileCollation(doc({ locale: 'en', strength: 2 }));
  const sort = compileSort(doc({ a: 1 }), { collator });
  expect(sort.compare(doc({ a: 'B' }), doc({ a: 'a' }))).toBeGreaterThan(0);
  const byScore = compileSort(doc({ s: { $meta: 'textScore' }, a: 1 }));
  expect(byScore.usesTextScore).toBe(true);
  const [low, high] = [1, 2].map((textScore) => byScore.key(doc({ a: 1 }), { textScore }));
  expect(byScore.compareKeys(high ?? [], low ?? [])).toBeLessThan(0);
});

test('more than the memory limit is refused, what a limit forgets is not counted', () => {
  const sort = compileSort(doc({ a: 1 }));
  const fill = (sorter: Sorter<number>) => {
    for (let i = 0; i < 100; i++) sorter.add(i, doc({ a: i }), 100);
    return sorter.finish();
  };
  expect(() => fill(new Sorter(sort, { memoryLimit: 5000 }))).toThrow(expect.objectContaining({ code: 292 }));
  expect(fill(new Sorter(sort, { memoryLimit: 5000, limit: 10 }))).toHaveLength(10);
  expect(fill(new Sorter(sort, { memoryLimit: Infinity }))).toHaveLength(100);
});
