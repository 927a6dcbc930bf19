import { Decimal128, Double, EJSON, Int32, Long, Timestamp } from 'bson';
import { fromPlain } from '../src/bson/codec';
import type { Document, Value } from '../src/bson/types';
import { compileCollation } from '../src/query/collation';
import { compileFilter } from '../src/query/matcher';
import { refuseExprInUpsert, upsertDocument } from '../src/update/upsert';
import type { UpdateOptions } from '../src/update/types';
import { compileUpdate } from '../src/update/update';

const now = new Date('2026-01-02T03:04:05.678Z');
const doc = (plain: unknown) => fromPlain(plain) as Document;
/** As text in which the order of fields shows, also of those named by numbers. */
const show = (value: Value): string => EJSON.stringify(entries(value), { relaxed: false });

function apply(
  before: unknown,
  update: unknown,
  options: UpdateOptions & { positional?: number } = {},
): Document {
  const { positional, ...rest } = options;
  const document = doc(before);
  const frozen = show(document);
  const result = compileUpdate(fromPlain(update) as Document, rest).apply(document, {
    insert: false,
    now,
    positional,
  });
  expect(show(document)).toBe(frozen);
  return result;
}

function expectUpdate(
  before: unknown,
  update: unknown,
  after: unknown,
  options: UpdateOptions & { positional?: number } = {},
): void {
  expect(show(apply(before, update, options))).toBe(show(fromPlain(after)));
}

function entries(value: Value): unknown {
  if (Array.isArray(value)) return value.map(entries);
  return value instanceof Map ? { fields: [...value].map(([name, item]) => [name, entries(item)]) } : value;
}

function codeOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return (error as { code: number }).code;
  }
  return 'no error';
}

const refusal = (before: unknown, update: unknown, options: UpdateOptions & { positional?: number } = {}) =>
  codeOf(() => apply(before, update, options));

function unchanged(before: unknown, update: unknown): boolean {
  const document = doc(before);
  return compileUpdate(fromPlain(update) as Document).apply(document, { insert: false, now }) === document;
}

const filters = (...plain: unknown[]): UpdateOptions => ({ arrayFilters: plain.map(fromPlain) });

describe('fields and paths', () => {
  test('new fields come in the order of their names, numbers by value, after the others', () => {
    const result = apply({ _id: 1, z: 1 }, { $set: { b: 1, a: 1, 10: 1, 9: 1 } });
    expect([...result.keys()]).toEqual(['_id', 'z', '9', '10', 'a', 'b']);
  });

  test.each<[string, unknown, unknown, unknown]>([
    [
      'creates documents on the way',
      { a: 1 },
      { $set: { 'x.y.z': 1, 'x.b': 2 } },
      { a: 1, x: { b: 2, y: { z: 1 } } },
    ],
    [
      'reaches into arrays by index',
      { a: [{ b: 1 }, 2] },
      { $set: { 'a.0.b': 5, 'a.1': 6 } },
      { a: [{ b: 5 }, 6] },
    ],
    ['pads an array', { a: [1] }, { $set: { 'a.3.b': 1 } }, { a: [1, null, null, { b: 1 }] }],
    ['makes a document of a number where nothing is', {}, { $set: { 'a.0': 1 } }, { a: { 0: 1 } }],
    ['unset of an element leaves null', { a: [1, 2] }, { $unset: { 'a.1': 1 } }, { a: [1, null] }],
    ['unset through a scalar does nothing', { a: 1 }, { $unset: { 'a.b.c': 1 } }, { a: 1 }],
    ['unset past the end does nothing', { a: [1] }, { $unset: { 'a.4': 1 } }, { a: [1] }],
    ['unset leaves an empty document', { a: { b: 1 } }, { $unset: { 'a.b': 1 } }, { a: {} }],
    [
      'setOnInsert does nothing to a document that is there',
      { a: 1 },
      { $setOnInsert: { 'a.b': 1, c: 1 } },
      { a: 1 },
    ],
    [
      'rename keeps the place of an existing target',
      { a: 1, b: 2, c: 3 },
      { $rename: { c: 'a' } },
      { a: 3, b: 2 },
    ],
    [
      'rename between documents',
      { a: { x: 1, y: 2 } },
      { $rename: { 'a.x': 'b.c' } },
      { a: { y: 2 }, b: { c: 1 } },
    ],
    ['rename of a missing field', { a: 1 }, { $rename: { 'x.y': 'a.b' } }, { a: 1 }],
    [
      'pop, pull and unset of missing paths',
      { a: 1 },
      { $pop: { x: 1 }, $pull: { 'y.z': 1 }, $unset: { w: 1 } },
      { a: 1 },
    ],
  ])('%s', (_name, before, update, after) => expectUpdate(before, update, after));

  test.each<[string, number, unknown, unknown]>([
    ['through a scalar', 28, { a: 1 }, { $set: { 'a.b': 1 } }],
    ['through null', 28, { a: null }, { $set: { 'a.b': 1 } }],
    ['a name in an array', 28, { a: [1] }, { $set: { 'a.b': 1 } }],
    ['pull through a scalar', 28, { a: 1 }, { $pull: { 'a.b': 1 } }],
    ['pop through a scalar', 28, { a: 1 }, { $pop: { 'a.b': 1 } }],
    ['rename from below a scalar', 28, { a: 1 }, { $rename: { 'a.b': 'c' } }],
    ['rename from an element', 2, { a: [{ b: 1 }] }, { $rename: { 'a.0.b': 'c' } }],
    ['rename to an element', 2, { a: [{ b: 1 }], c: 1 }, { $rename: { c: 'a.0.x' } }],
    ['too much padding', 34, { a: [] }, { $set: { 'a.1500001': 1 } }],
    ['an empty path', 56, {}, { $set: { '': 1 } }],
    ['an empty part', 56, {}, { $set: { 'a..b': 1 } }],
    ['a trailing dot', 56, {}, { $unset: { 'a.': 1 } }],
    ['two positionals', 2, {}, { $set: { 'a.$.b.$': 1 } }],
    ['a positional first', 2, {}, { $set: { $: 1 } }],
    ['all elements first', 2, {}, { $set: { '$[].a': 1 } }],
    ['a dollar name', 52, {}, { $set: { $x: 1 } }],
    ['a dollar name inside', 52, {}, { $set: { a: { b: [{ $x: 1 }] } } }],
    ['a half DBRef', 55, {}, { $set: { a: { $id: 1 } } }],
    ['conflict with a parent', 40, {}, { $set: { 'a.b': 1 }, $inc: { a: 1 } }],
    ['conflict with itself', 40, {}, { $set: { a: 1 }, $inc: { a: 1 } }],
    ['conflict with a rename target', 40, { b: 1 }, { $set: { a: 1 }, $rename: { b: 'a' } }],
    ['conflict with a rename source', 40, { b: 1 }, { $set: { b: 1 }, $rename: { b: 'a' } }],
    ['rename to itself', 2, {}, { $rename: { a: 'a' } }],
    ['rename below itself', 2, {}, { $rename: { a: 'a.b' } }],
    ['rename to a number', 2, {}, { $rename: { a: 1 } }],
    ['rename of a positional', 2, { a: [1] }, { $rename: { 'a.$': 'b' } }],
    ['an operator without fields', 9, {}, { $set: 1 }],
    ['a field among operators', 9, {}, { $set: { a: 1 }, b: 1 }],
    ['an _id that changes', 66, { _id: 1 }, { $inc: { _id: 1 } }],
    ['an _id of another type', 66, { _id: 1 }, { $set: { _id: new Double(1) } }],
    ['an _id that goes', 66, { _id: 1 }, { $unset: { _id: 1 } }],
    ['an _id renamed', 66, { _id: 1 }, { $rename: { _id: 'a' } }],
    ['a field of an _id', 66, { _id: { a: 1 } }, { $set: { '_id.b': 1 } }],
  ])('refuses %s', (_name, code, before, update) => expect(refusal(before, update)).toBe(code));

  test('what changes nothing gives the same document', () => {
    const before = { _id: 1, a: 1, b: [1, { c: 2 }], d: { e: 1 } };
    for (const update of [
      { $set: { a: 1, 'b.1.c': 2, d: { e: 1 } } },
      { $unset: { x: 1, 'd.x': 1 } },
      { $min: { a: 2 } },
      { $max: { a: new Double(1) } },
      { $inc: { a: 0 } },
      { $mul: { a: 1 } },
      { $addToSet: { b: { c: 2 } } },
      { $pull: { b: 7 } },
      { $pullAll: { b: [9] } },
      { $push: { b: { $each: [] } } },
      { $bit: { a: { or: 1 } } },
      { $setOnInsert: { z: 1 } },
    ]) {
      expect(unchanged(before, update)).toBe(true);
    }
    expect(unchanged(before, { $set: { a: new Double(1) } })).toBe(false);
    expect(unchanged(before, { $inc: { a: new Double(0) } })).toBe(false);
  });
});

describe('arithmetic', () => {
  const max = Long.MAX_VALUE;
  test.each<[string, unknown, unknown, unknown]>([
    ['int + int', 5, { $inc: { n: 2 } }, new Int32(7)],
    ['int overflow', new Int32(2147483647), { $inc: { n: 1 } }, Long.fromString('2147483648')],
    ['long stays long', Long.fromNumber(1), { $inc: { n: 1 } }, Long.fromNumber(2)],
    ['long + double', Long.fromNumber(1), { $inc: { n: new Double(1) } }, new Double(2)],
    ['int + double', 1, { $inc: { n: 0.5 } }, new Double(1.5)],
    ['decimal', Decimal128.fromString('1.10'), { $inc: { n: 1 } }, Decimal128.fromString('2.10')],
    ['int * int', 3, { $mul: { n: 4 } }, new Int32(12)],
    ['int * int overflow', 65536, { $mul: { n: 65536 } }, Long.fromString('4294967296')],
    ['int * double', 3, { $mul: { n: 0.5 } }, new Double(1.5)],
    ['bit and', 13, { $bit: { n: { and: 10 } } }, new Int32(8)],
    ['bit or then xor', 1, { $bit: { n: { or: 2, xor: 1 } } }, new Int32(2)],
    [
      'bit with a long',
      1,
      { $bit: { n: { or: Long.fromString('4294967296') } } },
      Long.fromString('4294967297'),
    ],
  ])('%s', (_name, value, update, result) => expectUpdate({ n: value }, update, { n: result }));

  test.each<[string, unknown, unknown]>([
    ['$inc int', { $inc: { n: 2 } }, new Int32(2)],
    ['$inc long', { $inc: { n: Long.fromNumber(2) } }, Long.fromNumber(2)],
    ['$mul int', { $mul: { n: 2 } }, new Int32(0)],
    ['$mul long', { $mul: { n: Long.fromNumber(2) } }, Long.fromNumber(0)],
    ['$mul double', { $mul: { n: new Double(2) } }, new Double(0)],
    ['$bit or', { $bit: { n: { or: 5 } } }, new Int32(5)],
    ['$bit and', { $bit: { n: { and: 5 } } }, new Int32(0)],
    ['$min', { $min: { n: 'x' } }, 'x'],
  ])('%s of a missing field', (_name, update, result) => expectUpdate({}, update, { n: result }));

  test.each<[string, number, unknown, unknown]>([
    ['$inc of a string', 14, { n: 'x' }, { $inc: { n: 1 } }],
    ['$inc of null', 14, { n: null }, { $inc: { n: 1 } }],
    ['$inc by a string', 14, { n: 1 }, { $inc: { n: 'x' } }],
    ['$mul of an array', 14, { n: [] }, { $mul: { n: 1 } }],
    ['$mul by null', 14, { n: 1 }, { $mul: { n: null } }],
    ['long overflow', 2, { n: max }, { $inc: { n: 1 } }],
    ['long product overflow', 2, { n: max }, { $mul: { n: 2 } }],
    ['$bit of a double', 2, { n: 1.5 }, { $bit: { n: { and: 1 } } }],
    ['$bit by a double', 2, { n: 1 }, { $bit: { n: { and: 1.5 } } }],
    ['$bit with nothing', 2, { n: 1 }, { $bit: { n: {} } }],
    ['$bit with an unknown operation', 2, { n: 1 }, { $bit: { n: { nor: 1 } } }],
    ['$bit with a number', 2, { n: 1 }, { $bit: { n: 1 } }],
  ])('refuses %s', (_name, code, before, update) => expect(refusal(before, update)).toBe(code));

  test('$min and $max compare across types, and strings by the collation', () => {
    expectUpdate({ n: 'x' }, { $min: { n: 5 } }, { n: 5 });
    expectUpdate({ n: null }, { $max: { n: 5 } }, { n: 5 });
    const collator = compileCollation(doc({ locale: 'en', strength: 2 }));
    expectUpdate({ n: 'b' }, { $max: { n: 'B' } }, { n: 'b' }, { collator });
  });
});

describe('arrays', () => {
  test.each<[string, unknown, unknown, unknown]>([
    ['push an array as one element', [1], { $push: { a: [2] } }, [1, [2]]],
    ['push each at the front', [1], { $push: { a: { $each: [8, 9], $position: 0 } } }, [8, 9, 1]],
    ['push at a negative position', [1, 2, 3], { $push: { a: { $each: [9], $position: -1 } } }, [1, 2, 9, 3]],
    ['push far before the front', [1, 2], { $push: { a: { $each: [9], $position: -7 } } }, [9, 1, 2]],
    ['push far past the end', [1, 2], { $push: { a: { $each: [9], $position: 70 } } }, [1, 2, 9]],
    ['slice to nothing', [1, 2], { $push: { a: { $each: [9], $slice: 0 } } }, []],
    ['slice from the end', [1, 2], { $push: { a: { $each: [9], $slice: -2 } } }, [2, 9]],
    ['slice alone', [1, 2, 3], { $push: { a: { $each: [], $slice: 2 } } }, [1, 2]],
    ['sort alone', [3, 'x', 1], { $push: { a: { $each: [], $sort: -1 } } }, ['x', 3, 1]],
    [
      'sort by fields',
      [
        { a: 2, b: 1 },
        { a: 1, b: 1 },
      ],
      { $push: { a: { $each: [{ a: 1, b: 2 }], $sort: { a: 1, b: -1 } } } },
      [
        { a: 1, b: 2 },
        { a: 1, b: 1 },
        { a: 2, b: 1 },
      ],
    ],
    [
      'sort by a dotted field',
      [{ a: { b: 2 } }, { a: { b: 1 } }, 5],
      { $push: { a: { $each: [], $sort: { 'a.b': 1 } } } },
      [5, { a: { b: 1 } }, { a: { b: 2 } }],
    ],
    [
      'sort by a field takes an array as a whole',
      [{ k: [1, 9] }, { k: [1, 2] }, { k: 3 }],
      { $push: { a: { $each: [], $sort: { k: 1 } } } },
      [{ k: 3 }, { k: [1, 2] }, { k: [1, 9] }],
    ],
    [
      'addToSet takes equal numbers for one',
      [1],
      { $addToSet: { a: { $each: [new Double(1), 2, Long.fromNumber(2)] } } },
      [1, 2],
    ],
    ['addToSet an array', [1], { $addToSet: { a: [1] } }, [1, [1]]],
    ['pop the last', [1, 2], { $pop: { a: new Double(1) } }, [1]],
    ['pop nothing', [], { $pop: { a: -1 } }, []],
    [
      'pull by equal documents',
      [{ x: 1, y: 2 }, { y: 2, x: 1 }, { x: 1 }],
      { $pull: { a: { x: 1, y: 2 } } },
      [{ x: 1 }],
    ],
    ['pull leaves elements that are no documents', [1, { x: 1 }], { $pull: { a: { x: 1 } } }, [1]],
    [
      'pull null takes the missing for null',
      [{ x: 1 }, {}, { x: null }, 3],
      { $pull: { a: { x: null } } },
      [{ x: 1 }, 3],
    ],
    ['pull a whole array', [[1, 2], [2], 1], { $pull: { a: [1, 2] } }, [[2], 1]],
    ['pull by a comparison', [1, 5, 'x', [6]], { $pull: { a: { $gt: 4 } } }, [1, 'x']],
    ['pull by $in', ['a', 'b', 'c'], { $pull: { a: { $in: ['a', 'c'] } } }, ['b']],
    ['pull by a regular expression', ['abc', 'b', 3], { $pull: { a: /^a/ } }, ['b', 3]],
    [
      'pull by $or on fields',
      [{ x: 1 }, { y: 1 }, { z: 1 }],
      { $pull: { a: { $or: [{ x: 1 }, { y: 1 }] } } },
      [{ z: 1 }],
    ],
    [
      'pull by $elemMatch',
      [{ r: [1, 9] }, { r: [2] }],
      { $pull: { a: { r: { $elemMatch: { $gt: 5 } } } } },
      [{ r: [2] }],
    ],
    ['pull by $not', [1, 5], { $pull: { a: { $not: { $gt: 3 } } } }, [5]],
    ['pull with an empty document', [{}, { x: 1 }, 1], { $pull: { a: {} } }, [1]],
    ['pullAll', [1, 2, [1], { x: 1 }], { $pullAll: { a: [new Double(1), { x: 1 }] } }, [2, [1]]],
  ])('%s', (_name, before, update, after) => expectUpdate({ a: before }, update, { a: after }));

  test.each<[string, unknown, unknown]>([
    ['$push', { $push: { a: { $each: [2, 1], $sort: 1 } } }, [1, 2]],
    ['$push of nothing', { $push: { a: { $each: [] } } }, []],
    ['$addToSet', { $addToSet: { a: { $each: [1, 1, 2] } } }, [1, 2]],
  ])('%s makes a missing array', (_name, update, after) => expectUpdate({}, update, { a: after }));

  test.each<[string, number, unknown, unknown]>([
    ['$push to a number', 2, { a: 1 }, { $push: { a: 1 } }],
    ['$push to null', 2, { a: null }, { $push: { a: 1 } }],
    ['$push each of no array', 2, { a: [] }, { $push: { a: { $each: 1 } } }],
    ['$push with an unknown clause', 2, { a: [] }, { $push: { a: { $each: [], $x: 1 } } }],
    ['$push with a slice of text', 2, { a: [] }, { $push: { a: { $each: [], $slice: 'x' } } }],
    ['$push with a fractional slice', 2, { a: [] }, { $push: { a: { $each: [], $slice: 1.5 } } }],
    ['$push with a position of text', 2, { a: [] }, { $push: { a: { $each: [], $position: 'x' } } }],
    ['$push with a sort of 2', 2, { a: [] }, { $push: { a: { $each: [], $sort: 2 } } }],
    ['$push with an empty sort', 2, { a: [] }, { $push: { a: { $each: [], $sort: {} } } }],
    ['$push with a sort by text', 2, { a: [] }, { $push: { a: { $each: [], $sort: 'x' } } }],
    ['$push with a sort of an empty part', 2, { a: [] }, { $push: { a: { $each: [], $sort: { 'x.': 1 } } } }],
    ['$push with clauses but no $each', 52, { a: [] }, { $push: { a: { $slice: 1 } } }],
    ['$addToSet to a number', 2, { a: 1 }, { $addToSet: { a: 1 } }],
    ['$addToSet each of no array', 14, { a: [] }, { $addToSet: { a: { $each: 1 } } }],
    ['$addToSet with more than $each', 2, { a: [] }, { $addToSet: { a: { $each: [], x: 1 } } }],
    ['$pop of a number', 14, { a: 1 }, { $pop: { a: 1 } }],
    ['$pop by 2', 9, { a: [] }, { $pop: { a: 2 } }],
    ['$pop by text', 9, { a: [] }, { $pop: { a: 'x' } }],
    ['$pull from a number', 2, { a: 1 }, { $pull: { a: 1 } }],
    ['$pull with an unknown operator', 2, { a: [] }, { $pull: { a: { $frob: 1 } } }],
    ['$pullAll by a number', 2, { a: [] }, { $pullAll: { a: 1 } }],
    ['$pullAll from a number', 2, { a: 1 }, { $pullAll: { a: [1] } }],
  ])('refuses %s', (_name, code, before, update) => expect(refusal(before, update)).toBe(code));
});

describe('positions', () => {
  const before = { a: [{ k: 1 }, { k: 2 }, { k: 3 }] };

  test('$ is the element that the query matched', () => {
    const filter = compileFilter(doc({ 'a.k': 2 }));
    const positional = filter.positional(doc(before));
    expect(positional).toBe(1);
    expectUpdate(
      before,
      { $set: { 'a.$.v': 9 } },
      { a: [{ k: 1 }, { k: 2, v: 9 }, { k: 3 }] },
      { positional: 1 },
    );
    expectUpdate({ a: [1, 2] }, { $unset: { 'a.$': 1 } }, { a: [1, null] }, { positional: 1 });
  });

  test('$ is joined with the same element named by its index', () => {
    expectUpdate(
      before,
      { $set: { 'a.$.v': 9, 'a.1.w': 8 } },
      { a: [{ k: 1 }, { k: 2, v: 9, w: 8 }, { k: 3 }] },
      { positional: 1 },
    );
    expect(refusal(before, { $set: { 'a.$.v': 9, 'a.1.v': 8 } }, { positional: 1 })).toBe(40);
  });

  test('$ without a match is refused', () => expect(refusal(before, { $set: { 'a.$': 1 } })).toBe(2));

  test('$[] is every element', () => {
    expectUpdate(before, { $inc: { 'a.$[].k': 10 } }, { a: [{ k: 11 }, { k: 12 }, { k: 13 }] });
    expectUpdate({ a: [[1, 2], [3]] }, { $mul: { 'a.$[].$[]': 2 } }, { a: [[2, 4], [6]] });
    expectUpdate({ a: [] }, { $set: { 'a.$[]': 1 } }, { a: [] });
    expect(refusal({ a: 1 }, { $set: { 'a.$[]': 1 } })).toBe(2);
    expect(refusal({}, { $set: { 'a.$[]': 1 } })).toBe(2);
    expect(refusal({ a: [1] }, { $set: { 'a.$[].b': 1 } })).toBe(28);
    expect(refusal({ a: [1] }, { $set: { 'a.$[]': 1, 'a.0': 1 } })).toBe(40);
  });

  test('$[id] is the elements that pass the filter', () => {
    expectUpdate(
      before,
      { $set: { 'a.$[e].v': 1 } },
      { a: [{ k: 1 }, { k: 2, v: 1 }, { k: 3, v: 1 }] },
      filters({ 'e.k': { $gte: 2 } }),
    );
    expectUpdate(
      { a: [1, 5, 9] },
      { $set: { 'a.$[e]': 0 } },
      { a: [1, 0, 9] },
      filters({ $and: [{ e: { $gt: 1 } }, { e: { $lt: 9 } }] }),
    );
    expectUpdate(
      { a: [{ b: [1, 2] }, { b: [2] }] },
      { $inc: { 'a.$[].b.$[x]': 5 } },
      { a: [{ b: [1, 7] }, { b: [7] }] },
      filters({ x: 2 }),
    );
    expectUpdate(
      before,
      { $set: { 'a.$[x].v': 1, 'a.$[y].w': 1 } },
      { a: [{ k: 1 }, { k: 2, v: 1, w: 1 }, { k: 3, w: 1 }] },
      filters({ 'x.k': 2 }, { 'y.k': { $gt: 1 } }),
    );
    expect(
      refusal(before, { $set: { 'a.$[x].v': 1, 'a.$[y].v': 1 } }, filters({ 'x.k': 2 }, { 'y.k': 2 })),
    ).toBe(40);
  });

  test.each<[string, number, unknown, unknown[]]>([
    ['no filter for an identifier', 2, { $set: { 'a.$[e]': 1 } }, []],
    ['a filter that is not used', 9, { $set: { a: 1 } }, [{ e: 1 }]],
    ['two filters for one identifier', 9, { $set: { 'a.$[e]': 1 } }, [{ e: 1 }, { 'e.x': 1 }]],
    ['two identifiers in one filter', 9, { $set: { 'a.$[e]': 1 } }, [{ e: 1, f: 1 }]],
    ['an empty filter', 9, { $set: { 'a.$[e]': 1 } }, [{}]],
    ['an identifier in upper case', 2, { $set: { 'a.$[E]': 1 } }, [{ E: 1 }]],
    ['a bad operator in a filter', 2, { $set: { 'a.$[e]': 1 } }, [{ e: { $frob: 1 } }]],
    ['a filter that is no document', 14, { $set: { 'a.$[e]': 1 } }, [1]],
    ['filters for a pipeline', 9, [{ $set: { a: 1 } }], [{ e: 1 }]],
  ])('refuses %s', (_name, code, update, arrayFilters) =>
    expect(refusal(before, update, filters(...arrayFilters))).toBe(code),
  );
});

describe('$currentDate', () => {
  test('sets dates and timestamps', () => {
    expectUpdate({}, { $currentDate: { a: true, b: { $type: 'date' } } }, { a: now, b: now });
    const stamped = apply({}, { $currentDate: { a: { $type: 'timestamp' } } }).get('a');
    expect(stamped).toBeInstanceOf(Timestamp);
  });

  test.each([['x'], [1], [{ $type: 'int' }], [{ type: 'date' }], [{}]])('refuses %j', (argument) =>
    expect(refusal({}, { $currentDate: { a: argument } })).toBe(2),
  );
});

describe('pipelines', () => {
  test('compute from the document as it was', () => {
    expectUpdate({ _id: 1, a: 1, b: 2 }, [{ $set: { a: '$b', c: { $add: ['$a', 1] } } }, { $unset: 'b' }], {
      _id: 1,
      a: 2,
      c: 2,
    });
    expectUpdate({ _id: 1, a: { x: 1 } }, [{ $replaceWith: '$a' }], { _id: 1, x: 1 });
    expectUpdate({ _id: 1, a: 1, b: 2 }, [{ $project: { b: 1 } }], { _id: 1, b: 2 });
    expectUpdate(
      { _id: 1, a: 1 },
      [{ $set: { b: '$$step' } }],
      { _id: 1, a: 1, b: 7 },
      {
        variables: doc({ step: 7 }),
      },
    );
  });

  test('that change nothing give the same document', () => {
    expect(unchanged({ _id: 1, a: 1 }, [{ $set: { a: '$a' } }])).toBe(true);
  });

  test.each<[string, number, unknown[]]>([
    ['a stage that updates may not have', 72, [{ $match: { a: 1 } }]],
    ['an unknown stage', 40324, [{ $frob: 1 }]],
    ['another _id', 66, [{ $set: { _id: 2 } }]],
    ['a root that is no document', 40228, [{ $replaceWith: '$a' }]],
  ])('refuse %s', (_name, code, stages) => expect(refusal({ _id: 1, a: 1 }, stages)).toBe(code));

  test('upsert from the equalities of the filter', () => {
    const update = compileUpdate(fromPlain([{ $set: { b: { $add: ['$a', 1] } } }]) as Value[]);
    expect(show(upsertDocument(doc({ _id: 1, a: 1 }), update, now))).toBe(
      show(fromPlain({ _id: 1, a: 1, b: 2 })),
    );
  });
});

describe('replacement', () => {
  test('keeps the _id and puts it first', () => {
    expectUpdate({ _id: 1, a: 1 }, { b: 2 }, { _id: 1, b: 2 });
    expectUpdate({ _id: 1, a: 1 }, { b: 2, _id: new Double(1) }, { _id: new Double(1), b: 2 });
    expectUpdate({ _id: 1, a: 1 }, {}, { _id: 1 });
  });

  test('fills empty timestamps', () => {
    const result = apply({ _id: 1 }, { t: new Timestamp({ t: 0, i: 0 }) });
    expect((result.get('t') as Timestamp).isZero()).toBe(false);
  });

  test('refuses another _id, dollar names and multi', () => {
    expect(refusal({ _id: 1 }, { _id: 2 })).toBe(66);
    expect(refusal({ _id: 1 }, { a: 1, $set: { b: 1 } })).toBe(52);
    expect(refusal({ _id: 1 }, { a: 1 }, { multi: true })).toBe(9);
  });
});

describe('upsert', () => {
  const upsert = (filter: unknown, update: unknown) =>
    upsertDocument(doc(filter), compileUpdate(fromPlain(update) as Document), now);
  const made = (filter: unknown, update: unknown, after: unknown) =>
    expect(show(upsert(filter, update))).toBe(show(fromPlain(after)));

  test('takes the equalities of the filter, in the order of their paths', () => {
    made({ z: 1, 'a.b': 2, _id: 5 }, { $set: { v: 1 } }, { _id: 5, a: { b: 2 }, z: 1, v: 1 });
    made(
      { $and: [{ a: 1 }, { b: { $eq: 2 } }], $or: [{ c: 3 }] },
      { $set: { v: 1 } },
      { a: 1, b: 2, c: 3, v: 1 },
    );
    made(
      { a: { $gt: 1 }, b: { $in: [1, 2] }, $or: [{ c: 1 }, { d: 1 }], e: /x/, f: { $ne: 1 } },
      { $set: { v: 1 } },
      { v: 1 },
    );
    made({ a: { $in: [3] }, b: { $all: [4] } }, { $set: { v: 1 } }, { a: 3, b: 4, v: 1 });
    made({ a: { x: 1 }, b: null, c: [1] }, { $set: { 'a.y': 2 } }, { a: { x: 1, y: 2 }, b: null, c: [1] });
    made({ a: 1 }, { $inc: { a: 2 }, $setOnInsert: { b: 1 }, $unset: { c: 1 } }, { a: 3, b: 1 });
    made({ a: 1 }, { $setOnInsert: { _id: 7 } }, { _id: 7, a: 1 });
  });

  test('takes only _id for a replacement', () => {
    made({ _id: 1, a: 1, 'b.c': 1 }, { v: 1 }, { _id: 1, v: 1 });
    made({ a: 1 }, { v: 1, _id: 3 }, { _id: 3, v: 1 });
  });

  test.each<[string, number, unknown, unknown]>([
    ['a path matched twice', 54, { $and: [{ a: 1 }, { a: 2 }] }, { $set: { v: 1 } }],
    ['a path and its parent', 54, { a: { b: 1 }, 'a.c': 1 }, { $set: { v: 1 } }],
    ['two values by $all', 54, { a: { $all: [1, 2] } }, { $set: { v: 1 } }],
    ['another _id', 66, { _id: 1 }, { $set: { _id: 2 } }],
    ['an _id that is an array', 53, { _id: [1] }, { $set: { a: 1 } }],
    ['another _id in a replacement', 66, { _id: 1 }, { _id: 2 }],
    ['a part of an _id', 111, { '_id.a': 1 }, { v: 1 }],
    ['an operator that does not fit', 14, { a: 'x' }, { $inc: { a: 1 } }],
    ['$ without a match', 2, { a: 1 }, { $set: { 'b.$': 1 } }],
    ['dollar names', 52, { a: 1 }, { $set: { b: { $c: 1 } } }],
  ])('refuses %s', (_name, code, filter, update) => expect(codeOf(() => upsert(filter, update))).toBe(code));

  test('refuses $expr in the filter', () => {
    expect(codeOf(() => refuseExprInUpsert(doc({ a: 1, $and: [{ $expr: true }] })))).toBe(224);
    expect(codeOf(() => refuseExprInUpsert(doc({ a: 1 })))).toBe('no error');
  });
});
