import type { Collator } from '../query/collation';
import type { Node } from '../query/ast';
import type { Conjuncts } from './constraints';
import type { CompiledIndex, IndexField } from './definition';
import { fieldBounds, type FieldBounds } from './field-bounds';
import { cutKey, isFull, successor, turned, type Interval } from './interval';
import type { IndexScan, KeyRange } from './plan';
import { sortOrder, type SortPart } from './sort-order';

const MAX_RANGES = 10_000;
const MAX_MERGED = 1_000;

/** A plan that uses one index, and its score; 0 or less means no better than reading everything. */
export interface Candidate {
  scan: IndexScan;
  score: number;
}

/** Makes the scan of one index for a conjunction, in the requested order if the index has it. */
export function indexCandidate(
  index: CompiledIndex,
  { constraints, nodes }: Conjuncts,
  sort: readonly SortPart[] | undefined,
  queryCollator: Collator | undefined,
): Candidate {
  const bounds = fieldBounds(index, constraints, queryCollator);
  const points = leadingPoints(bounds);
  const order = sort === undefined ? undefined : sortOrder(index, bounds, points, sort, queryCollator);
  const { ranges, boundFields } = keyRanges(index.fields, bounds, order?.mergeField ?? 0);
  const merged = order?.mergeField !== undefined && ranges.length > 1;
  const providesSort =
    sort === undefined || (order !== undefined && (!merged || ranges.length <= MAX_MERGED));
  const settled = new Set<Node>(bounds.slice(0, boundFields).flatMap((field) => field.settled));
  const scan: IndexScan = {
    stage: 'IXSCAN',
    index,
    ranges,
    reverse: providesSort && order?.reverse === true,
    residual: nodes.some((node) => !settled.has(node)),
    providesSort,
    mergeSort: merged && providesSort && sort !== undefined,
    deduplicate: bounds.some((field, i) => field.multikey && (i >= points || !isPoint(field))),
    keys:
      points === bounds.length && boundFields === bounds.length
        ? ranges.map(({ lower }) => lower)
        : undefined,
  };
  const ordered = sort !== undefined && order !== undefined && providesSort;
  return { scan, score: score(index, bounds, points, scan, ordered) };
}

/** Whether a field is bounded to a single value. */
function isPoint(field: FieldBounds): boolean {
  return field.intervals.length === 1 && (field.intervals[0] as Interval).point;
}

/** How many leading fields are bounded to single values. */
function leadingPoints(bounds: readonly FieldBounds[]): number {
  const first = bounds.findIndex((field) => !field.intervals.every((interval) => interval.point));
  return first < 0 ? bounds.length : first;
}

interface Prefix {
  bytes: Buffer;
  skip: number;
}

/** All combinations of the fields' values, up to the first field with a range. */
function keyRanges(
  fields: readonly IndexField[],
  bounds: readonly FieldBounds[],
  mergeField: number,
): { ranges: KeyRange[]; boundFields: number } {
  let prefixes: Prefix[] = [{ bytes: Buffer.alloc(0), skip: 0 }];
  for (const [position, field] of bounds.entries()) {
    if (position === mergeField) for (const prefix of prefixes) prefix.skip = prefix.bytes.length;
    if (field.intervals.some(isFull)) return { ranges: prefixes.map(prefixRange), boundFields: position };
    const intervals = inKeyOrder(field.intervals, (fields[position] as IndexField).descending);
    if (prefixes.length * intervals.length > MAX_RANGES) {
      return { ranges: prefixes.map((prefix) => hull(prefix, intervals)), boundFields: position };
    }
    if (!intervals.every((interval) => interval.point)) {
      const ranges = prefixes.flatMap((prefix) => intervals.map((interval) => rangeOf(prefix, interval)));
      return { ranges, boundFields: position + 1 };
    }
    prefixes = prefixes.flatMap(({ bytes, skip }) =>
      intervals.map((interval) => ({ bytes: Buffer.concat([bytes, interval.low.bytes]), skip })),
    );
  }
  if (mergeField >= bounds.length) for (const prefix of prefixes) prefix.skip = prefix.bytes.length;
  return { ranges: prefixes.map(prefixRange), boundFields: bounds.length };
}

function inKeyOrder(intervals: readonly Interval[], descending: boolean): readonly Interval[] {
  return descending ? intervals.map(turned).reverse() : intervals;
}

function prefixRange({ bytes, skip }: Prefix): KeyRange {
  return { lower: bytes, upper: successor(bytes), skip };
}

function rangeOf({ bytes, skip }: Prefix, interval: Interval): KeyRange {
  return { lower: cutKey(bytes, interval.low), upper: cutKey(bytes, interval.high), skip };
}

/** One range around all intervals, where there are too many of them. */
function hull({ bytes, skip }: Prefix, intervals: readonly Interval[]): KeyRange {
  const [first, last] = [intervals[0] as Interval, intervals.at(-1) as Interval];
  return { lower: cutKey(bytes, first.low), upper: cutKey(bytes, last.high), skip };
}

const EQUALITY = 100;
const SEVERAL_VALUES = 80;
const RANGE = 40;
const WIDE_RANGE = 10;
const ORDERED = 50;
const UNIQUE = 1000;

/** Longer equality prefixes score higher, then ranges, then order; a fully bounded unique index scores highest. */
function score(
  index: CompiledIndex,
  bounds: readonly FieldBounds[],
  points: number,
  scan: IndexScan,
  ordered: boolean,
): number {
  let total = ordered ? ORDERED : 0;
  for (const field of bounds.slice(0, points)) total += isPoint(field) ? EQUALITY : SEVERAL_VALUES;
  const next = bounds[points];
  if (next !== undefined && !next.intervals.some(isFull)) total += isWide(next) ? WIDE_RANGE : RANGE;
  if (total <= 0) return 0;
  if (index.definition.unique === true && points === bounds.length && bounds.every(isPoint)) total += UNIQUE;
  return total + (scan.residual ? 0 : 5) - index.fields.length * 0.5;
}

/** Bounds that only exclude whole types or single values. */
function isWide(field: FieldBounds): boolean {
  return (
    field.intervals.some((interval) => interval.low.bytes.length <= 1 && interval.high.bytes.length <= 1) ||
    field.intervals.some((interval) => interval.low.bytes.length === 0 || interval.high.bytes.length === 0)
  );
}
