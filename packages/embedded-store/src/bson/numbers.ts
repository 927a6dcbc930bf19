import { Decimal128, Double, Int32, Long } from 'bson';
import { StoreError } from '../errors';
import { decimalToNumber, parseDecimal, toDecimal128, type DecimalValue } from './decimal';
import * as decimals from './decimal-arithmetic';
import { asDecimal, type NumberValue } from './numeric-order';
import type { Value } from './types';

export { isNumber, type NumberValue } from './numeric-order';

const INT_MIN = -(2n ** 31n);
const INT_MAX = 2n ** 31n - 1n;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

/** A number of any type as the nearest double. */
export function toNumber(value: NumberValue): number {
  switch (value._bsontype) {
    case 'Int32':
    case 'Double':
      return value.value;
    case 'Long':
      return value.toNumber();
    case 'Decimal128':
      return decimalToNumber(parseDecimal(value));
  }
}

/**
 * The value as an integer, if it is a number of any type, whole and within 64 bits (`2.0` and Decimal128 `2` are
 * integers, `2.5`, NaN and strings are not); undefined otherwise.
 */
export function integral(value: Value | undefined): bigint | undefined {
  if (typeof value !== 'object' || value === null || !('_bsontype' in value)) return undefined;
  let integer: bigint;
  switch (value._bsontype) {
    case 'Int32':
      return BigInt(value.value);
    case 'Long':
      return value.toBigInt();
    case 'Double':
      if (!Number.isInteger(value.value)) return undefined;
      integer = BigInt(value.value);
      break;
    case 'Decimal128': {
      const whole = wholeDecimal(parseDecimal(value));
      if (whole === undefined) return undefined;
      integer = whole;
      break;
    }
    default:
      return undefined;
  }
  return integer >= LONG_MIN && integer <= LONG_MAX ? integer : undefined;
}

function wholeDecimal(value: DecimalValue): bigint | undefined {
  if (typeof value === 'string' || value.exponent > 19) {
    return typeof value !== 'string' && value.coefficient === 0n ? 0n : undefined;
  }
  return decimals.whole(value);
}

/** Any number as a Decimal128; a double is rounded to 15 significant digits, as MongoDB converts it. */
export function toDecimal(value: NumberValue): Decimal128 {
  switch (value._bsontype) {
    case 'Decimal128':
      return value;
    case 'Int32':
      return Decimal128.fromString(String(value.value));
    case 'Long':
      return toDecimal128(asDecimal(value));
    case 'Double':
      return toDecimal128(decimals.fromDouble(value.value));
  }
}

/** An integer as Int32 if it fits, else as Long; undefined beyond 64 bits. */
export function integerValue(value: bigint): Int32 | Long | undefined {
  if (value >= INT_MIN && value <= INT_MAX) return new Int32(Number(value));
  return longValue(value);
}

function longValue(value: bigint): Long | undefined {
  return value >= LONG_MIN && value <= LONG_MAX ? Long.fromBigInt(value) : undefined;
}

const isInteger = (value: NumberValue): value is Int32 | Long =>
  value._bsontype === 'Int32' || value._bsontype === 'Long';
const big = (value: Int32 | Long): bigint =>
  value._bsontype === 'Int32' ? BigInt(value.value) : value.toBigInt();

interface Operation {
  integers(a: bigint, b: bigint): bigint;
  doubles(a: number, b: number): number;
  decimals(a: DecimalValue, b: DecimalValue): DecimalValue;
}

/**
 * The result has the wider of the two types: decimal, then double, then long, then int; an int result that does not
 * fit becomes long, and a long result that does not fit is an Overflow error.
 */
function apply(operation: Operation, a: NumberValue, b: NumberValue): NumberValue {
  if (a._bsontype === 'Decimal128' || b._bsontype === 'Decimal128') {
    return toDecimal128(operation.decimals(parseDecimal(toDecimal(a)), parseDecimal(toDecimal(b))));
  }
  if (!isInteger(a) || !isInteger(b)) return new Double(operation.doubles(toNumber(a), toNumber(b)));
  const result = operation.integers(big(a), big(b));
  const bothInts = a._bsontype === 'Int32' && b._bsontype === 'Int32';
  const value = bothInts ? integerValue(result) : longValue(result);
  if (value === undefined) throw new StoreError('Overflow', 'the result does not fit into a 64-bit integer');
  return value;
}

const ADD: Operation = { integers: (a, b) => a + b, doubles: (a, b) => a + b, decimals: decimals.add };
const SUBTRACT: Operation = {
  integers: (a, b) => a - b,
  doubles: (a, b) => a - b,
  decimals: (a, b) => decimals.add(a, decimals.negate(b)),
};
const MULTIPLY: Operation = {
  integers: (a, b) => a * b,
  doubles: (a, b) => a * b,
  decimals: decimals.multiply,
};
const MOD: Operation = { integers: (a, b) => a % b, doubles: (a, b) => a % b, decimals: decimals.remainder };

/** a + b with MongoDB's result type ($inc, $add). Throws Overflow when a 64-bit integer result does not fit. */
export function add(a: NumberValue, b: NumberValue): NumberValue {
  return apply(ADD, a, b);
}

/** a − b with MongoDB's result type. Throws Overflow when a 64-bit integer result does not fit. */
export function subtract(a: NumberValue, b: NumberValue): NumberValue {
  return apply(SUBTRACT, a, b);
}

/** a × b with MongoDB's result type ($mul, $multiply). Throws Overflow when a 64-bit integer result does not fit. */
export function multiply(a: NumberValue, b: NumberValue): NumberValue {
  return apply(MULTIPLY, a, b);
}

/** a mod b with the sign of a (C's %, as $mod). The caller must refuse b = 0; here integers throw BadValue. */
export function mod(a: NumberValue, b: NumberValue): NumberValue {
  if (isInteger(a) && isInteger(b) && big(b) === 0n) throw new StoreError('BadValue', "can't mod by zero");
  return apply(MOD, a, b);
}

/** a ÷ b: a Decimal128 if one of them is, else a double, as $divide returns. The caller must refuse b = 0. */
export function divide(a: NumberValue, b: NumberValue): NumberValue {
  if (a._bsontype === 'Decimal128' || b._bsontype === 'Decimal128') {
    return toDecimal128(decimals.divide(parseDecimal(toDecimal(a)), parseDecimal(toDecimal(b))));
  }
  return new Double(toNumber(a) / toNumber(b));
}

/** Whether a number of any type is NaN. */
export function isNaNValue(value: NumberValue): boolean {
  if (value._bsontype === 'Double') return Number.isNaN(value.value);
  return value._bsontype === 'Decimal128' && parseDecimal(value) === 'NaN';
}
