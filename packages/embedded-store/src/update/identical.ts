import {
  BSONRegExp,
  BSONSymbol,
  Binary,
  Code,
  DBRef,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson';
import type { Value } from '../bson/types';

/**
 * Whether two values would be stored as the same bytes: the test by which MongoDB decides that an update
 * changed nothing. Stricter than equality: 5 and 5.0 differ, and so do `{a: 1, b: 2}` and `{b: 2, a: 1}`.
 */
export function identical(a: Value | undefined, b: Value | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a === null || b === null) return false;
  if (typeof a !== 'object' || typeof b !== 'object') return false;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, i) => identical(item, b[i]));
  }
  if (a instanceof Map) return b instanceof Map && identicalDocuments(a, b);
  if (a instanceof Int32) return b instanceof Int32 && a.value === b.value;
  if (a instanceof Double) return b instanceof Double && Object.is(a.value, b.value);
  // Timestamp extends Long.
  if (a instanceof Timestamp || b instanceof Timestamp) {
    return a instanceof Timestamp && b instanceof Timestamp && a.high === b.high && a.low === b.low;
  }
  if (a instanceof Long) return b instanceof Long && a.high === b.high && a.low === b.low;
  if (a instanceof Date) return b instanceof Date && Object.is(a.getTime(), b.getTime());
  if (a instanceof ObjectId) return b instanceof ObjectId && a.equals(b);
  if (a instanceof Decimal128) return b instanceof Decimal128 && sameBytes(a.bytes, b.bytes);
  if (a instanceof Binary) {
    return b instanceof Binary && a.sub_type === b.sub_type && sameBytes(a.value(), b.value());
  }
  if (a instanceof BSONRegExp) {
    return b instanceof BSONRegExp && a.pattern === b.pattern && a.options === b.options;
  }
  if (a instanceof BSONSymbol) return b instanceof BSONSymbol && a.value === b.value;
  if (a instanceof MinKey) return b instanceof MinKey;
  if (a instanceof MaxKey) return b instanceof MaxKey;
  // A code's scope and a DBRef's fields are plain objects, and JSON keeps the order of their keys.
  if (a instanceof Code) {
    return b instanceof Code && a.code === b.code && JSON.stringify(a.scope) === JSON.stringify(b.scope);
  }
  return a instanceof DBRef && b instanceof DBRef && JSON.stringify(a) === JSON.stringify(b);
}

function identicalDocuments(a: ReadonlyMap<string, Value>, b: ReadonlyMap<string, Value>): boolean {
  if (a.size !== b.size) return false;
  const others = b.entries();
  for (const [name, value] of a) {
    const other = others.next().value;
    if (!other || other[0] !== name || !identical(value, other[1])) return false;
  }
  return true;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
