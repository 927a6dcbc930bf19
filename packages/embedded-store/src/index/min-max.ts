import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { CompiledIndex } from './definition';
import { isMultikeyField } from './field-bounds';
import { FULL, successor } from './interval';
import { encodeKey } from './keys';
import type { IndexScan } from './plan';
import { sortOrder, type SortPart } from './sort-order';

/**
 * The scan between the keys `min` (included) and `max` (not included), each a document with exactly the fields
 * of the index in their order. Throws BadValue when they are not, or when min is not below max.
 */
export function minMaxScan(
  index: CompiledIndex,
  min: Document | undefined,
  max: Document | undefined,
  sort: readonly SortPart[] | undefined,
  sorted: boolean,
): IndexScan {
  if (index.collator !== undefined) {
    throw new StoreError('BadValue', 'min and max are not supported on an index with a collation');
  }
  const lower = min === undefined ? Buffer.alloc(0) : boundary(index, min, 'min');
  const upper = max === undefined ? successor(lower.subarray(0, 0)) : boundary(index, max, 'max');
  if (min !== undefined && max !== undefined && Buffer.compare(lower, upper) >= 0) {
    throw new StoreError(
      51175,
      'The value provided for min() does not come before the value for max() in the hinted index',
    );
  }
  const bounds = index.fields.map((_, i) => ({
    intervals: [FULL],
    settled: [],
    multikey: isMultikeyField(index, i),
  }));
  const arrays = bounds.some((field) => field.multikey);
  const order = sort === undefined || arrays ? undefined : sortOrder(index, bounds, 0, sort, undefined);
  return {
    stage: 'IXSCAN',
    index,
    ranges: [{ lower, upper, skip: 0 }],
    reverse: order?.reverse === true,
    residual: true,
    providesSort: !sorted || order !== undefined,
    mergeSort: false,
    deduplicate: arrays,
    keys: undefined,
  };
}

function boundary(index: CompiledIndex, document: Document, name: string): Buffer {
  const entries = [...document];
  const fits =
    entries.length === index.fields.length &&
    index.fields.every((field, i) => entries[i]?.[0] === field.path);
  if (!fits) throw new StoreError(51174, `The index keys do not match the fields of ${name}()`);
  return encodeKey(
    entries.map((entry): Value => entry[1]),
    index.fields.map((field) => (field.descending ? -1 : 1)),
  );
}
