import * as bson from 'bson';
import {
  Binary,
  BSONRegExp,
  Code,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson';
import fc from 'fast-check';
import { changedFields } from '../src/bson/changed-fields';
import { decode, decodeFields, encode, fromPlain, rawField, toPlain } from '../src/bson/codec';
import { compareValues, equalValues, typeName } from '../src/bson/compare';
import {
  add,
  divide,
  integral,
  mod,
  multiply,
  subtract,
  toDecimal,
  type NumberValue,
} from '../src/bson/numbers';
import type { Value } from '../src/bson/types';
import { encodeKey } from '../src/index/keys';
import { Random } from './support/random';
import { value as anyValue } from './support/query-generator';

const decimal = (text: string): Decimal128 => Decimal128.fromString(text);
const long = (text: string): Long => Long.fromString(text);

const EVERYTHING = {
  _id: new ObjectId(),
  double: new Double(1),
  string: 'héllo\0 \u{1f600}',
  object: { b: 1, a: { c: null } },
  array: [1, 'x', [true]],
  binary: new Binary(Buffer.from('hi'), 128),
  old: new Binary(Buffer.from('hi'), 2),
  bool: false,
  date: new Date(-1),
  null: null,
  regex: new BSONRegExp('^a', 'im'),
  code: new Code('f()'),
  scoped: new Code('f()', { x: 1 }),
  int: new Int32(-5),
  timestamp: new Timestamp({ t: 4294967295, i: 1 }),
  long: long('-9223372036854775808'),
  decimal: decimal('1.500'),
  min: new MinKey(),
  max: new MaxKey(),
  '10': 1,
  '': 2,
};

test('the fields that differ between two documents are found in any order, and of repeated ones the first', () => {
  const changed = (a: object, b: object) => [...changedFields(bson.serialize(a), bson.serialize(b))].sort();
  const long = 'x'.repeat(100);
  expect(changed(EVERYTHING, EVERYTHING)).toEqual([]);
  expect(changed({ a: 1, b: long, c: { d: 1 } }, { a: 1, b: `${long}y`, c: { d: 1 } })).toEqual(['b']);
  expect(changed({ a: 1, b: long }, { a: new Double(1), b: `${long.slice(1)}y` })).toEqual(['a', 'b']);
  expect(changed({ a: 1, b: 2, c: 3 }, { c: 3, b: 4, d: 5 })).toEqual(['a', 'b', 'd']);
  expect(changed({ a: 1 }, { a: 1, b: 2 })).toEqual(['b']);
  const twice = (first: number, second: number) =>
    Buffer.from(`13000000 106100 0${first}000000 106100 0${second}000000 00`.replaceAll(' ', ''), 'hex');
  expect(decode(twice(1, 2))).toEqual(new Map([['a', new Int32(1)]]));
  expect([...changedFields(twice(1, 2), twice(1, 3))]).toEqual([]);
  expect([...changedFields(twice(1, 2), twice(2, 2))]).toEqual(['a']);
});

test('what bson writes comes back byte for byte', () => {
  const bytes = bson.serialize(EVERYTHING);
  const document = decode(bytes);
  expect(Buffer.from(encode(document))).toEqual(Buffer.from(bytes));
  expect(bson.serialize(bson.deserialize(encode(document), { promoteValues: false }))).toEqual(bytes);
  expect(document.get('double')).toEqual(new Double(1));
  expect(typeName(document.get('scoped'))).toBe('javascriptWithScope');
});

test('names that objects treat in their own way keep their place', () => {
  const document = new Map<string, Value>([
    ['z', 'z'],
    ['10', 'ten'],
    ['__proto__', 'p'],
    ['constructor', 'c'],
    ['2', 'two'],
  ]);
  expect([...decode(encode(document))]).toEqual([...document]);
  expect(Object.getOwnPropertyNames(toPlain(document))).toContain('__proto__');
});

test('single fields are read without the rest', () => {
  const bytes = encode(fromPlain({ a: 1, b: { c: [1, 2] }, '': 'empty', c: 'x' }) as Map<string, Value>);
  expect(rawField(bytes, 'c')).toBe('x');
  expect(rawField(bytes, '')).toBe('empty');
  expect(rawField(bytes, 'd')).toBeUndefined();
  expect([...decodeFields(bytes, new Set(['c', 'a'])).keys()]).toEqual(['a', 'c']);
});

test('of two fields with one name the first counts', () => {
  const bytes = Buffer.from(bson.serialize({ a: 1, b: 2 }));
  bytes[bytes.indexOf('b')] = 'a'.charCodeAt(0);
  expect(toPlain(decode(bytes))).toEqual({ a: new Int32(1) });
  expect(rawField(bytes, 'a')).toEqual(new Int32(1));
});

test('damaged bytes are refused, never read past their end', () => {
  const good = Buffer.from(bson.serialize(EVERYTHING));
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, length) => {
      const damaged = Buffer.from(good);
      damaged[at] = byte;
      for (const bytes of [damaged, good.subarray(0, length)]) {
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: 'StoreError' });
        }
      }
    }),
    { numRuns: 3000 },
  );
  expect(() => decode(Buffer.concat([good, Buffer.from([0])]))).toThrow(
    expect.objectContaining({ code: 22 }),
  );
});

test('nesting beyond 200 is refused', () => {
  let deep: Value = null;
  for (let i = 0; i < 199; i++) deep = new Map([['a', deep]]);
  expect(() => decode(encode(new Map([['a', deep]])))).not.toThrow();
  expect(() => encode(new Map([['a', new Map([['a', deep]])]]))).toThrow(
    expect.objectContaining({ code: 15 }),
  );
});

test('numbers of all types are in one exact order', () => {
  const ascending: NumberValue[][] = [
    [new Double(NaN), decimal('NaN')],
    [new Double(-Infinity), decimal('-Infinity')],
    [decimal('-1E400')],
    [long('-9007199254740993'), decimal('-9007199254740993')],
    [new Double(-9007199254740992), long('-9007199254740992')],
    [decimal('-1E-400')],
    [new Int32(0), new Double(-0), long('0'), decimal('-0E5')],
    [new Double(5e-324)],
    [decimal('0.1')],
    [new Double(0.1)],
    [new Int32(1), new Double(1), long('1'), decimal('1.0')],
    [new Double(9007199254740992), long('9007199254740992')],
    [decimal('9007199254740992.5')],
    [long('9007199254740993')],
    [long('9223372036854775807'), decimal('9223372036854775807')],
    [new Double(2 ** 63)],
    [decimal('1E400')],
    [new Double(Infinity), decimal('Infinity')],
  ];
  ascending.forEach((left, i) =>
    ascending.forEach((right, k) => {
      for (const a of left)
        for (const b of right) expect(Math.sign(compareValues(a, b))).toEqual(Math.sign(i - k) + 0);
    }),
  );
});

test('values are in MongoDB’s order of types, and keys in that of values', () => {
  const random = new Random(7);
  const values = Array.from({ length: 150 }, () => anyValue(random, { arrays: 0.2, wild: 0.9, long: 0 }));
  values.push(
    new MinKey(),
    null,
    new Int32(1),
    'x',
    new Map(),
    [],
    new Binary(Buffer.from('')),
    new ObjectId(),
    true,
  );
  values.push(new Date(0), new Timestamp({ t: 0, i: 0 }), new BSONRegExp('x'), new Code('x'), new MaxKey());
  const keys = [1, -1].map((direction) => values.map((value) => encodeKey([value, 'tail'], [direction, 1])));
  const wrong = values.flatMap((a, i) =>
    values.filter((b, k) => {
      const order = Math.sign(compareValues(a, b));
      const [up, down] = keys.map((list) => Buffer.compare(list[i] as Buffer, list[k] as Buffer));
      return Math.sign(compareValues(b, a)) + order !== 0 || up !== order || (down as number) + order !== 0;
    }),
  );
  expect(wrong).toEqual([]);
});

test('arithmetic gives MongoDB’s types', () => {
  const max = new Int32(2147483647);
  const cases: [NumberValue, NumberValue][] = [
    [add(new Int32(1), new Int32(2)), new Int32(3)],
    [add(max, new Int32(1)), long('2147483648')],
    [add(long('1'), new Int32(1)), long('2')],
    [add(new Int32(1), new Double(1)), new Double(2)],
    [add(new Double(0.1), decimal('1')), decimal('1.100000000000000')],
    [subtract(new Int32(-2147483648), new Int32(1)), long('-2147483649')],
    [multiply(max, max), long('4611686014132420609')],
    [multiply(decimal('1.10'), new Int32(3)), decimal('3.30')],
    [mod(new Int32(-7), new Int32(3)), new Int32(-1)],
    [mod(new Double(5.5), new Int32(2)), new Double(1.5)],
    [divide(new Int32(1), new Int32(2)), new Double(0.5)],
    [divide(decimal('1'), decimal('3')), decimal('0.3333333333333333333333333333333333')],
    [toDecimal(new Double(2.5)), decimal('2.50000000000000')],
  ];
  for (const [found, expected] of cases) {
    expect([found._bsontype, found.toString()]).toEqual([expected._bsontype, expected.toString()]);
  }
  expect(() => add(long('9223372036854775807'), new Int32(1))).toThrow(expect.objectContaining({ code: 15 }));
  expect(
    [new Double(2), decimal('2E2'), long('5'), new Double(2.5), decimal('1E30'), 'x'].map(integral),
  ).toEqual([...[2n, 200n, 5n], ...[undefined, undefined, undefined]]);
});

test('documents compare in the order of their fields', () => {
  const document = (plain: object): Value => fromPlain(plain);
  expect(equalValues(document({ a: 1, b: 2 }), document({ a: new Double(1), b: 2 }))).toBe(true);
  expect(equalValues(document({ a: 1, b: 2 }), document({ b: 2, a: 1 }))).toBe(false);
  expect(compareValues(document({ a: 1 }), document({ b: 0 }))).toBeLessThan(0);
  expect(compareValues(document({ b: 'x' }), document({ a: {} }))).toBeLessThan(0);
  expect(compareValues('\uffff', '\u{1f600}')).toBeLessThan(0);
});
