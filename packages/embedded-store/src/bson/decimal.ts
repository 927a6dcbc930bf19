import { Decimal128 } from 'bson';

/**
 * A finite decimal number: (−1)^negative × coefficient × 10^exponent. Zero keeps its sign and exponent,
 * because Decimal128 does.
 */
export interface Decimal {
  negative: boolean;
  coefficient: bigint;
  exponent: number;
}

/** What a Decimal128 holds: a finite number, or one of its special values. */
export type DecimalValue = Decimal | 'NaN' | 'Infinity' | '-Infinity';

const BIAS = 6176;
const LOW_113 = (1n << 113n) - 1n;
const MAX_COEFFICIENT = 10n ** 34n - 1n;
const MAX_EXPONENT = 6111;

/** Decodes a Decimal128 (IEEE 754-2008, binary integer significand). */
export function parseDecimal(value: Decimal128): DecimalValue {
  const view = new DataView(value.bytes.buffer, value.bytes.byteOffset, 16);
  const high = view.getBigUint64(8, true);
  const negative = high >> 63n === 1n;
  const combination = Number((high >> 58n) & 31n);
  if (combination === 31) return 'NaN';
  if (combination === 30) return negative ? '-Infinity' : 'Infinity';
  // The form with two leading ones only encodes coefficients above the maximum, which count as zero.
  if (combination >= 24) {
    return { negative, coefficient: 0n, exponent: Number((high >> 47n) & 0x3fffn) - BIAS };
  }
  const exponent = Number((high >> 49n) & 0x3fffn) - BIAS;
  const coefficient = ((high << 64n) | view.getBigUint64(0, true)) & LOW_113;
  return { negative, coefficient: coefficient > MAX_COEFFICIENT ? 0n : coefficient, exponent };
}

/** Conversions need the same powers of ten again and again. */
const powers: bigint[] = [];
export function tenTo(exponent: number): bigint {
  return (powers[exponent] ??= 10n ** BigInt(exponent));
}

function digitCount(coefficient: bigint): number {
  return coefficient === 0n ? 1 : coefficient.toString().length;
}

/** Divides by a power of ten and rounds half to even, as Decimal128 arithmetic does. */
function shiftRight(coefficient: bigint, digits: number): bigint {
  const divisor = tenTo(digits);
  const quotient = coefficient / divisor;
  const twice = (coefficient % divisor) * 2n;
  const up = twice > divisor || (twice === divisor && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}

/**
 * Rounds a decimal to 34 digits and the exponent range of Decimal128, half to even; too large becomes infinite, too
 * small zero.
 */
export function toDecimal128(value: DecimalValue): Decimal128 {
  if (typeof value === 'string') return Decimal128.fromString(value);
  let { coefficient, exponent } = value;
  const excess = Math.max(digitCount(coefficient) - 34, -BIAS - exponent, 0);
  if (excess > 0) {
    coefficient = excess > 6200 ? 0n : shiftRight(coefficient, excess);
    exponent += excess;
    if (coefficient > MAX_COEFFICIENT) {
      coefficient = coefficient / 10n;
      exponent++;
    }
  }
  if (coefficient === 0n) exponent = Math.min(Math.max(exponent, -BIAS), MAX_EXPONENT);
  if (exponent > MAX_EXPONENT) {
    const padding = exponent - MAX_EXPONENT;
    if (digitCount(coefficient) + padding > 34)
      return Decimal128.fromString(value.negative ? '-Infinity' : 'Infinity');
    coefficient *= tenTo(padding);
    exponent = MAX_EXPONENT;
  }
  const sign = value.negative ? 1n << 63n : 0n;
  const bits = ((sign | (BigInt(exponent + BIAS) << 49n)) << 64n) | coefficient;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, bits & 0xffff_ffff_ffff_ffffn, true);
  view.setBigUint64(8, bits >> 64n, true);
  return new Decimal128(bytes);
}

/** The nearest double, correctly rounded. */
export function decimalToNumber(value: DecimalValue): number {
  if (typeof value === 'string') return Number(value);
  return Number(`${value.negative ? '-' : ''}${value.coefficient}e${value.exponent}`);
}
