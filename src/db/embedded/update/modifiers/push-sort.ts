import { compareValues } from '../../bson/compare';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import type { Collator } from '../../query/collation';
import { compileSort } from '../../query/sort';
import { toNumberOrUndefined } from '../integer';

/** Compares two elements of the array that `$push` sorts. */
export type ElementOrder = (a: Value, b: Value) => number;

/**
 * The order that the `$sort` of `$push` asks for: 1 or -1 for whole elements, or fields of documents.
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
  const sort = compileSort(new Map(spec), collator ? { collator } : {});
  // An element that is not a document has none of the fields.
  const asDocument = (value: Value) => (value instanceof Map ? value : new Map<string, Value>());
  return (a, b) => sort.compare(asDocument(a), asDocument(b));
}

function requireDirection(value: Value): void {
  const direction = toNumberOrUndefined(value);
  if (direction !== 1 && direction !== -1) {
    throw new StoreError('BadValue', 'The $sort element value must be either 1 or -1');
  }
}
