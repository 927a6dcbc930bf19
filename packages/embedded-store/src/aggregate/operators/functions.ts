import { Decimal128, Double, Int32, Long } from 'bson';
import { type NumberValue, integerValue, integral, isNumber, toNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { type OperatorCompiler, type OperatorTable, fixed, isNullish } from '../scope';
import { numeric } from './rounding';

/**
 * A function on doubles. Decimals would need 34 correct digits, which JavaScript's functions do not give;
 * they are refused rather than answered inexactly.
 */
function real(
  compute: (value: number) => number,
  domain?: { test: (value: number) => boolean; code: number; message: string },
): OperatorCompiler {
  return fixed(1, ([value], _context, name) => {
    if (isNullish(value)) return null;
    const number = double(numeric(value, name), name);
    if (domain !== undefined && !Number.isNaN(number) && !domain.test(number)) {
      throw new StoreError(domain.code, `${domain.message}, but is ${number}`);
    }
    return new Double(compute(number));
  });
}

function double(value: NumberValue, name: string): number {
  if (value instanceof Decimal128) {
    throw new StoreError('CommandNotSupported', `${name} is not supported on Decimal128 here`);
  }
  return toNumber(value);
}

const positive = (code: number, name: string) => ({
  test: (value: number): boolean => value > 0,
  code,
  message: `${name}'s argument must be a positive number`,
});

const unit = (test: (value: number) => boolean, name: string) => ({
  test,
  code: 50989,
  message: `cannot apply ${name} to the value, which is out of its bounds`,
});

const within = (value: number): boolean => Math.abs(value) <= 1;
const finite = (value: number): boolean => Number.isFinite(value);

/** Powers, logarithms and trigonometry, on doubles and integers. */
export const FUNCTIONS: OperatorTable = {
  $exp: real(Math.exp),
  $ln: real(Math.log, positive(28766, '$ln')),
  $log10: real(Math.log10, positive(28761, '$log10')),
  $sqrt: real(Math.sqrt, {
    test: (value) => value >= 0,
    code: 28714,
    message: "$sqrt's argument must be greater than or equal to 0",
  }),
  $log: fixed(2, ([value, base]) => {
    if (isNullish(value) || isNullish(base)) return null;
    if (!isNumber(value))
      throw new StoreError(28756, `$log's argument must be numeric, not ${typeOf(value)}`);
    if (!isNumber(base)) throw new StoreError(28757, `$log's base must be numeric, not ${typeOf(base)}`);
    const x = double(value, '$log');
    const b = double(base, '$log');
    if (x <= 0) throw new StoreError(28758, `$log's argument must be a positive number, but is ${x}`);
    if (b <= 0 || b === 1) {
      throw new StoreError(28759, `$log's base must be a positive number not equal to 1, but is ${b}`);
    }
    return new Double(Math.log(x) / Math.log(b));
  }),
  $pow: fixed(2, ([base, exponent]) => power(base, exponent)),
  $sin: real(Math.sin, unit(finite, '$sin')),
  $cos: real(Math.cos, unit(finite, '$cos')),
  $tan: real(Math.tan, unit(finite, '$tan')),
  $asin: real(Math.asin, unit(within, '$asin')),
  $acos: real(Math.acos, unit(within, '$acos')),
  $atan: real(Math.atan),
  $atan2: fixed(2, ([y, x], _context, name) => {
    if (isNullish(y) || isNullish(x)) return null;
    if (!isNumber(y) || !isNumber(x)) {
      throw new StoreError(51044, `$atan2 only supports numeric types, not ${typeOf(y)} and ${typeOf(x)}`);
    }
    return new Double(Math.atan2(double(y, name), double(x, name)));
  }),
  $sinh: real(Math.sinh),
  $cosh: real(Math.cosh),
  $tanh: real(Math.tanh),
  $asinh: real(Math.asinh),
  $acosh: real(
    Math.acosh,
    unit((value) => value >= 1, '$acosh'),
  ),
  $atanh: real(Math.atanh, unit(within, '$atanh')),
  $degreesToRadians: real((value) => value * (Math.PI / 180)),
  $radiansToDegrees: real((value) => value * (180 / Math.PI)),
  $bitAnd: bits((a, b) => a & b, -1),
  $bitOr: bits((a, b) => a | b, 0),
  $bitXor: bits((a, b) => a ^ b, 0),
  $bitNot: fixed(1, ([value], _context, name) => {
    if (isNullish(value)) return null;
    if (value instanceof Int32) return new Int32(~value.value);
    if (value instanceof Long) return value.not();
    throw new StoreError(28765, `${name} only supports int and long, not: ${typeOf(value)}.`);
  }),
};

function bits(combine: (a: bigint, b: bigint) => bigint, identity: number): OperatorCompiler {
  return (argument, context, name) =>
    // Any number of arguments; the neutral value when there are none.
    variadicBits(argument, context, name, combine, identity);
}

function variadicBits(
  argument: Value,
  context: Parameters<OperatorCompiler>[1],
  name: string,
  combine: (a: bigint, b: bigint) => bigint,
  identity: number,
): ReturnType<OperatorCompiler> {
  const nodes = (Array.isArray(argument) ? argument : [argument]).map((item) => context.compile(item));
  return {
    constant: false,
    evaluate(scope) {
      let result = BigInt(identity);
      let wide = false;
      for (const node of nodes) {
        const value = node.evaluate(scope);
        if (isNullish(value)) return null;
        if (!(value instanceof Int32) && !(value instanceof Long)) {
          throw new StoreError('TypeMismatch', `${name} only supports int and long operands.`);
        }
        wide ||= value instanceof Long;
        result = combine(result, integral(value) as bigint);
      }
      return wide ? Long.fromBigInt(result) : new Int32(Number(result));
    },
  };
}

function power(base: Value | undefined, exponent: Value | undefined): Value {
  if (isNullish(base) || isNullish(exponent)) return null;
  if (!isNumber(base)) throw new StoreError(28762, `$pow's base must be numeric, not ${typeOf(base)}`);
  if (!isNumber(exponent)) {
    throw new StoreError(28763, `$pow's exponent must be numeric, not ${typeOf(exponent)}`);
  }
  const x = double(base, '$pow');
  const y = double(exponent, '$pow');
  if (x === 0 && y < 0) {
    throw new StoreError(28764, '$pow cannot take a base of 0 and a negative exponent');
  }
  const result = x === 1 ? 1 : Math.pow(x, y);
  if (base instanceof Double || exponent instanceof Double) return new Double(result);
  if (y < 0) {
    const whole = Math.abs(x) === 1 ? integerPower(base, x, y) : undefined;
    return whole ?? new Double(result);
  }
  return integerPower(base, x, y, exponent) ?? new Double(result);
}

/** An integer power if the result fits; with a long among the operands the result is a long. */
function integerPower(base: NumberValue, x: number, y: number, exponent?: NumberValue): Value | undefined {
  const wide = base instanceof Long || exponent instanceof Long;
  if (Math.abs(x) > 1 && y > 64) return undefined;
  const exact =
    Math.abs(x) <= 1
      ? BigInt(x === -1 ? (y % 2 === 0 ? 1 : -1) : y === 0 ? 1 : x)
      : (integral(base) as bigint) ** BigInt(y);
  const value = integerValue(exact);
  if (value === undefined) return undefined;
  return wide && value instanceof Int32 ? Long.fromNumber(value.value) : value;
}
