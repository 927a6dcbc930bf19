import { Decimal128, Double, ObjectId } from 'bson';
import { parseDecimal } from '../bson/decimal';
import { whole } from '../bson/decimal-arithmetic';
import { type NumberValue, integral, toNumber } from '../bson/numbers';
import { StoreError } from '../errors';

export const INT = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
export const LONG = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/** A value that cannot be converted: what `onError` of $convert catches. */
export function conversionFailure(message: string): StoreError {
  return new StoreError('ConversionFailure', message);
}

export function overflow(value: NumberValue): never {
  throw conversionFailure(
    `Conversion would overflow target type in $convert with no onError value: ${value.toString()}`,
  );
}

/** The integer part of a number that must lie within a type's range. */
export function truncated(value: NumberValue, { min, max }: typeof INT): bigint {
  const result = integerPart(value);
  return result >= min && result <= max ? result : overflow(value);
}

function integerPart(value: NumberValue): bigint {
  const number = toNumber(value);
  if (Number.isNaN(number)) {
    throw conversionFailure('Attempt to convert NaN value to integer type in $convert with no onError value');
  }
  if (!Number.isFinite(number)) {
    throw conversionFailure(
      'Attempt to convert infinity value to integer type in $convert with no onError value',
    );
  }
  if (value instanceof Double) return BigInt(Math.trunc(value.value));
  if (!(value instanceof Decimal128)) return integral(value) as bigint;
  if (Math.abs(number) > 1e20) return overflow(value);
  const decimal = parseDecimal(value);
  if (typeof decimal === 'string') return 0n;
  const exact = whole(decimal);
  if (exact !== undefined) return exact;
  if (decimal.exponent < -40) return 0n;
  const part = decimal.coefficient / 10n ** BigInt(-decimal.exponent);
  return decimal.negative ? -part : part;
}

export function parseNumber(text: string, pattern: RegExp, what: string): string {
  if (pattern.test(text)) return text;
  throw conversionFailure(`Failed to parse number '${text}' in $convert with no onError value: ${what}`);
}

const INTEGER = /^[+-]?\d+$/;
export const DECIMAL = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)$/i;

export function parseInteger(text: string, { min, max }: typeof INT): bigint {
  const value = BigInt(parseNumber(text, INTEGER, 'Bad digit').replace('+', ''));
  if (value >= min && value <= max) return value;
  throw conversionFailure(`Failed to parse number '${text}' in $convert with no onError value: Overflow`);
}

export function parseDouble(text: string): number {
  const lower = parseNumber(text, DECIMAL, 'Did not consume whole string.').toLowerCase();
  if (/nan/.test(lower)) return NaN;
  if (/inf/.test(lower)) return lower.startsWith('-') ? -Infinity : Infinity;
  const value = Number(lower);
  if (!Number.isFinite(value)) {
    throw conversionFailure(
      `Failed to parse number '${text}' in $convert with no onError value: Out of range`,
    );
  }
  return value;
}

export function parseObjectId(text: string): ObjectId {
  if (/^[0-9a-fA-F]{24}$/.test(text)) return new ObjectId(text);
  throw conversionFailure(`Failed to parse objectId '${text}' in $convert with no onError value`);
}

export function dateOf(value: NumberValue): Date {
  const date = new Date(Number(truncated(value, LONG)));
  return Number.isNaN(date.getTime()) ? overflow(value) : date;
}
