import {
  Binary,
  BSONRegExp,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson';
import { fromPlain } from '../../src/bson/codec';
import type { Document, Value } from '../../src/bson/types';
import type { IndexDefinition } from '../../src/index/keys';
import type { Random } from './random';

const decimal = (text: string): Decimal128 => Decimal128.fromString(text);
const NUMBERS: Value[] = [
  ...[-1, 0, 1, 2, 3].map((n) => new Int32(n)),
  ...[-0, 0.5, 1, 1.5, 2, NaN, Infinity, -Infinity, 2 ** 53].map((n) => new Double(n)),
  ...['1', '2', '9007199254740993', '-9007199254740993'].map((n) => Long.fromString(n)),
  ...['1', '1.50', '0.1', '9007199254740993', '9007199254740992.5', 'NaN', '1E400'].map(decimal),
];
const STRINGS: Value[] = [
  '',
  'a',
  'A',
  'ab',
  'abc',
  'b',
  'a\0',
  'a\u0001',
  'a\0b',
  'é',
  'É',
  '\uffff',
  '\u{1f600}',
];
const LONG: Value[] = [
  'x'.repeat(1000),
  'x'.repeat(1999),
  'x'.repeat(2000),
  'x'.repeat(2000) + 'a',
  'x'.repeat(3000) + 'b',
];
const OTHERS: Value[] = [
  null,
  true,
  false,
  new Date(0),
  new Date(5),
  new Date(-5),
  new ObjectId('000000000000000000000001'),
  new ObjectId('0000000000000000000000ff'),
  new Binary(Buffer.from('a')),
  new Binary(Buffer.from('ab'), 4),
  new BSONRegExp('^a', ''),
  new Timestamp({ t: 1, i: 1 }),
  new MinKey(),
  new MaxKey(),
];

export const PATHS = ['a', 'b', 'c', 'a.x', 'a.y', 'b.x', 'a.0', 'a.x.y', 'a.0.x'];
const NAMES = ['x', 'y', '0'];
const SMALL: Value[] = [new Int32(1), new Int32(2), new Int32(3), 'a', null];

/** How wild the data are: plain data meet exact bounds more often, wild data find more corners. */
export interface Taste {
  arrays: number;
  wild: number;
  long: number;
}

export function scalar(random: Random, taste: Taste): Value {
  if (!random.chance(taste.wild)) return random.pick(SMALL);
  if (random.chance(taste.long)) return random.pick(LONG);
  return random.pick(random.pick([NUMBERS, NUMBERS, STRINGS, STRINGS, OTHERS]));
}

function nested(random: Random, taste: Taste, depth: number): Value {
  const entries = random
    .some(NAMES, 2)
    .map((name): [string, Value] => [name, value(random, taste, depth + 1)]);
  return new Map(entries);
}

export function value(random: Random, taste: Taste, depth = 0): Value {
  if (depth < 3 && random.chance(taste.arrays)) {
    return Array.from({ length: random.below(4) }, () => value(random, taste, depth + 1));
  }
  if (depth < 3 && random.chance(0.25)) return nested(random, taste, depth);
  return scalar(random, taste);
}

export function document(random: Random, taste: Taste): Document {
  const result: Document = new Map([['_id', new ObjectId()]]);
  for (const name of ['a', 'b', 'c']) if (random.chance(0.8)) result.set(name, value(random, taste));
  return result;
}

const COMPARISONS = ['$eq', '$lt', '$lte', '$gt', '$gte', '$ne'];
const REGEXES = ['^a', '^ab.*', '^a.c', 'b', '^a|b', '^a?b', '^A', '^a\\.', ''].map(
  (text) => new BSONRegExp(text, ''),
);

function operators(random: Random, taste: Taste, depth: number): Value {
  const constant = (): Value =>
    withoutRegex(random.chance(0.15) ? value(random, taste, 1) : scalar(random, taste));
  const one = (): [string, Value] => {
    switch (random.below(10)) {
      case 0:
        return [random.pick(['$in', '$nin']), Array.from({ length: random.below(4) }, constant)];
      case 1:
        return ['$exists', random.chance(0.6)];
      case 2:
        return ['$type', random.pick(['number', 'string', 'int', 'null', 'array', 'object', 'bool', 'date'])];
      case 3:
        return depth > 1
          ? ['$size', new Int32(random.below(3))]
          : ['$not', operators(random, taste, depth + 1)];
      case 4:
        return ['$regex', random.pick(REGEXES)];
      case 5:
        if (depth > 1) return ['$gt', constant()];
        if (random.chance(0.5)) return ['$elemMatch', operators(random, taste, depth + 1)];
        return [
          '$elemMatch',
          new Map([
            [random.pick([...NAMES, 'x.y', 'y.0']), operators(random, taste, depth + 1)],
            ['y', constant()],
          ]),
        ];
      case 6:
        return ['$in', [random.pick(REGEXES), constant()]];
      default:
        return [random.pick(COMPARISONS), constant()];
    }
  };
  return new Map(Array.from({ length: random.pick([1, 1, 1, 2, 2, 3]) }, one));
}

function withoutRegex(constant: Value): Value {
  return constant instanceof BSONRegExp ? 'a' : constant;
}

export function filter(random: Random, taste: Taste, depth = 0): Document {
  const result: Document = new Map();
  for (const path of random.some(PATHS.slice(0, random.pick([3, 5, 9])), 3)) {
    result.set(path, random.chance(0.4) ? scalar(random, taste) : operators(random, taste, 0));
  }
  if (depth < 2 && random.chance(0.25)) {
    const branches = Array.from({ length: 1 + random.below(3) }, () => filter(random, taste, depth + 1));
    result.set(random.pick(['$or', '$or', '$and', '$nor']), branches);
  }
  return result;
}

export function index(random: Random, taste: Taste, name: string): IndexDefinition {
  const paths = new Set(random.some(PATHS.slice(0, random.pick([3, 5, 9])), 3));
  if (paths.size === 0) paths.add('a');
  const definition: IndexDefinition = {
    name,
    key: [...paths].map((path) => [path, random.chance(0.5) ? 1 : -1]),
  };
  if (random.chance(0.15)) definition.sparse = true;
  else if (random.chance(0.25)) definition.partialFilterExpression = partialFilter(random, taste);
  if (random.chance(0.1)) definition.collation = fromPlain({ locale: 'en', strength: 2 }) as Document;
  return definition;
}

function partialFilter(random: Random, taste: Taste): Document {
  const path = random.pick(PATHS.slice(0, 5));
  if (random.chance(0.4)) return new Map([[path, new Map([['$exists', true]])]]);
  if (random.chance(0.3)) return new Map([[path, withoutRegex(scalar(random, taste))]]);
  return new Map([
    [path, new Map([[random.pick(COMPARISONS.slice(0, 5)), withoutRegex(scalar(random, taste))]])],
  ]);
}

export function sort(random: Random): Document {
  const paths = new Set(random.some(PATHS.slice(0, 5), 3));
  return new Map([...paths].map((path): [string, Value] => [path, new Int32(random.chance(0.5) ? 1 : -1)]));
}
