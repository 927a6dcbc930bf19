import { Binary, BSONRegExp, Decimal128, Double, EJSON, Int32, Long, MaxKey, MinKey, Timestamp } from 'bson';
import { encode, fromPlain, toPlain } from '../src/bson/codec';
import type { Document, Value } from '../src/bson/types';
import { compileCollation } from '../src/query/collation';
import { compileFilter } from '../src/query/matcher';
import { filter as anyFilter, document as anyDocument } from './support/query-generator';
import { TIMEOUT_MS, rounds, SEED } from '../../../tools/jest/budget';
import { Random } from './support/random';

const doc = (plain: object): Document => fromPlain(plain) as Document;
const matches = (filter: object, document: object): boolean =>
  compileFilter(doc(filter)).matches(doc(document));

const show = (value: unknown): string => EJSON.stringify(value, { relaxed: false });
const decimal = (text: string): Decimal128 => Decimal128.fromString(text);

describe('rules that surprise', () => {
  const yes: [filter: object, document: object][] = [
    [{ a: null }, {}],
    [{ 'a.b': null }, { a: [{ c: 1 }] }],
    [{ 'a.b': null }, { a: 5 }],
    [{ 'a.0': 5 }, { a: [5] }],
    [{ 'a.0.b': 1 }, { a: [{ b: 1 }] }],
    [{ 'a.b': 1 }, { a: [{ b: [1, 2] }] }],
    [{ 'a.1.0': 6 }, { a: [5, [6]] }],
    [{ a: { $gt: 1, $lt: 0 } }, { a: [2, -1] }],
    [{ a: { $gte: null } }, {}],
    [{ a: { $ne: 1 } }, { a: [] }],
    [{ 'a.b': { $ne: null } }, { a: [1] }],
    [{ a: { $not: { $gt: 5 } } }, {}],
    [{ a: { $lt: new MaxKey() } }, { a: 'x' }],
    [{ a: { $gt: new MinKey() } }, { a: 'x' }],
    [{ a: { $all: [[1, 2]] } }, { a: [1, 2] }],
    [{ a: { $all: [1] } }, { a: 1 }],
    [{ a: { $size: 0 } }, { a: [] }],
    [{ a: { $type: 'array' } }, { a: [1] }],
    [{ a: { $type: -1 } }, { a: new MinKey() }],
    [{ a: { $in: [null] } }, {}],
    [{ a: { $in: [new BSONRegExp('^x')] } }, { a: ['y', 'xy'] }],
    [{ a: new BSONRegExp('x') }, { a: new BSONRegExp('x') }],
    [{ a: { $elemMatch: { $elemMatch: { $gt: 1 } } } }, { a: [[2]] }],
    [{ a: { $elemMatch: { 0: 1 } } }, { a: [[1]] }],
    [{ a: { $mod: [4, -1] } }, { a: -5 }],
    [{ a: { $mod: [2.9, 1.2] } }, { a: 3.7 }],
    [{ a: { $bitsAllSet: [63] } }, { a: -1 }],
    [{ a: { $bitsAnyClear: new Binary(Buffer.from([0x02])) } }, { a: 5 }],
    [{ a: { $eq: { b: 1, c: 2 } } }, { a: { b: new Double(1), c: Long.fromNumber(2) } }],
    [{ a: { $regex: 'b$', $options: 'm' } }, { a: 'ab\nc' }],
    [{ $alwaysTrue: 1 }, {}],
    [{ a: { $ref: 'x', $id: 1 } }, { a: { $ref: 'x', $id: 1 } }],
    [{ a: 0.5 }, { a: decimal('0.50') }],
    [{ a: NaN }, { a: decimal('NaN') }],
    [{ a: { $lte: NaN } }, { a: NaN }],
  ];
  const no: [filter: object, document: object][] = [
    [{ 'a.b': null }, { a: [] }],
    [{ 'a.b': null }, { a: [1, 2] }],
    [{ 'a.0': 1 }, { a: [[1]] }],
    [{ a: { b: 1, c: 2 } }, { a: { c: 2, b: 1 } }],
    [{ a: { $gt: null } }, { a: 1 }],
    [{ a: { $lt: 5 } }, { a: NaN }],
    [{ a: { $gt: 5 } }, { a: 'x' }],
    [{ a: { $elemMatch: { $gt: 1 } } }, { a: 2 }],
    [{ a: { $all: [] } }, { a: [] }],
    [{ a: { $in: [] } }, {}],
    [{ a: { $size: 1 } }, { a: 'x' }],
    [{ a: 0.1 }, { a: decimal('0.1') }],
    [{ a: { $exists: false } }, { a: null }],
    [{ $nor: [{ a: 1 }] }, { a: [1] }],
    [{ a: { $mod: [2, 0] } }, { a: NaN }],
    [{ a: { $bitsAllSet: [0] } }, { a: 1.5 }],
  ];
  test.each(yes)('%j matches %j', (filter, document) => expect(matches(filter, document)).toBe(true));
  test.each(no)('%j does not match %j', (filter, document) => expect(matches(filter, document)).toBe(false));
});

describe('errors', () => {
  test.each<[object, number]>([
    [{ $and: [] }, 2],
    [{ $or: [1] }, 2],
    [{ a: { $gt: 1, b: 2 } }, 2],
    [{ a: { $in: [{ $gt: 1 }] } }, 2],
    [{ a: { $nin: 1 } }, 2],
    [{ a: { $all: 1 } }, 2],
    [{ a: { $size: 1.5 } }, 2],
    [{ a: { $size: 'x' } }, 2],
    [{ a: { $mod: [1] } }, 2],
    [{ a: { $mod: [1, 2, 3] } }, 2],
    [{ a: { $type: 'nope' } }, 2],
    [{ a: { $type: [] } }, 9],
    [{ a: { $not: {} } }, 2],
    [{ a: { $ne: /x/ } }, 2],
    [{ a: { $gt: /x/ } }, 2],
    [{ a: { $options: 'i' } }, 2],
    [{ a: { $regex: /x/i, $options: 'm' } }, 51075],
    [{ a: { $options: 'm', $regex: /x/i } }, 51074],
    [{ a: { $regex: 'x', $options: 'g' } }, 51108],
    [{ a: { $regex: '(' } }, 51091],
    [{ a: { $bitsAllSet: -1 } }, 9],
    [{ a: { $bitsAllSet: [-1] } }, 2],
    [{ $where: 'true' }, 2],
    [{ $nor: [{ $text: { $search: 'x' } }] }, 2],
    [{ $expr: { $nope: 1 } }, 168],
  ])('%j fails with %i', (filter, code) => {
    expect(() => compileFilter(doc(filter))).toThrow(expect.objectContaining({ code }));
  });
});

test('the position of the positional operator', () => {
  const position = (filter: object, document: object): number | undefined =>
    compileFilter(doc(filter)).positional(doc(document));
  expect(position({ a: 2 }, { a: [1, 2] })).toBe(1);
  expect(position({ 'a.b': 2 }, { a: [{ b: 1 }, { b: [0, 2] }] })).toBe(1);
  expect(position({ a: { $elemMatch: { b: 1, c: 2 } } }, { a: [{ b: 1 }, { b: 1, c: 2 }] })).toBe(1);
  expect(position({ x: 1, $or: [{ a: 5 }, { a: 3 }] }, { x: 1, a: [1, 3] })).toBe(1);
  expect(position({ a: 2 }, { a: 2 })).toBeUndefined();
});

test('strings compare by the collation, regular expressions do not', () => {
  const collator = compileCollation(doc({ locale: 'en', strength: 2 }));
  const test = (filter: object, document: object): boolean =>
    compileFilter(doc(filter), { collator }).matches(doc(document));
  expect(test({ a: 'ANN' }, { a: 'ann' })).toBe(true);
  expect(test({ a: { $in: ['x', 'ANN'] } }, { a: ['ann'] })).toBe(true);
  expect(test({ a: { $lt: 'B' } }, { a: 'a' })).toBe(true);
  expect(test({ a: { b: 'X' } }, { a: { b: 'x' } })).toBe(true);
  expect(test({ a: /ANN/ }, { a: 'ann' })).toBe(false);
});

/** The same number in another of BSON's types, where it fits. */
function retyped(value: Value, random: Random): Value {
  if (Array.isArray(value)) return value.map((item) => retyped(item, random));
  if (value instanceof Map) return new Map([...value].map(([name, item]) => [name, retyped(item, random)]));
  // A Timestamp is a Long to instanceof.
  const isNumber = value instanceof Int32 || value instanceof Double || value instanceof Long;
  if (!isNumber || value instanceof Timestamp) return value;
  const number = value instanceof Long ? value.toNumber() : value.value;
  if (!Number.isSafeInteger(number)) return value;
  const long = Long.fromNumber(number);
  const types: Value[] = [
    new Double(number),
    long,
    decimal(long.toString()),
    decimal(`${long.toString()}.0`),
  ];
  if (Math.abs(number) < 2 ** 31) types.push(new Int32(number));
  return random.pick(types);
}

test(
  'a document matches as it does with its numbers in other types, and as its bytes do',
  () => {
    const random = new Random(SEED);
    let trials = 0;
    for (const trial of rounds(1200)) {
      trials = trial + 1;
      const taste = { arrays: random.pick([0, 0.2]), wild: random.pick([0, 0.5]), long: 0 };
      const filter = anyFilter(random, taste);
      // $type is about the very types that are changed here.
      if (JSON.stringify(toPlain(filter)).includes('$type')) continue;
      const compiled = compileFilter(filter);
      const other = compileFilter(retyped(filter, random) as Document);
      for (let i = 0; i < 10; i++) {
        const document = anyDocument(random, taste);
        const expected = compiled.matches(document);
        const found = [
          compiled.matchesBytes(encode(document)),
          compiled.matches(retyped(document, random) as Document),
          other.matches(document),
        ];
        if (found.every((each) => each === expected)) continue;
        const context = show({ seed: SEED, trials, filter: toPlain(filter), document: toPlain(document) });
        expect({ context, found }).toEqual({ context, found: [expected, expected, expected] });
      }
    }
    console.log(`matcher fuzz: seed ${SEED}, ${trials} filters`);
  },
  TIMEOUT_MS,
);
