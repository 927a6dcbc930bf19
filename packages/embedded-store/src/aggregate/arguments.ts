import { StoreError } from '../errors';
import { integral } from '../bson/numbers';
import { typeName } from '../bson/compare';
import type { Value } from '../bson/types';

/** The type of a value as MongoDB's messages name it; "missing" where there is none. */
export function typeOf(value: Value | undefined): string {
  return value === undefined ? 'missing' : typeName(value);
}

/** A number of any type as a 32-bit integer. Throws an error with `code` when it is not one. */
export function int32(value: Value | undefined, code: number, what: string): number {
  const number = integral(value);
  if (number === undefined || number < -0x80000000n || number > 0x7fffffffn) {
    throw new StoreError(code, `${what} must be representable as a 32-bit integer, found ${typeOf(value)}`);
  }
  return Number(number);
}

/** The value as an array. Throws an error with `code` when it is not one. */
export function array(value: Value | undefined, code: number, what: string): Value[] {
  if (Array.isArray(value)) return value;
  throw new StoreError(code, `${what} must be an array, but was of type: ${typeOf(value)}`);
}
