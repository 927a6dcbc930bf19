import { Decimal128, Double, Int32, Long, ObjectId } from 'bson';
import { typeName } from '../../bson/compare';
import { parseDecimal } from '../../bson/decimal';
import { integral, isNumber, toDecimal, toNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import {
  DECIMAL,
  INT,
  LONG,
  conversionFailure,
  dateOf,
  overflow,
  parseDouble,
  parseInteger,
  parseNumber,
  parseObjectId,
  truncated,
} from '../conversions';
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
    // MongoDB does not convert 32-bit integers to dates: they are too short for milliseconds.
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
