import { Decimal128, Double, Int32, Long, ObjectId } from 'bson';
import { typeName } from '../../bson/compare';
import { parseDecimal } from '../../bson/decimal';
import { whole } from '../../bson/decimal-arithmetic';
import { type NumberValue, integral, isNumber, toDecimal, toNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { isoDate } from '../date-format';
import { parseDate } from '../date-parse';
import { numberToString } from '../number-text';
import {
  type Node,
  type OperatorCompiler,
  type OperatorTable,
  argumentList,
  constantNode,
  foldedNode,
  isNullish,
  namedNodes,
} from '../scope';
import { truthy } from '../truth';

const INT = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
const LONG = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/** A value that cannot be converted: what `onError` of $convert catches. */
function conversionFailure(message: string): StoreError {
  return new StoreError('ConversionFailure', message);
}

function overflow(value: NumberValue): never {
  throw conversionFailure(
    `Conversion would overflow target type in $convert with no onError value: ${value.toString()}`,
  );
}

/** The integer part of a number that must lie within a type's range. */
function truncated(value: NumberValue, { min, max }: typeof INT): bigint {
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

function parseNumber(text: string, pattern: RegExp, what: string): string {
  if (pattern.test(text)) return text;
  throw conversionFailure(`Failed to parse number '${text}' in $convert with no onError value: ${what}`);
}

const INTEGER = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)$/i;

function parseInteger(text: string, { min, max }: typeof INT): bigint {
  const value = BigInt(parseNumber(text, INTEGER, 'Bad digit').replace('+', ''));
  if (value >= min && value <= max) return value;
  throw conversionFailure(`Failed to parse number '${text}' in $convert with no onError value: Overflow`);
}

function parseDouble(text: string): number {
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

function parseObjectId(text: string): ObjectId {
  if (/^[0-9a-fA-F]{24}$/.test(text)) return new ObjectId(text);
  throw conversionFailure(`Failed to parse objectId '${text}' in $convert with no onError value`);
}

function dateOf(value: NumberValue): Date {
  const date = new Date(Number(truncated(value, LONG)));
  return Number.isNaN(date.getTime()) ? overflow(value) : date;
}

type Conversion = (value: Value) => Value | undefined;

/** Conversions by target type; undefined where there is none from the given type. */
const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  bool: (value) => truthy(value),
  double(value) {
    if (typeof value === 'string') return new Double(parseDouble(value));
    if (typeof value === 'boolean') return new Double(value ? 1 : 0);
    if (value instanceof Date) return new Double(value.getTime());
    if (!isNumber(value)) return undefined;
    const number = toNumber(value);
    const finite = !(value instanceof Decimal128) || typeof parseDecimal(value) === 'string';
    return finite || Number.isFinite(number) ? new Double(number) : overflow(value);
  },
  decimal(value) {
    if (typeof value === 'string') {
      return Decimal128.fromStringWithRounding(parseNumber(value, DECIMAL, 'Failed to parse'));
    }
    if (typeof value === 'boolean') return Decimal128.fromString(value ? '1' : '0');
    if (value instanceof Date) return Decimal128.fromString(String(value.getTime()));
    return isNumber(value) ? toDecimal(value) : undefined;
  },
  int(value) {
    if (typeof value === 'string') return new Int32(Number(parseInteger(value, INT)));
    if (typeof value === 'boolean') return new Int32(value ? 1 : 0);
    return isNumber(value) ? new Int32(Number(truncated(value, INT))) : undefined;
  },
  long(value) {
    if (typeof value === 'string') return Long.fromBigInt(parseInteger(value, LONG));
    if (typeof value === 'boolean') return Long.fromNumber(value ? 1 : 0);
    if (value instanceof Date) return Long.fromNumber(value.getTime());
    return isNumber(value) ? Long.fromBigInt(truncated(value, LONG)) : undefined;
  },
  date(value) {
    if (typeof value === 'string') return parseDate(value);
    if (value instanceof Date) return value;
    if (value instanceof ObjectId) return value.getTimestamp();
    // MongoDB takes no 32-bit integer for a date: it is too short for the milliseconds of today.
    return isNumber(value) && !(value instanceof Int32) ? dateOf(value) : undefined;
  },
  objectId(value) {
    if (value instanceof ObjectId) return value;
    return typeof value === 'string' ? parseObjectId(value) : undefined;
  },
  string(value) {
    if (typeof value === 'string') return value;
    if (typeof value === 'boolean') return String(value);
    if (isNumber(value)) return numberToString(value);
    if (value instanceof Date) return isoDate(value);
    return value instanceof ObjectId ? value.toHexString() : undefined;
  },
};

/** Type names by their numbers, for `to: 16`. */
const BY_NUMBER: Readonly<Record<number, string>> = {
  1: 'double',
  2: 'string',
  3: 'object',
  4: 'array',
  5: 'binData',
  6: 'undefined',
  7: 'objectId',
  8: 'bool',
  9: 'date',
  10: 'null',
  11: 'regex',
  12: 'dbPointer',
  13: 'javascript',
  14: 'symbol',
  15: 'javascriptWithScope',
  16: 'int',
  17: 'timestamp',
  18: 'long',
  19: 'decimal',
  [-1]: 'minKey',
  127: 'maxKey',
};
const NAMES = new Set([...Object.values(BY_NUMBER), 'missing']);

function targetName(to: Value): string {
  if (typeof to === 'string') {
    if (!NAMES.has(to)) throw new StoreError('BadValue', `Unknown type name: ${to}`);
    return to;
  }
  if (!isNumber(to)) {
    throw new StoreError(
      'FailedToParse',
      `$convert's 'to' argument must be a string or number, but is ${typeOf(to)}`,
    );
  }
  const number = integral(to);
  const name = number === undefined ? undefined : BY_NUMBER[Number(number)];
  if (name === undefined) {
    throw new StoreError(
      'FailedToParse',
      `In $convert, numeric value for 'to' does not correspond to a BSON type`,
    );
  }
  return name;
}

function convert(value: Value, target: string): Value {
  const conversion = CONVERSIONS[target];
  const converted = conversion?.(value);
  if (converted !== undefined) return converted;
  throw conversionFailure(
    `Unsupported conversion from ${typeName(value)} to ${target} in $convert with no onError value`,
  );
}

function shortcut(target: string): OperatorCompiler {
  return (argument, context, name) => {
    const list = argumentList(argument);
    if (list.length !== 1) {
      throw new StoreError(50723, `${name} requires a single argument, got ${list.length}`);
    }
    const node = context.compile(list[0] as Value);
    return foldedNode([node], (scope) => {
      const value = node.evaluate(scope);
      return isNullish(value) ? null : convert(value, target);
    });
  };
}

function compileConvert(argument: Value, context: Parameters<OperatorCompiler>[1], name: string): Node {
  const code = 9;
  const { input, to, onError, onNull } = namedNodes(argument, context, name, {
    required: ['input', 'to'],
    optional: ['onError', 'onNull'],
    codes: { object: code, unknown: code, missing: code },
  }) as { input: Node; to: Node; onError: Node | undefined; onNull: Node | undefined };
  return foldedNode([input, to, onError ?? constantNode(null), onNull ?? constantNode(null)], (scope) => {
    const type = to.evaluate(scope);
    const target = isNullish(type) ? undefined : targetName(type);
    const value = input.evaluate(scope);
    if (isNullish(value)) return onNull === undefined ? null : onNull.evaluate(scope);
    if (target === undefined) return null;
    try {
      return convert(value, target);
    } catch (error) {
      const caught = error instanceof StoreError && error.codeName === 'ConversionFailure';
      if (!caught || onError === undefined) throw error;
      return onError.evaluate(scope);
    }
  });
}

/** $convert and its short forms ($toInt …). */
export const CONVERT: OperatorTable = {
  $convert: compileConvert,
  $toBool: shortcut('bool'),
  $toDate: shortcut('date'),
  $toDecimal: shortcut('decimal'),
  $toDouble: shortcut('double'),
  $toInt: shortcut('int'),
  $toLong: shortcut('long'),
  $toObjectId: shortcut('objectId'),
  $toString: shortcut('string'),
};
