import { EJSON } from 'bson';
import { fromPlain, toPlain } from '../src/bson/codec';
import type { Document, Value } from '../src/bson/types';
import { compileFilter } from '../src/query/matcher';
import { compileProjection } from '../src/query/projection';

const doc = (plain: unknown) => fromPlain(plain) as Document;
const show = (value: Value) => EJSON.stringify(toPlain(value), { relaxed: false });

const document = {
  _id: 1,
  a: 5,
  o: { x: 1, y: { z: 2, w: 3 } },
  r: [1, 2, 3, 4],
  d: [{ k: 1, v: 'a' }, 7, { k: 2, v: 'b' }, [{ k: 3, v: 'c' }]],
};

function expectProjected(projection: unknown, expected: unknown, filter?: unknown): void {
  const compiled = compileProjection(doc(projection), {
    filter: filter === undefined ? undefined : compileFilter(doc(filter)),
  });
  expect(show(compiled.apply(doc(document)))).toBe(show(fromPlain(expected)));
}

function codeOf(projection: unknown, filter: unknown = {}): unknown {
  try {
    compileProjection(doc(projection), { filter: compileFilter(doc(filter)) }).apply(doc(document));
  } catch (error) {
    return (error as { code: number }).code;
  }
  return 'no error';
}

test('no projection gives the document itself', () => {
  for (const spec of [undefined, doc({})]) {
    const projection = compileProjection(spec);
    const given = doc(document);
    expect(projection.isIdentity).toBe(true);
    expect(projection.apply(given)).toBe(given);
  }
});

test.each<[string, unknown, unknown]>([
  ['inclusion keeps the order of the document', { o: 1, a: true }, { _id: 1, a: 5, o: document.o }],
  ['_id alone', { _id: 1 }, { _id: 1 }],
  ['without _id', { a: 1, _id: 0 }, { a: 5 }],
  ['only without _id', { _id: 0, d: 0, r: 0, o: false }, { a: 5 }],
  ['exclusion with _id named', { _id: 1, d: 0, r: 0, o: 0 }, { _id: 1, a: 5 }],
  ['paths into documents', { 'o.y.z': 1 }, { _id: 1, o: { y: { z: 2 } } }],
  ['nested specifications', { o: { y: { z: 1 }, x: 1 } }, { _id: 1, o: { x: 1, y: { z: 2 } } }],
  [
    'paths through arrays leave out what has no fields',
    { 'd.k': 1 },
    { _id: 1, d: [{ k: 1 }, { k: 2 }, [{ k: 3 }]] },
  ],
  ['paths through scalars give nothing', { 'a.x': 1 }, { _id: 1 }],
  ['a number is no index', { 'r.0': 1 }, { _id: 1, r: [] }],
  [
    'exclusion through arrays',
    { 'd.k': 0, o: 0, r: 0, a: 0 },
    { _id: 1, d: [{ v: 'a' }, 7, { v: 'b' }, [{ v: 'c' }]] },
  ],
  ['slice from the front', { r: { $slice: 2 }, o: 0, d: 0 }, { _id: 1, a: 5, r: [1, 2] }],
  ['slice of nothing', { r: { $slice: 0 }, o: 0, d: 0 }, { _id: 1, a: 5, r: [] }],
  ['slice from the end', { r: { $slice: -3 }, a: 1 }, { _id: 1, a: 5, r: [2, 3, 4] }],
  ['slice beyond the start', { r: { $slice: [-9, 2] }, a: 1 }, { _id: 1, a: 5, r: [1, 2] }],
  ['slice past the end', { r: { $slice: [9, 2] }, a: 1 }, { _id: 1, a: 5, r: [] }],
  ['slice of a scalar', { a: { $slice: 1 }, _id: 1, o: 0, r: 0, d: 0 }, { _id: 1, a: 5 }],
  ['slice in an expression', { s: { $slice: ['$r', 1, 2] } }, { _id: 1, s: [2, 3] }],
  ['elemMatch', { d: { $elemMatch: { k: { $gt: 1 } } } }, { _id: 1, d: [{ k: 2, v: 'b' }] }],
  ['elemMatch of values', { r: { $elemMatch: { $gt: 2 } } }, { _id: 1, r: [3] }],
  ['elemMatch without a match', { r: { $elemMatch: { $gt: 20 } }, a: 1 }, { _id: 1, a: 5 }],
  ['elemMatch of a scalar', { a: { $elemMatch: { $gt: 2 } } }, { _id: 1 }],
  ['expressions come after the fields', { s: { $add: ['$a', 1] }, o: 1 }, { _id: 1, o: document.o, s: 6 }],
  ['a field path', { s: '$o.x' }, { _id: 1, s: 1 }],
  ['a missing path computes nothing', { s: '$nope' }, { _id: 1 }],
  ['a literal', { s: 'x', a: 1 }, { _id: 1, a: 5, s: 'x' }],
  ['an expression in a document', { 'o.s': { $add: ['$a', 1] }, 'o.x': 1 }, { _id: 1, o: { x: 1, s: 6 } }],
])('%s', (_name, projection, expected) => expectProjected(projection, expected));

test('$ is the element that the filter matched', () => {
  expectProjected({ 'r.$': 1 }, { _id: 1, r: [3] }, { r: { $gt: 2 } });
  expectProjected({ 'd.$': 1, a: 1 }, { _id: 1, a: 5, d: [{ k: 2, v: 'b' }] }, { 'd.k': 2 });
  expectProjected({ 'd.$': 1 }, { _id: 1, d: [{ k: 2, v: 'b' }] }, { d: { $elemMatch: { k: 2 } } });
});

test('the text score', () => {
  const projection = compileProjection(doc({ score: { $meta: 'textScore' }, a: 1 }));
  expect(projection.usesTextScore).toBe(true);
  expect(show(projection.apply(doc(document), { textScore: 1.5 }))).toBe(
    show(doc({ _id: 1, a: 5, score: 1.5 })),
  );
  const all = compileProjection(doc({ score: { $meta: 'textScore' } }));
  expect([...all.apply(doc(document), { textScore: 1 }).keys()]).toEqual([
    '_id',
    'a',
    'o',
    'r',
    'd',
    'score',
  ]);
});

test.each<[string, number, unknown]>([
  ['exclusion in an inclusion', 2, { a: 1, r: 0 }],
  ['inclusion in an exclusion', 2, { a: 0, r: 1 }],
  ['an expression in an exclusion', 2, { a: 0, s: { $add: [1, 1] } }],
  ['elemMatch in an exclusion', 2, { a: 0, r: { $elemMatch: { $gt: 1 } } }],
  ['colliding paths', 31249, { o: 1, 'o.x': 1 }],
  ['colliding paths the other way', 31250, { 'o.x': 1, o: 1 }],
  ['elemMatch below the top', 2, { 'o.x': { $elemMatch: { a: 1 } } }],
  ['elemMatch with a number', 2, { r: { $elemMatch: 1 } }],
  ['a slice of text', 2, { r: { $slice: 'x' } }],
  ['a slice of three', 2, { r: { $slice: [1, 2, 3] } }],
  ['a slice of a negative count', 2, { r: { $slice: [1, -2] } }],
  ['two operators', 2, { r: { $slice: 1, $elemMatch: {} } }],
  ['two positionals', 2, { 'r.$': 1, 'd.$': 1 }],
  ['a positional and elemMatch', 2, { 'r.$': 1, d: { $elemMatch: { k: 1 } } }],
  ['a positional that excludes', 2, { 'r.$': 0 }],
  ['a positional in the middle', 2, { 'd.$.k': 1 }],
  ['a positional without a filter', 2, { 'r.$': 1 }],
  ['an unknown operator', 2, { s: { $frob: 1 } }],
  ['an unknown $meta', 2, { s: { $meta: 'frob' } }],
  ['the score without a text query', 40218, { s: { $meta: 'textScore' } }],
  ['an empty part', 15998, { 'a..b': 1 }],
  ['a trailing dot', 40353, { 'a.': 1 }],
  ['a dollar name', 16410, { $a: 1 }],
])('refuses %s', (_name, code, projection) => expect(codeOf(projection)).toBe(code));
