import { compareValues } from '../../bson/compare';
import { fieldOf, splitPath, type Path } from '../../bson/paths';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import type { Collator } from '../../query/collation';
import { toNumberOrUndefined } from '../integer';

/** Compares two elements of the array that `$push` sorts. */
export type ElementOrder = (a: Value, b: Value) => number;

/**
 * The order of the `$sort` of `$push`: 1 or -1 for whole elements, or fields of documents.
 *
 * @throws StoreError BadValue
 * @see https://www.mongodb.com/docs/manual/reference/operator/update/sort/
 */
export function pushSort(spec: Value, collator: Collator | undefined): ElementOrder {
  if (spec instanceof Map) return sortByFields(spec, collator);
  const direction = toNumberOrUndefined(spec);
  if (direction === undefined) {
    throw new StoreError(
      'BadValue',
      'The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort embedded fields',
    );
  }
  requireDirection(spec);
  return (a, b) => direction * compareValues(a, b, collator);
}

function sortByFields(spec: ReadonlyMap<string, Value>, collator: Collator | undefined): ElementOrder {
  if (spec.size === 0) {
    throw new StoreError('BadValue', 'The $sort pattern is empty when it should be a set of fields.');
  }
  for (const [field, direction] of spec) {
    requireDirection(direction);
    if (field === '') throw new StoreError('BadValue', 'The $sort field cannot be empty');
    if (field.split('.').includes('')) {
      throw new StoreError('BadValue', `The $sort field is a dotted field but has an empty part: ${field}`);
    }
  }
  const parts = [...spec].map(([field, direction]) => ({
    path: splitPath(field),
    direction: toNumberOrUndefined(direction) ?? 1,
  }));
  return (a, b) => {
    for (const { path, direction } of parts) {
      const order = compareValues(fieldAt(a, path), fieldAt(b, path), collator);
      if (order !== 0) return order * direction;
    }
    return 0;
  };
}

/** Unlike the sort of a query, this one compares an array as a whole and descends into it by index only. */
function fieldAt(element: Value, path: Path): Value {
  let value: Value | undefined = element;
  for (const part of path) {
    value = Array.isArray(value) && value !== element ? value[Number(part)] : fieldOf(value, part);
  }
  return value ?? null;
}

function requireDirection(value: Value): void {
  const direction = toNumberOrUndefined(value);
  if (direction !== 1 && direction !== -1) {
    throw new StoreError('BadValue', 'The $sort element value must be either 1 or -1');
  }
}
