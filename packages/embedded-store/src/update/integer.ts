import { isNumber, toNumber } from '../bson/numbers';
import type { Value } from '../bson/types';

/** The value of any kind of number as a JavaScript number; undefined for everything else. */
export function toNumberOrUndefined(value: Value | undefined): number | undefined {
  return isNumber(value) ? toNumber(value) : undefined;
}

/** The value of any whole number (5, 5.0, NumberLong(5)); undefined for everything else. */
export function toInteger(value: Value | undefined): number | undefined {
  const number = toNumberOrUndefined(value);
  return number !== undefined && Number.isInteger(number) ? number : undefined;
}
