import { Decimal128, Double, Int32, Long } from 'bson';
import {
  type NumberValue,
  divide,
  integral,
  isNumber,
  mod,
  multiply,
  subtract,
  toNumber,
} from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { dateFrom } from '../date-arguments';
import { type OperatorTable, fixed, isNullish, variadic } from '../scope';
import { Summation } from '../summation';

/** $add, $subtract, $multiply, $divide, $mod, with MongoDB's result types and arithmetic on dates. */
export const ARITHMETIC: OperatorTable = {
  $add: variadic(sum),
  $subtract: fixed(2, ([a, b]) => difference(a, b)),
  $multiply: variadic(product),
  $divide: fixed(2, ([a, b]) => {
    if (isNullish(a) || isNullish(b)) return null;
    if (!isNumber(a) || !isNumber(b)) {
      throw new StoreError(16609, `$divide only supports numeric types, not ${typeOf(a)} and ${typeOf(b)}`);
    }
    if (toNumber(b) === 0) throw new StoreError(16608, "can't $divide by zero");
    return divide(a, b);
  }),
  $mod: fixed(2, ([a, b]) => {
    if (isNullish(a) || isNullish(b)) return null;
    if (!isNumber(a) || !isNumber(b)) {
      throw new StoreError(16611, `$mod only supports numeric types, not ${typeOf(a)} and ${typeOf(b)}`);
    }
    if (toNumber(b) === 0) throw new StoreError(16610, "can't $mod by zero");
    // A whole double counts as an integer when the other operand is one, but only on the right.
    const right = b instanceof Double && !(a instanceof Double) ? integerTwin(b) : b;
    return mod(a, right);
  }),
};

function integerTwin(value: Double): NumberValue {
  const whole = integral(value);
  return whole !== undefined && whole >= -(2n ** 31n) && whole < 2n ** 31n ? new Int32(Number(whole)) : value;
}

/** Arithmetic on 64-bit integers uses doubles when the result does not fit. */
function widened(
  operation: (a: NumberValue, b: NumberValue) => NumberValue,
  a: NumberValue,
  b: NumberValue,
): NumberValue {
  try {
    return operation(a, b);
  } catch (error) {
    if (!(error instanceof StoreError) || error.codeName !== 'Overflow') throw error;
    return operation(new Double(toNumber(a)), new Double(toNumber(b)));
  }
}

function sum(values: (Value | undefined)[]): Value {
  const total = new Summation();
  let date: Date | undefined;
  for (const value of values) {
    if (isNullish(value)) return null;
    if (value instanceof Date) {
      if (date !== undefined) throw new StoreError(16612, 'only one date allowed in an $add expression');
      date = value;
    } else if (isNumber(value)) {
      total.add(value);
    } else {
      throw new StoreError(16554, `$add only supports numeric or date types, not ${typeOf(value)}`);
    }
  }
  return date === undefined ? total.total() : dateFrom(date.getTime() + millis(total.total()));
}

/** A duration in milliseconds, rounded as MongoDB rounds doubles that are added to dates. */
function millis(value: NumberValue): number {
  const number = toNumber(value);
  return Number.isInteger(number) ? number : Math.sign(number) * Math.round(Math.abs(number));
}

function product(values: (Value | undefined)[]): Value {
  let result: NumberValue = new Int32(1);
  // The product in doubles, beside the exact one of integers, for the case that a double follows or the product
  // overflows.
  let inDoubles = 1;
  for (const value of values) {
    if (isNullish(value)) return null;
    if (!isNumber(value)) {
      throw new StoreError(16555, `$multiply only supports numeric types, not ${typeOf(value)}`);
    }
    if (value instanceof Decimal128 || result instanceof Decimal128) {
      result = multiply(result, value);
      continue;
    }
    inDoubles *= toNumber(value);
    const exact = value instanceof Double || result instanceof Double ? undefined : integers(result, value);
    result = exact ?? new Double(inDoubles);
  }
  return result;
}

function integers(a: NumberValue, b: NumberValue): NumberValue | undefined {
  const result = widened(multiply, a, b);
  return result instanceof Double ? undefined : result;
}

function difference(a: Value | undefined, b: Value | undefined): Value {
  if (isNullish(a) || isNullish(b)) return null;
  if (a instanceof Date) {
    if (b instanceof Date) return Long.fromNumber(a.getTime() - b.getTime());
    if (isNumber(b)) return dateFrom(a.getTime() - millis(b));
  }
  if (!isNumber(a) || !isNumber(b)) {
    const code = a instanceof Date ? 16613 : 16556;
    throw new StoreError(code, `cant $subtract a ${typeOf(b)} from a ${typeOf(a)}`);
  }
  return widened(subtract, a, b);
}
