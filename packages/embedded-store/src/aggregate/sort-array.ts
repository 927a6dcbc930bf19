import { isNumber, toNumber } from '../bson/numbers';
import { compareValues } from '../bson/compare';
import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import { parsePath, readPath } from './field-path';

/**
 * The sort of $sortArray, $top, $bottomN …: `by` is 1 or -1 for whole values, or a document of paths. Stable;
 * arrays on the path are compared by their least (ascending) or greatest element.
 */
export function sortArray(by: Value, collator: Collator | undefined): (list: readonly Value[]) => Value[] {
  const compare = valueOrder(by, collator);
  return (list) => [...list].sort(compare);
}

/** The comparison that {@link sortArray} uses. */
export function valueOrder(by: Value, collator: Collator | undefined): (a: Value, b: Value) => number {
  if (isNumber(by)) {
    const sign = direction(by);
    return (a, b) => sign * compareValues(a, b, collator);
  }
  if (!(by instanceof Map) || by.size === 0) {
    throw new StoreError(2942507, 'The sort specification must be 1, -1 or a document of at least one field');
  }
  const parts = [...by].map(([path, value]) => ({ path: parsePath(path), sign: direction(value) }));
  return (a, b) => {
    for (const { path, sign } of parts) {
      const order = compareValues(keyOf(a, path, sign, collator), keyOf(b, path, sign, collator), collator);
      if (order !== 0) return sign * order;
    }
    return 0;
  };
}

function direction(value: Value): 1 | -1 {
  const number = isNumber(value) ? toNumber(value) : 0;
  if (number !== 1 && number !== -1) {
    throw new StoreError(15975, '$sort key ordering must be 1 (for ascending) or -1 (for descending)');
  }
  return number;
}

function keyOf(value: Value, path: string[], sign: number, collator: Collator | undefined): Value {
  const found = value instanceof Map ? readPath(value, path) : undefined;
  if (!Array.isArray(found)) return found ?? null;
  let best: Value | undefined;
  for (const item of found) {
    if (best === undefined || sign * compareValues(item, best, collator) < 0) best = item;
  }
  return best ?? null;
}
