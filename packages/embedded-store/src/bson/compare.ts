import { Code, Int32 } from 'bson';
import type { Binary, BSONRegExp, BSONSymbol, DBRef, ObjectId, Timestamp } from 'bson';
import type { Collator } from './collator';
import { compareNumbers } from './numeric-order';
import type { Document, Value } from './types';

/**
 * The rank of each type in MongoDB's order of types
 * (https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/). Types with the same rank compare by
 * value. `missing` is below null here; a caller that treats them as equal passes null.
 */
export const ORDER = {
  minKey: -1,
  missing: 0,
  null: 5,
  number: 10,
  string: 15,
  object: 20,
  array: 25,
  binary: 30,
  objectId: 35,
  bool: 40,
  date: 45,
  timestamp: 47,
  regex: 50,
  dbPointer: 55,
  code: 60,
  codeWithScope: 65,
  maxKey: 127,
} as const;

/** The rank of a value's type: one of ORDER. */
export function typeOrder(value: Value | undefined): number {
  if (value === undefined) return ORDER.missing;
  if (value === null) return ORDER.null;
  if (typeof value === 'string') return ORDER.string;
  if (typeof value === 'boolean') return ORDER.bool;
  if (value instanceof Map) return ORDER.object;
  if (Array.isArray(value)) return ORDER.array;
  if (value instanceof Date) return ORDER.date;
  switch (value._bsontype) {
    case 'Int32':
    case 'Long':
    case 'Double':
    case 'Decimal128':
      return ORDER.number;
    case 'ObjectId':
      return ORDER.objectId;
    case 'Binary':
      return ORDER.binary;
    case 'BSONSymbol':
      return ORDER.string;
    case 'Timestamp':
      return ORDER.timestamp;
    case 'BSONRegExp':
      return ORDER.regex;
    case 'DBRef':
      return ORDER.dbPointer;
    case 'Code':
      return value.scope === null ? ORDER.code : ORDER.codeWithScope;
    case 'MinKey':
      return ORDER.minKey;
    case 'MaxKey':
      return ORDER.maxKey;
  }
}

const NAMES: Readonly<Record<string, string>> = {
  Int32: 'int',
  Long: 'long',
  Double: 'double',
  Decimal128: 'decimal',
  ObjectId: 'objectId',
  Binary: 'binData',
  BSONSymbol: 'symbol',
  Timestamp: 'timestamp',
  BSONRegExp: 'regex',
  DBRef: 'dbPointer',
  MinKey: 'minKey',
  MaxKey: 'maxKey',
};

/** MongoDB's alias of a value's type, as in $type: "int", "objectId", "javascriptWithScope"…; "missing" for undefined. */
export function typeName(value: Value | undefined): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'bool';
  if (value instanceof Map) return 'object';
  if (Array.isArray(value)) return 'array';
  if (value instanceof Date) return 'date';
  if (value instanceof Code) return value.scope === null ? 'javascript' : 'javascriptWithScope';
  return NAMES[value._bsontype] as string;
}

/** Compares strings by code point, which is the order of their UTF-8 bytes, but not that of JavaScript's `<`. */
function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // Surrogates encode code points above all other 16-bit units.
    const xHigh = x >= 0xd800 && x <= 0xdfff;
    const yHigh = y >= 0xd800 && y <= 0xdfff;
    if (xHigh !== yHigh) return xHigh ? 1 : -1;
    return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

/**
 * MongoDB's total order over all values: first by type, then by value; numbers of all types exactly, strings
 * by UTF-8 bytes or by the collator, documents field by field in their order (type, then name, then value).
 * Negative, zero or positive. A missing value (undefined) is below null.
 */
export function compareValues(a: Value | undefined, b: Value | undefined, collator?: Collator): number {
  if (a === b) return 0;
  if (typeof a === 'string' && typeof b === 'string') {
    return collator === undefined ? compareStrings(a, b) : collator.compare(a, b);
  }
  if (a instanceof Int32 && b instanceof Int32) return a.value - b.value;
  const order = typeOrder(a);
  const difference = order - typeOrder(b);
  if (difference !== 0) return difference;
  return (BY_ORDER[order] as Comparison)(a as never, b as never, collator);
}

/**
 * Equality in the sense of compareValues: `1`, `1.0` and `Long(1)` are equal, documents with different field order
 * are not.
 */
export function equalValues(a: Value | undefined, b: Value | undefined, collator?: Collator): boolean {
  return compareValues(a, b, collator) === 0;
}

type Comparison = (a: never, b: never, collator?: Collator) => number;

const scalar = (value: number | boolean): number => Number(value);
const text = (value: string | BSONSymbol): string => (typeof value === 'string' ? value : value.value);

function compareDocuments(a: Document, b: Document, collator?: Collator): number {
  const others = b.entries();
  for (const [name, value] of a) {
    const next = others.next();
    if (next.done === true) return 1;
    const [otherName, other] = next.value;
    const result =
      typeOrder(value) - typeOrder(other) ||
      compareStrings(name, otherName) ||
      compareValues(value, other, collator);
    if (result !== 0) return result;
  }
  return others.next().done === true ? 0 : -1;
}

function compareArrays(a: readonly Value[], b: readonly Value[], collator?: Collator): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const result = compareValues(a[i], b[i], collator);
    if (result !== 0) return result;
  }
  return a.length - b.length;
}

function compareBinary(a: Binary, b: Binary): number {
  return (
    a.position - b.position ||
    a.sub_type - b.sub_type ||
    Buffer.compare(a.buffer.subarray(0, a.position), b.buffer.subarray(0, b.position))
  );
}

function compareCodeWithScope(a: Code, b: Code): number {
  return (
    compareStrings(a.code, b.code) ||
    compareDocuments(a.scope as unknown as Document, b.scope as unknown as Document)
  );
}

const BY_ORDER: Readonly<Record<number, Comparison>> = {
  [ORDER.minKey]: () => 0,
  [ORDER.missing]: () => 0,
  [ORDER.null]: () => 0,
  [ORDER.maxKey]: () => 0,
  [ORDER.number]: compareNumbers,
  [ORDER.string]: (a: string | BSONSymbol, b: string | BSONSymbol, collator) =>
    collator === undefined ? compareStrings(text(a), text(b)) : collator.compare(text(a), text(b)),
  [ORDER.object]: compareDocuments,
  [ORDER.array]: compareArrays,
  [ORDER.binary]: compareBinary,
  [ORDER.objectId]: (a: ObjectId, b: ObjectId) => (a.equals(b) ? 0 : Buffer.compare(a.id, b.id)),
  [ORDER.bool]: (a: boolean, b: boolean) => scalar(a) - scalar(b),
  [ORDER.date]: (a: Date, b: Date) => a.getTime() - b.getTime(),
  [ORDER.timestamp]: (a: Timestamp, b: Timestamp) => a.t - b.t || a.i - b.i,
  [ORDER.regex]: (a: BSONRegExp, b: BSONRegExp) =>
    compareStrings(a.pattern, b.pattern) || compareStrings(a.options, b.options),
  [ORDER.dbPointer]: (a: DBRef, b: DBRef) =>
    compareStrings(a.collection, b.collection) || Buffer.compare(a.oid.id, b.oid.id),
  [ORDER.code]: (a: Code, b: Code) => compareStrings(a.code, b.code),
  [ORDER.codeWithScope]: compareCodeWithScope,
};
