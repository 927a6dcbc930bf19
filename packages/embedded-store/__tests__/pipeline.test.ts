import { EJSON } from 'bson';
import fc from 'fast-check';
import { compilePipeline } from '../src/aggregate/pipeline';
import type { Access } from '../src/aggregate/stage';
import { fromPlain, toPlain } from '../src/bson/codec';
import type { Document, Value } from '../src/bson/types';
import { compileFilter } from '../src/query/matcher';

const COLLECTIONS: Record<string, object[]> = {
  people: [
    { _id: 1, name: 'ann', boss: null, tags: ['a', 'b'] },
    { _id: 2, name: 'bob', boss: 1, tags: [] },
    { _id: 3, name: 'cid', boss: 2 },
    { _id: 4, name: 'dan', boss: 2, tags: 'x' },
  ],
  notes: [
    { _id: 10, by: 1, text: 'one', at: { day: 1 } },
    { _id: 11, by: 1, text: 'two', at: { day: 2 } },
    { _id: 12, by: 3, text: 'three' },
  ],
};

/** Plain numbers in the place of BSON's. */
const numbersOf = (value: unknown): unknown =>
  EJSON.serialize({ value }, { relaxed: true })['value'] as unknown;

/** Runs a pipeline from its first stage on, as nothing has read its prefix for it. */
function run(collection: string, stages: object[]): unknown[] {
  const wrapped = compilePipeline([fromPlain({ $facet: { out: stages } })]);
  const access: Access = {
    *find(name, filter, options) {
      const matcher = compileFilter(filter, { variables: options.variables });
      const found = documents(name).filter((document) => matcher.matches(document));
      const rest = [
        ...(options.sort ? [new Map<string, Value>([['$sort', options.sort]])] : []),
        ...(options.skip ? [fromPlain({ $skip: options.skip })] : []),
        ...(options.limit ? [fromPlain({ $limit: options.limit })] : []),
      ];
      const [made] = [
        ...compilePipeline([new Map([['$facet', new Map([['out', rest]])]])]).run(found, access),
      ];
      yield* made?.get('out') as Document[];
    },
  };
  const [result] = [...wrapped.run(documents(collection), access)];
  return numbersOf(toPlain(result?.get('out') as Value)) as unknown[];
}

function documents(name: string): Document[] {
  return (COLLECTIONS[name] ?? []).map((plain) => fromPlain(plain) as Document);
}

const codeOf = (stages: unknown[]): number | undefined => {
  try {
    compilePipeline(fromPlain(stages) as Value[]);
    return undefined;
  } catch (error) {
    return (error as { code: number }).code;
  }
};

describe('aggregation stages', () => {
  it('$project takes, drops and computes', () => {
    expect(run('notes', [{ $project: { text: 1, 'at.day': 1 } }, { $limit: 1 }])).toEqual([
      { _id: 10, text: 'one', at: { day: 1 } },
    ]);
    expect(run('notes', [{ $project: { _id: 0, n: '$at.day', gone: '$nope' } }])).toEqual([
      { n: 1 },
      { n: 2 },
      {},
    ]);
    expect(run('notes', [{ $project: { at: 0, text: 0 } }, { $limit: 1 }])).toEqual([{ _id: 10, by: 1 }]);
    expect(
      run('notes', [{ $project: { at: { day: { $literal: 5 }, other: '$by' } } }, { $limit: 1 }]),
    ).toEqual([{ _id: 10, at: { day: 5, other: 1 } }]);
  });

  it('$addFields sets inside of documents and arrays', () => {
    expect(
      run('people', [{ $match: { _id: 1 } }, { $addFields: { 'tags.x': 1, name: '$$REMOVE' } }]),
    ).toEqual([{ _id: 1, boss: null, tags: [{ x: 1 }, { x: 1 }] }]);
    expect(run('notes', [{ $match: { _id: 12 } }, { $set: { 'at.day': 9 } }, { $unset: 'text' }])).toEqual([
      { _id: 12, by: 3, at: { day: 9 } },
    ]);
  });

  it('$unwind', () => {
    expect(run('people', [{ $unwind: '$tags' }, { $project: { tags: 1 } }])).toEqual([
      { _id: 1, tags: 'a' },
      { _id: 1, tags: 'b' },
      { _id: 4, tags: 'x' },
    ]);
  });

  it('$lookup by field, by pipeline and by both', () => {
    const byField = { $lookup: { from: 'notes', localField: '_id', foreignField: 'by', as: 'notes' } };
    expect(run('people', [byField, { $project: { n: { $size: '$notes' } } }])).toEqual([
      { _id: 1, n: 2 },
      { _id: 2, n: 0 },
      { _id: 3, n: 1 },
      { _id: 4, n: 0 },
    ]);
    // A missing local value is null, and null finds missing fields too.
    const missing = { $lookup: { from: 'notes', localField: 'at.day', foreignField: 'at.day', as: 'same' } };
    expect(run('notes', [{ $match: { _id: 12 } }, missing, { $project: { 'same._id': 1 } }])).toEqual([
      { _id: 12, same: [{ _id: 12 }] },
    ]);
    const both = {
      $lookup: {
        from: 'notes',
        localField: '_id',
        foreignField: 'by',
        let: { name: '$name' },
        pipeline: [{ $sort: { _id: -1 } }, { $limit: 1 }, { $project: { _id: 1, who: '$$name' } }],
        as: 'last',
      },
    };
    expect(run('people', [{ $match: { _id: 1 } }, both, { $project: { last: 1 } }])).toEqual([
      { _id: 1, last: [{ _id: 11, who: 'ann' }] },
    ]);
  });

  it('keeps a missing $lookup variable missing', () => {
    const lookup = {
      $lookup: {
        from: 'notes',
        let: { d: '$nope' },
        pipeline: [{ $match: { $expr: { $eq: ['$at.day', '$$d'] } } }],
        as: 'found',
      },
    };
    expect(run('people', [{ $match: { _id: 1 } }, lookup, { $project: { 'found._id': 1 } }])).toEqual([
      { _id: 1, found: [{ _id: 12 }] },
    ]);
  });

  it('$graphLookup follows to a depth', () => {
    const chain = (maxDepth?: number): object => ({
      $graphLookup: {
        from: 'people',
        startWith: '$boss',
        connectFromField: 'boss',
        connectToField: '_id',
        as: 'chain',
        depthField: 'depth',
        ...(maxDepth === undefined ? {} : { maxDepth }),
      },
    });
    const shape = { $project: { 'chain._id': 1, 'chain.depth': 1 } };
    expect(run('people', [{ $match: { _id: 4 } }, chain(), shape])).toEqual([
      {
        _id: 4,
        chain: [
          { _id: 2, depth: 0 },
          { _id: 1, depth: 1 },
        ],
      },
    ]);
    expect(run('people', [{ $match: { _id: 4 } }, chain(0), shape])).toEqual([
      { _id: 4, chain: [{ _id: 2, depth: 0 }] },
    ]);
  });

  it('$unionWith, $documents, $redact', () => {
    expect(
      run('people', [
        { $limit: 1 },
        { $unionWith: { coll: 'notes', pipeline: [{ $limit: 1 }] } },
        { $count: 'n' },
      ]),
    ).toEqual([{ n: 2 }]);
    expect(
      run('people', [{ $limit: 0.5 + 0.5 }, { $unionWith: { pipeline: [{ $documents: [{ a: 1 }] }] } }])[1],
    ).toEqual({
      a: 1,
    });
    const redact = { $redact: { $cond: [{ $eq: ['$day', 1] }, '$$PRUNE', '$$DESCEND'] } };
    expect(run('notes', [redact, { $project: { at: 1 } }])).toEqual([
      { _id: 10 },
      { _id: 11, at: { day: 2 } },
      { _id: 12 },
    ]);
  });

  it('$bucket, $bucketAuto, $sortByCount, $sample', () => {
    const auto = { $bucketAuto: { groupBy: '$_id', buckets: 2, output: { ids: { $push: '$_id' } } } };
    expect(run('people', [auto])).toEqual([
      { _id: { min: 1, max: 3 }, ids: [1, 2] },
      { _id: { min: 3, max: 4 }, ids: [3, 4] },
    ]);
    expect(run('notes', [{ $sortByCount: '$by' }])).toEqual([
      { _id: 1, count: 2 },
      { _id: 3, count: 1 },
    ]);
    expect(run('people', [{ $sample: { size: 2 } }])).toHaveLength(2);
    expect(run('people', [{ $sample: { size: 9 } }])).toHaveLength(4);
  });

  it('accumulators', () => {
    const group = {
      $group: {
        _id: null,
        set: { $addToSet: '$boss' },
        last: { $last: '$name' },
        top: { $top: { sortBy: { _id: -1 }, output: '$name' } },
        bottomN: { $bottomN: { n: 2, sortBy: { _id: -1 }, output: '$name' } },
        firstN: { $firstN: { n: 2, input: '$_id' } },
        lastN: { $lastN: { n: 2, input: '$_id' } },
        maxN: { $maxN: { n: 2, input: '$_id' } },
        n: { $count: {} },
        sd: { $stdDevSamp: '$_id' },
        merged: { $mergeObjects: '$at' },
      },
    };
    expect(run('people', [group])).toEqual([
      {
        _id: null,
        set: [null, 1, 2],
        last: 'dan',
        top: 'dan',
        bottomN: ['bob', 'ann'],
        firstN: [1, 2],
        lastN: [3, 4],
        maxN: [4, 3],
        n: 4,
        sd: Math.sqrt(5 / 3),
        merged: {},
      },
    ]);
  });

  it('groups numbers of all types by their value', () => {
    const rows = compilePipeline(
      fromPlain([
        {
          $documents: [
            { v: { $toLong: 1 } },
            { v: { $toDouble: 1 } },
            { v: { $toDecimal: '1.0' } },
            { v: 1.5 },
            { v: { $toDecimal: '1.50' } },
          ],
        },
        { $group: { _id: '$v', n: { $sum: 1 } } },
      ]) as Value[],
    );
    const none: Access = { find: () => [] };
    expect([...rows.run([], none)].map((row) => numbersOf(toPlain(row.get('n') as Value)))).toEqual([3, 2]);
  });
});

describe('the specification of stages', () => {
  it.each([
    [[{ $limit: 'x' }], 15957],
    [[{ $limit: 0 }], 15958],
    [[{ $skip: 'x' }], 15972],
    [[{ $skip: -1 }], 15956],
    [[{ $sort: 1 }], 15973],
    [[{ $sort: {} }], 15976],
    [[{ $sort: { a: 2 } }], 15975],
    [[{ $sort: { a: 'x' } }], 15974],
    [[{ $sort: { a: { $frob: 1 } } }], 17312],
    [[{ $match: 1 }], 15959],
    [[{ $project: 1 }], 15969],
    [[{ $project: {} }], 40177],
    [[{ $project: { a: 1, b: 0 } }], 40178],
    [[{ $project: { a: 0, b: 1 } }], 40179],
    [[{ $project: { a: 0, b: { $add: [1] } } }], 40182],
    [[{ $project: { a: 1, 'a.b': 1 } }], 40176],
    [[{ $project: { a: {} } }], 40180],
    [[{ $project: { a: { $add: [1], b: 1 } } }], 40181],
    [[{ $project: { a: { 'b.c': 1 } } }], 40183],
    [[{ $addFields: 1 }], 40272],
    [[{ $group: 1 }], 15947],
    [[{ $group: {} }], 15955],
    [[{ $group: { _id: 1, a: { $frob: 1 } } }], 15952],
    [[{ $group: { _id: 1, a: { $sum: 1, $avg: 1 } } }], 40238],
    [[{ $group: { _id: 1, a: { $sum: [1, 2] } } }], 40237],
    [[{ $group: { _id: 1, 'a.b': { $sum: 1 } } }], 40235],
    [[{ $unwind: 1 }], 15981],
    [[{ $unwind: 'a' }], 28818],
    [[{ $unwind: { path: '$a', frob: 1 } }], 28811],
    [[{ $replaceRoot: {} }], 40231],
    [[{ $count: '' }], 40157],
    [[{ $count: '$a' }], 40158],
    [[{ $count: 'a.b' }], 40160],
    [[{ $sample: { size: -1 } }], 28747],
    [[{ $sample: {} }], 28749],
    [[{ $facet: {} }], 40169],
    [[{ $facet: { a: 1 } }], 40170],
    [[{ $facet: { a: [{ $facet: { b: [] } }] } }], 40600],
    [[{ $out: 'x' }, { $limit: 1 }], 40601],
    [[{ $out: 1 }], 16990],
    [[{ $lookup: { from: 'x', as: 'y' } }], 9],
    [[{ $lookup: { from: 'x', as: 'y', pipeline: [{ $frob: 1 }] } }], 40324],
    [[{ $lookup: { from: 'x', as: 'y', let: { a: '$$b' }, pipeline: [] } }], 17276],
    [[{ $bucket: { groupBy: '$a', boundaries: [1] } }], 40192],
    [[{ $bucket: { groupBy: '$a', boundaries: [2, 1] } }], 40194],
    [[{ $bucket: { groupBy: '$a', boundaries: [1, 'x'] } }], 40193],
    [[{ $bucket: { groupBy: 'a', boundaries: [1, 2] } }], 40202],
    [[{ $bucketAuto: { groupBy: '$a', buckets: 0 } }], 40243],
    [[{ $sortByCount: 'a' }], 40148],
    [[{ $graphLookup: { from: 'x' } }], 40105],
    [[{ $limit: 1 }, { $match: { $text: { $search: 'x' } } }], 17313],
    [[1], 14],
    [[{}], 40323],
  ])('%j is refused with %i', (stages, code) => {
    expect(codeOf(stages)).toBe(code);
  });
});

describe('the prefix of a pipeline', () => {
  const prefixOf = (...stages: object[]): unknown => {
    const { prefix } = compilePipeline(fromPlain(stages) as Value[]);
    return numbersOf(
      Object.fromEntries(
        Object.entries(prefix)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => [key, value instanceof Map ? toPlain(value) : (value as unknown)]),
      ),
    );
  };

  it('combines matches, a sort, skips and limits', () => {
    expect(
      prefixOf(
        { $match: { a: 1 } },
        { $sort: { b: 1 } },
        { $match: { c: 2 } },
        { $skip: 2 },
        { $limit: 5 },
        { $skip: 1 },
      ),
    ).toEqual({
      filter: { $and: [{ a: 1 }, { c: 2 }] },
      sort: { b: 1 },
      skip: 3,
      limit: 4,
      stages: 6,
    });
    expect(prefixOf({ $limit: 5 }, { $sort: { a: 1 } })).toEqual({ limit: 5, stages: 1 });
    expect(prefixOf({ $limit: 2 }, { $skip: 2 })).toEqual({ limit: 2, stages: 1 });
  });

  it('adds conditions of $expr in the query language', () => {
    expect(prefixOf({ $match: { $expr: { $eq: ['$a', 5] } } })).toEqual({
      filter: { $and: [{ a: { $eq: 5 } }, { $expr: { $eq: ['$a', 5] } }] },
      stages: 1,
    });
    expect(prefixOf({ $match: { $expr: { $gt: ['$a', 5] } } })).toMatchObject({
      filter: { $expr: { $gt: ['$a', 5] } },
    });
  });
});

describe('$match, $sort and $group together', () => {
  const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom('a', 'b', null));
  const row = fc.record({ g: value, v: fc.integer({ min: -9, max: 9 }) });
  const rank = (item: number | string | null): number =>
    item === null ? 0 : typeof item === 'number' ? 1 : 2;

  it('return what a plain program returns', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 30 }), fc.integer({ min: -9, max: 9 }), (rows, least) => {
        const groups = new Map<
          string | number | null,
          { _id: unknown; n: number; sum: number; all: number[] }
        >();
        const sorted = rows.filter(({ v }) => v >= least).sort((a, b) => b.v - a.v);
        for (const { g, v } of sorted) {
          const group = groups.get(g) ?? { _id: g, n: 0, sum: 0, all: [] };
          groups.set(g, { ...group, n: group.n + 1, sum: group.sum + v, all: [...group.all, v] });
        }
        const expected = [...groups.entries()]
          .sort(([a], [b]) => rank(a) - rank(b) || (a === b ? 0 : (a ?? 0) < (b ?? 0) ? -1 : 1))
          .map(([, group]) => group);
        COLLECTIONS['rows'] = rows;
        const found = run('rows', [
          { $match: { v: { $gte: least } } },
          { $sort: { v: -1 } },
          { $group: { _id: '$g', n: { $sum: 1 }, sum: { $sum: '$v' }, all: { $push: '$v' } } },
          { $sort: { _id: 1 } },
        ]);
        expect(found).toEqual(expected);
      }),
    );
  });
});
