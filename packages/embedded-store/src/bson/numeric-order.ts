import type { Decimal128, Double, Int32, Long } from 'bson';
import { decimalToNumber, parseDecimal, tenTo, type Decimal } from './decimal';
import type { Value } from './types';

/** One of BSON's four number types. */
export type NumberValue = Int32 | Long | Double | Decimal128;

/** Whether a value is of one of the four number types. */
export function isNumber(value: Value | undefined): value is NumberValue {
  if (typeof value !== 'object' || value === null || !('_bsontype' in value)) return false;
  const type = value._bsontype;
  return type === 'Int32' || type === 'Double' || type === 'Long' || type === 'Decimal128';
}

const TWO_53 = 2 ** 53;

/** A number as a double, when that is exact; undefined otherwise. */
export function exactDouble(value: NumberValue): number | undefined {
  switch (value._bsontype) {
    case 'Int32':
    case 'Double':
      return value.value;
    case 'Long': {
      const near = value.toNumber();
      // 2^53 itself may be the rounded value of a neighbour.
      if (near > -TWO_53 && near < TWO_53) return near;
      // 2^63 is not a Long, so converting back must not saturate.
      return near < 2 ** 63 && BigInt(near) === value.toBigInt() ? near : undefined;
    }
    case 'Decimal128': {
      const decimal = parseDecimal(value);
      const near = decimalToNumber(decimal);
      if (typeof decimal === 'string') return near;
      return Number.isFinite(near) && compareToDouble(decimal, near) === 0 ? near : undefined;
    }
  }
}

/** A finite number as an exact decimal; not for doubles, which can need hundreds of digits. */
export function asDecimal(value: Long | Decimal128): Decimal {
  if (value._bsontype === 'Decimal128') {
    const decimal = parseDecimal(value);
    return typeof decimal === 'string' ? { negative: false, coefficient: 0n, exponent: 0 } : decimal;
  }
  const integer = value.toBigInt();
  return { negative: integer < 0n, coefficient: integer < 0n ? -integer : integer, exponent: 0 };
}

function compareBig(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareDecimals(a: Decimal, b: Decimal): number {
  const signed = (value: Decimal): bigint => (value.negative ? -value.coefficient : value.coefficient);
  if (a.coefficient === 0n || b.coefficient === 0n || a.negative !== b.negative) {
    return compareBig(signed(a), signed(b));
  }
  const shift = a.exponent - b.exponent;
  return shift >= 0
    ? compareBig(signed(a) * tenTo(shift), signed(b))
    : compareBig(signed(a), signed(b) * tenTo(-shift));
}

const parts = new DataView(new ArrayBuffer(8));

/** Compares a decimal with a finite double exactly: both become integers over one denominator. */
export function compareToDouble(a: Decimal, b: number): number {
  parts.setFloat64(0, b);
  const bits = parts.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  let right = biased === 0 ? fraction : fraction | (1n << 52n);
  if (b < 0) right = -right;
  let left = a.negative ? -a.coefficient : a.coefficient;
  const power = (biased === 0 ? 1 : biased) - 1075;
  if (power >= 0) right <<= BigInt(power);
  else left <<= BigInt(-power);
  if (a.exponent >= 0) left *= tenTo(a.exponent);
  else right *= tenTo(-a.exponent);
  return compareBig(left, right);
}

function compareDoubles(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  // NaN equals itself and is below every other number.
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : -1;
  return 1;
}

/** The order of numbers of all four types, exact to the last digit. NaN is equal to itself and below all others. */
export function compareNumbers(a: NumberValue, b: NumberValue): number {
  const x = exactDouble(a);
  const y = exactDouble(b);
  if (x !== undefined && y !== undefined) return compareDoubles(x, y);
  if (x === undefined) {
    const left = asDecimal(a as Long | Decimal128);
    return y === undefined
      ? compareDecimals(left, asDecimal(b as Long | Decimal128))
      : againstDouble(left, y);
  }
  return -againstDouble(asDecimal(b as Long | Decimal128), x);
}

function againstDouble(a: Decimal, b: number): number {
  if (Number.isNaN(b)) return 1;
  if (!Number.isFinite(b)) return b > 0 ? -1 : 1;
  return compareToDouble(a, b);
}
