import { BSONSymbol, Decimal128, Double, Int32, Long, ObjectId } from 'bson';
import { encode } from '../bson/codec';
import { compareValues } from '../bson/compare';
import type { Value } from '../bson/types';
import type { Collator } from '../query/collation';

/**
 * A string that is the same for two values exactly when MongoDB considers them equal: numbers by their value across
 * all number types, documents with their field order, strings by the collation. $group, $addToSet and the set
 * operators use it as hash key. A missing value has its own key.
 */
export function valueKey(value: Value | undefined, collator?: Collator): string {
  if (typeof value === 'string') return stringKey(value, collator);
  if (value === undefined) return 'u';
  if (value === null) return 'z';
  if (typeof value === 'boolean') return value ? 'b1' : 'b0';
  if (value instanceof Int32) return `n${value.value}`;
  if (value instanceof Long) return `n${value.toString()}`;
  if (value instanceof Double) return doubleKey(value.value);
  if (value instanceof Decimal128) return decimalKey(value);
  if (value instanceof Date) return `t${value.getTime()}`;
  if (value instanceof ObjectId) return `o${value.toHexString()}`;
  if (Array.isArray(value)) return `[${value.map((item) => valueKey(item, collator)).join(',')}]`;
  if (value instanceof Map) {
    let key = '{';
    for (const [name, item] of value) key += `${name.length}:${name}${valueKey(item, collator)};`;
    return `${key}}`;
  }
  if (value instanceof BSONSymbol) return stringKey(value.value, collator);
  return `x${Buffer.from(encode(new Map([['', value]]))).toString('base64')}`;
}

function stringKey(text: string, collator: Collator | undefined): string {
  if (collator === undefined) return `s${text.length}:${text}`;
  const key = collator.key(text);
  const sortKey = typeof key === 'string' ? key : Buffer.from(key).toString('latin1');
  return `c${sortKey.length}:${sortKey}`;
}

function doubleKey(value: number): string {
  if (Number.isSafeInteger(value)) return `n${value === 0 ? 0 : value}`;
  if (Number.isInteger(value)) return `n${BigInt(value)}`;
  return `d${value}`;
}

function decimalKey(value: Decimal128): string {
  const text = value.toString();
  const asDouble = Number(text);
  if (Number.isNaN(asDouble)) return 'dNaN';
  if (compareValues(value, new Double(asDouble)) === 0) return doubleKey(asDouble);
  // No double equals it: reduce it to digits and exponent, so that 1.50 and 15E-1 have the same key.
  const match = /^(-?)(\d*)\.?(\d*)(?:E([+-]?\d+))?$/.exec(text);
  if (match === null) return `e${text}`;
  const [, sign = '', whole = '', fraction = '', power = '0'] = match;
  const digits = (whole + fraction).replace(/^0+/, '');
  const kept = digits.replace(/0+$/, '');
  const exponent = Number(power) - fraction.length + digits.length - kept.length;
  const length = kept.length + exponent;
  // A 64-bit integer may lie between two doubles and still equal a decimal.
  if (exponent >= 0 && length <= 19) return `n${sign}${kept}${'0'.repeat(exponent)}`;
  return `e${sign}${kept}E${exponent}`;
}
