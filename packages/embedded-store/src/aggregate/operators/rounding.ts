import { Decimal128, Double, Int32, Long } from 'bson';
import { parseDecimal, toDecimal128, tenTo } from '../../bson/decimal';
import { type NumberValue, integerValue, integral, isNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { type OperatorTable, fixed, isNullish, ranged } from '../scope';

/** How a fraction is dropped. */
type Mode = 'floor' | 'ceil' | 'trunc' | 'even';

/** $abs, $ceil, $floor, $round, $trunc. Integers keep their type, doubles stay doubles. */
export const ROUNDING: OperatorTable = {
  $abs: fixed(1, ([value], _context, name) => {
    if (isNullish(value)) return null;
    const number = numeric(value, name);
    if (number instanceof Int32) return integerValue(BigInt(Math.abs(number.value)));
    if (number instanceof Double) return new Double(Math.abs(number.value));
    if (number instanceof Long) {
      if (number.equals(Long.MIN_VALUE)) throw new StoreError(28680, "can't take $abs of long long min");
      return number.isNegative() ? number.negate() : number;
    }
    const decimal = parseDecimal(number);
    if (typeof decimal === 'string')
      return decimal === '-Infinity' ? Decimal128.fromString('Infinity') : number;
    return toDecimal128({ ...decimal, negative: false });
  }),
  $ceil: fixed(1, ([value], _context, name) =>
    isNullish(value) ? null : round(numeric(value, name), 0, 'ceil'),
  ),
  $floor: fixed(1, ([value], _context, name) =>
    isNullish(value) ? null : round(numeric(value, name), 0, 'floor'),
  ),
  $round: ranged(1, 2, (values, _context, name) => roundTo(values, name, 'even')),
  $trunc: ranged(1, 2, (values, _context, name) => roundTo(values, name, 'trunc')),
};

/** The value as a number. Throws 28765 for anything else. */
export function numeric(value: Value, name: string): NumberValue {
  if (isNumber(value)) return value;
  throw new StoreError(28765, `${name} only supports numeric types, not ${typeOf(value)}`);
}

function roundTo(values: (Value | undefined)[], name: string, mode: Mode): Value {
  const [value, place] = values;
  if (isNullish(value) || (values.length > 1 && isNullish(place))) return null;
  if (!isNumber(value)) {
    throw new StoreError(51081, `${name} only supports numeric types, not ${typeOf(value)}`);
  }
  const digits = values.length > 1 ? integral(place) : 0n;
  if (digits === undefined) {
    throw new StoreError(51082, `precision argument to ${name} must be an integral value`);
  }
  if (digits < -20n || digits > 100n) {
    throw new StoreError(
      51083,
      `cannot apply ${name} with precision value ${digits} value must be in [-20, 100]`,
    );
  }
  return round(value, Number(digits), mode);
}

function round(value: NumberValue, digits: number, mode: Mode): Value {
  if (value instanceof Double) return new Double(roundDouble(value.value, digits, mode));
  if (value instanceof Decimal128) return roundDecimal(value, digits, mode);
  if (digits >= 0) return value;
  const whole = scaled(integral(value) as bigint, -digits, mode) * tenTo(-digits);
  const result = value instanceof Int32 ? integerValue(whole) : undefined;
  if (result !== undefined) return result;
  if (whole > 2n ** 63n - 1n || whole < -(2n ** 63n)) {
    throw new StoreError(51080, 'invalid conversion from Decimal128 result in $round');
  }
  return Long.fromBigInt(whole);
}

/** value / 10^digits, rounded to an integer. */
function scaled(value: bigint, digits: number, mode: Mode): bigint {
  const divisor = tenTo(digits);
  const quotient = value / divisor;
  const rest = value % divisor;
  if (rest === 0n || mode === 'trunc') return quotient;
  const away = quotient + (value < 0n ? -1n : 1n);
  if (mode === 'floor') return value < 0n ? away : quotient;
  if (mode === 'ceil') return value < 0n ? quotient : away;
  const twice = (rest < 0n ? -rest : rest) * 2n;
  if (twice === divisor) return quotient % 2n === 0n ? quotient : away;
  return twice > divisor ? away : quotient;
}

function roundDouble(value: number, digits: number, mode: Mode): number {
  if (!Number.isFinite(value)) return value;
  if (digits === 0) {
    if (mode === 'floor') return Math.floor(value);
    if (mode === 'ceil') return Math.ceil(value);
    return mode === 'trunc' ? Math.trunc(value) : roundHalfEven(value);
  }
  // As MongoDB does: over the exact decimal value of the double.
  const exact = exactDecimal(value);
  if (digits >= exact.places) return value;
  const cut = exact.places - digits;
  const whole = scaled(exact.coefficient, cut, mode);
  const sign = whole === 0n && value < 0 ? '-' : '';
  return Number(`${sign}${whole}e${-digits}`);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
  return up ? (floor === -1 ? -0 : floor + 1) : floor;
}

/** A finite double as coefficient × 10^-places, exactly. */
function exactDecimal(value: number): { coefficient: bigint; places: number } {
  let places = 0;
  let scaledValue = value;
  while (!Number.isInteger(scaledValue)) {
    scaledValue *= 2;
    places++;
  }
  return { coefficient: BigInt(scaledValue) * 5n ** BigInt(places), places };
}

function roundDecimal(value: Decimal128, digits: number, mode: Mode): Decimal128 {
  const decimal = parseDecimal(value);
  if (typeof decimal === 'string') return value;
  const cut = -decimal.exponent - digits;
  if (cut <= 0) return value;
  const signed = decimal.negative ? -decimal.coefficient : decimal.coefficient;
  const whole = cut > 40 ? roundTiny(signed, mode) : scaled(signed, cut, mode);
  return toDecimal128({
    negative: decimal.negative,
    coefficient: whole < 0n ? -whole : whole,
    exponent: -digits,
  });
}

/** Rounds a decimal whose digits are all far below the rounding position. */
function roundTiny(value: bigint, mode: Mode): bigint {
  if (mode === 'floor' && value < 0n) return -1n;
  return mode === 'ceil' && value > 0n ? 1n : 0n;
}
