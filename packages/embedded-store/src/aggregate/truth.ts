import { isNumber, toNumber } from '../bson/numbers';
import type { Value } from '../bson/types';

/** Whether a value counts as true in MongoDB: all but false, zero (of any number type), null and missing. */
export function truthy(value: Value | undefined): boolean {
  if (typeof value === 'boolean') return value;
  if (value === null || value === undefined) return false;
  return isNumber(value) ? toNumber(value) !== 0 : true;
}
