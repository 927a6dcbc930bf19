import { Double } from 'bson';
import type { Decimal128, Int32, Long } from 'bson';

const DIGITS = 16;

/** A number as text, as MongoDB converts it: doubles with 16 significant digits, as C's "%.16g" does. */
export function numberToString(value: Int32 | Long | Double | Decimal128): string {
  return value instanceof Double ? doubleToString(value.value) : value.toString();
}

function doubleToString(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [mantissa = '', power = '0'] = value.toExponential(DIGITS - 1).split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= DIGITS) {
    const sign = exponent < 0 ? '-' : '+';
    return `${trimZeros(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  return trimZeros(value.toFixed(Math.max(0, DIGITS - 1 - exponent)));
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}
