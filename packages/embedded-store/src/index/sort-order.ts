import { isNumber, toNumber } from '../bson/numbers';
import type { Document } from '../bson/types';
import type { Collator } from '../query/collation';
import type { CompiledIndex } from './definition';
import type { FieldBounds } from './field-bounds';
import { isFull, type Interval } from './interval';

export interface SortPart {
  readonly path: string;
  readonly direction: 1 | -1;
}

/** How a scan provides a requested order. */
export interface SortOrder {
  reverse: boolean;
  /** The first field by which the keys of the ranges have to be merged. */
  mergeField?: number;
}

/** The parts of a sort document; undefined when no index can provide it ($meta). */
export function sortParts(sort: Document): SortPart[] | undefined {
  const parts: SortPart[] = [];
  for (const [path, direction] of sort) {
    if (!isNumber(direction) || path.startsWith('$')) return undefined;
    parts.push({ path, direction: toNumber(direction) < 0 ? -1 : 1 });
  }
  return parts;
}

/**
 * Whether and how an index provides the requested order within its bounds: fields bounded to one value are ignored,
 * several leading values can be merged, and the other fields have to follow the sort, forwards or backwards.
 */
export function sortOrder(
  index: CompiledIndex,
  bounds: readonly FieldBounds[],
  points: number,
  sort: readonly SortPart[],
  queryCollator: Collator | undefined,
): SortOrder | undefined {
  if (index.isText || index.truncated || index.collator !== undefined || queryCollator !== undefined)
    return undefined;
  if (mixesArrays(index, bounds, sort)) return undefined;
  let done = 0;
  let reverse: boolean | undefined;
  let several = false;
  let mergeField: number | undefined;
  for (const [position, field] of index.fields.entries()) {
    if (done === sort.length) break;
    const part = sort[done] as SortPart;
    const own = bounds[position] as FieldBounds;
    if (position < points && own.intervals.length === 1) {
      if (part.path === field.path) done++;
    } else if (part.path === field.path) {
      const backwards = (part.direction === -1) !== field.descending;
      if (reverse !== undefined && reverse !== backwards) return undefined;
      if (reverse === undefined && several) mergeField = position;
      reverse = backwards;
      done++;
    } else if (position < points && reverse === undefined) several = true;
    else return undefined;
  }
  if (done < sort.length) return undefined;
  return { reverse: reverse ?? false, ...(mergeField === undefined ? {} : { mergeField }) };
}

/**
 * A document with an array sorts by its least or greatest element, also outside of the bounds of the query; so a
 * sort on an array field needs all of its keys.
 */
function mixesArrays(
  index: CompiledIndex,
  bounds: readonly FieldBounds[],
  sort: readonly SortPart[],
): boolean {
  const paths = new Set(sort.map((part) => part.path));
  const arrays = index.fields
    .map((field, i) => ({ field, bounds: bounds[i] as FieldBounds }))
    .filter((each) => each.bounds.multikey);
  if (!arrays.some(({ field }) => paths.has(field.path))) return false;
  return !arrays.every(({ bounds: own }) => own.intervals.every((interval: Interval) => isFull(interval)));
}
