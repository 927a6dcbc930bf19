import { tenTo, type Decimal, type DecimalValue } from './decimal';

/** Working precision of division: the 34 digits of the result, and enough beyond them to round once. */
const DIVISION_DIGITS = 40;

const isSpecial = (value: DecimalValue): value is Exclude<DecimalValue, Decimal> => typeof value === 'string';
const isNegative = (value: DecimalValue): boolean =>
  isSpecial(value) ? value === '-Infinity' : value.negative;
const isZero = (value: DecimalValue): boolean => !isSpecial(value) && value.coefficient === 0n;
const infinity = (negative: boolean): DecimalValue => (negative ? '-Infinity' : 'Infinity');

/** A finite decimal as an integer; undefined when it has a fraction. */
export function whole(value: Decimal): bigint | undefined {
  const signed = value.negative ? -value.coefficient : value.coefficient;
  if (value.exponent >= 0) return signed * tenTo(value.exponent);
  // Dividing by 10^6176 would be slow, and no coefficient is that long.
  if (value.exponent < -34) return signed === 0n ? 0n : undefined;
  const divisor = tenTo(-value.exponent);
  return signed % divisor === 0n ? signed / divisor : undefined;
}

/** A double rounded to 15 significant digits, as MongoDB converts a double to a Decimal128. */
export function fromDouble(value: number): DecimalValue {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return infinity(value < 0);
  const negative = value < 0 || Object.is(value, -0);
  if (value === 0) return { negative, coefficient: 0n, exponent: 0 };
  const [digits, power] = Math.abs(value).toExponential(14).split('e') as [string, string];
  return { negative, coefficient: BigInt(digits.replace('.', '')), exponent: Number(power) - 14 };
}

export function negate(value: DecimalValue): DecimalValue {
  if (value === 'NaN') return value;
  if (isSpecial(value)) return infinity(value === 'Infinity');
  return { ...value, negative: !value.negative };
}

export function add(a: DecimalValue, b: DecimalValue): DecimalValue {
  if (isSpecial(a) || isSpecial(b)) {
    if (a === 'NaN' || b === 'NaN') return 'NaN';
    if (isSpecial(a) && isSpecial(b)) return a === b ? a : 'NaN';
    return isSpecial(a) ? a : b;
  }
  const exponent = Math.min(a.exponent, b.exponent);
  const sum = signedAt(a, exponent) + signedAt(b, exponent);
  return { negative: sum < 0n || (sum === 0n && a.negative && b.negative), coefficient: abs(sum), exponent };
}

export function multiply(a: DecimalValue, b: DecimalValue): DecimalValue {
  const negative = isNegative(a) !== isNegative(b);
  if (isSpecial(a) || isSpecial(b)) {
    return a === 'NaN' || b === 'NaN' || isZero(a) || isZero(b) ? 'NaN' : infinity(negative);
  }
  return { negative, coefficient: a.coefficient * b.coefficient, exponent: a.exponent + b.exponent };
}

export function divide(a: DecimalValue, b: DecimalValue): DecimalValue {
  const negative = isNegative(a) !== isNegative(b);
  if (a === 'NaN' || b === 'NaN' || (isSpecial(a) && isSpecial(b)) || (isZero(a) && isZero(b))) return 'NaN';
  if (isSpecial(a) || isZero(b)) return infinity(negative);
  if (isSpecial(b)) return { negative, coefficient: 0n, exponent: 0 };
  const numerator = a.coefficient * tenTo(DIVISION_DIGITS + 34);
  const exact = numerator % b.coefficient === 0n;
  // A last digit that is not zero prevents an inexact quotient from being rounded like a tie.
  const quotient = exact ? numerator / b.coefficient : (numerator / b.coefficient) * 10n + 1n;
  const exponent = a.exponent - b.exponent - DIVISION_DIGITS - 34 - (exact ? 0 : 1);
  return exact
    ? reduce(negative, quotient, exponent, a.exponent - b.exponent)
    : { negative, coefficient: quotient, exponent };
}

/** The remainder with the sign of a, as C's fmod. */
export function remainder(a: DecimalValue, b: DecimalValue): DecimalValue {
  if (isSpecial(a) || b === 'NaN' || isZero(b)) return 'NaN';
  if (isSpecial(b)) return a;
  const exponent = Math.min(a.exponent, b.exponent);
  const rest = signedAt(a, exponent) % signedAt(b, exponent);
  return { negative: a.negative, coefficient: abs(rest), exponent };
}

function signedAt(value: Decimal, exponent: number): bigint {
  const coefficient = value.coefficient * tenTo(value.exponent - exponent);
  return value.negative ? -coefficient : coefficient;
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}

/** Removes the zeros that the working precision added to an exact quotient, down to its natural exponent. */
function reduce(negative: boolean, coefficient: bigint, exponent: number, ideal: number): Decimal {
  while (exponent < ideal && coefficient % 10n === 0n) {
    coefficient /= 10n;
    exponent++;
  }
  return { negative, coefficient, exponent };
}
