import { Binary, Int32 } from 'bson';
import { integral, isNumber, toNumber, type NumberValue } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { badValue, leaf, type FieldOperator } from './context';

const LONG_MIN = -(2 ** 63);
const LONG_LIMIT = 2 ** 63;

/** A number truncated to a 64-bit integer; undefined for NaN, infinities and numbers that do not fit. */
function truncated(value: NumberValue): bigint | undefined {
  const exact = integral(value);
  if (exact !== undefined) return exact;
  const whole = Math.trunc(toNumber(value));
  return whole >= LONG_MIN && whole < LONG_LIMIT ? BigInt(whole) : undefined;
}

const $mod: FieldOperator = (path, argument) => {
  if (!Array.isArray(argument)) throw badValue('malformed mod, needs to be an array');
  if (argument.length < 2) throw badValue('malformed mod, not enough elements');
  if (argument.length > 2) throw badValue('malformed mod, too many elements');
  const divisor = modPart(argument[0] as Value, 'divisor');
  const remainder = modPart(argument[1] as Value, 'remainder');
  if (divisor === 0n) throw badValue('divisor cannot be 0');
  const test = (value: Value | undefined): boolean => {
    if (!isNumber(value)) return false;
    const dividend = truncated(value);
    return dividend !== undefined && dividend % divisor === remainder;
  };
  return leaf(path, { kind: 'mod', test });
};

function modPart(value: Value, name: string): bigint {
  if (!isNumber(value)) throw badValue(`malformed mod, ${name} not a number`);
  const whole = truncated(value);
  if (whole === undefined) throw badValue(`malformed mod, ${name} value is invalid`);
  return whole;
}

/** The positions of the bits in the argument of $bitsAllSet and similar operators. */
function bitPositions(argument: Value, operator: string): number[] {
  if (Array.isArray(argument)) return argument.map((item) => bitPosition(item));
  if (argument instanceof Binary) return setBits(argument);
  if (!isNumber(argument)) {
    throw badValue(`${operator} takes an Array, a number, or a BinData but received: ${typeof argument}`);
  }
  const mask = integral(argument);
  if (mask === undefined) throw new StoreError('FailedToParse', `Expected an integer: ${operator}`);
  if (mask < 0n) throw new StoreError('FailedToParse', `Expected a non-negative number in: ${operator}`);
  return [...Array(64).keys()].filter((bit) => (mask >> BigInt(bit)) & 1n);
}

function bitPosition(item: Value): number {
  const position = isNumber(item) ? integral(item) : undefined;
  if (position === undefined) throw badValue('bit positions must be an integer');
  if (position < 0n) throw badValue('bit positions must be >= 0');
  return new Int32(Number(position > 0x7fffffffn ? 0x7fffffffn : position)).value;
}

function setBits(binary: Binary): number[] {
  return [...Array(binary.position * 8).keys()].filter((bit) => bitOfBinary(binary, bit));
}

function bitOfBinary(binary: Binary, bit: number): boolean {
  const byte = bit >> 3;
  return byte < binary.position && (((binary.buffer[byte] as number) >> (bit & 7)) & 1) === 1;
}

/** Reads one bit of a stored value; undefined when the value has no bits. Integers are sign-extended without end. */
function bitReader(value: Value | undefined): ((bit: number) => boolean) | undefined {
  if (value instanceof Binary) return (bit) => bitOfBinary(value, bit);
  if (!isNumber(value)) return undefined;
  const integer = integral(value);
  if (integer === undefined) return undefined;
  return (bit) => ((integer >> BigInt(Math.min(bit, 63))) & 1n) === 1n;
}

type BitTest = (positions: readonly number[], isSet: (bit: number) => boolean) => boolean;

function bitsOperator(name: string, accepts: BitTest): FieldOperator {
  return (path, argument) => {
    const positions = bitPositions(argument, name);
    return leaf(path, {
      kind: 'bits',
      test: (value) => {
        const isSet = bitReader(value);
        return isSet !== undefined && accepts(positions, isSet);
      },
    });
  };
}

export const ARITHMETIC_OPERATORS: Readonly<Record<string, FieldOperator>> = {
  $mod,
  $bitsAllSet: bitsOperator('$bitsAllSet', (positions, isSet) => positions.every(isSet)),
  $bitsAnySet: bitsOperator('$bitsAnySet', (positions, isSet) => positions.some(isSet)),
  $bitsAllClear: bitsOperator('$bitsAllClear', (positions, isSet) => !positions.some(isSet)),
  $bitsAnyClear: bitsOperator('$bitsAnyClear', (positions, isSet) => !positions.every(isSet)),
};
