import type { IndexScan } from '../index/plan';
import type { Collection, IndexState } from './catalog';
import { hasIdInValue } from './stored-document';
import { entryKey, prefixKey, readRecordId } from './keys';
import type { ScanServices, ScanStatistics } from './plan-types';
import { Scanner } from './scanner';
import type { CurrentView } from './scanner';

/** A sequence of record ids. After `pause` it continues in the current view. */
export interface RecordSource {
  next(): number | undefined;
  pause(): void;
}

/** The record ids of an index scan. */
export function indexSource(
  { environment }: ScanServices,
  collection: Collection,
  index: IndexState,
  scan: IndexScan,
  current: CurrentView,
  statistics: ScanStatistics,
): RecordSource {
  const inValue = hasIdInValue(collection, index);
  const ranges = scan.ranges.map(({ lower, upper, skip }) => ({
    skip: skip + prefixKey(index.number).length,
    scanner: new Scanner(
      environment.entries,
      {
        lower: entryKey(index.number, lower),
        upper: upper.length === 0 ? prefixKey(index.number + 1) : entryKey(index.number, upper),
        reverse: scan.reverse,
      },
      current,
      inValue,
    ),
  }));
  if (scan.reverse) ranges.reverse();
  const entries = scan.mergeSort && ranges.length > 1 ? merged(ranges, scan.reverse) : concatenated(ranges);
  const source: RecordSource = {
    next() {
      const entry = entries.next();
      if (!entry) return undefined;
      statistics.keys++;
      return readRecordId(inValue ? entry.value : entry.key);
    },
    pause: () => entries.pause(),
  };
  return scan.deduplicate ? distinct(source) : source;
}

interface RangeScanner {
  scanner: Scanner;
  /** Number of leading bytes of the keys that the order ignores. */
  skip: number;
}

type EntrySource = Pick<Scanner, 'next' | 'pause'>;

/** One range after the other. */
function concatenated(ranges: RangeScanner[]): EntrySource {
  let current = 0;
  return {
    next() {
      for (; current < ranges.length; current++) {
        const entry = ranges[current]?.scanner.next();
        if (entry) return entry;
      }
      return undefined;
    },
    pause: () => ranges[current]?.scanner.pause(),
  };
}

interface Head {
  range: RangeScanner;
  entry: { key: Buffer; value: Buffer };
}

/** The entries of all ranges in the order of their keys without the first `skip` bytes: a merge with a heap. */
function merged(ranges: RangeScanner[], reverse: boolean): EntrySource {
  let heap: Head[] | undefined;
  const sign = reverse ? -1 : 1;
  const before = (a: Head, b: Head) =>
    a.entry.key.compare(b.entry.key, b.range.skip, undefined, a.range.skip) * sign < 0;
  const advance = (range: RangeScanner): Head | undefined => {
    const entry = range.scanner.next();
    return entry && { range, entry };
  };
  return {
    next() {
      if (!heap) {
        heap = [];
        for (const range of ranges) {
          const head = advance(range);
          if (head) pushHeap(heap, head, before);
        }
      }
      const first = heap[0];
      if (!first) return undefined;
      const next = advance(first.range);
      if (next) replaceTop(heap, next, before);
      else popTop(heap, before);
      return first.entry;
    },
    pause() {
      // Entries that were read ahead may change before the next step, so they are read again.
      for (const { range } of heap ?? []) range.scanner.stepBack();
      for (const { scanner } of ranges) scanner.pause();
      heap = undefined;
    },
  };
}

type Before = (a: Head, b: Head) => boolean;

function pushHeap(heap: Head[], head: Head, before: Before): void {
  let at = heap.push(head) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as Head;
    if (!before(head, above)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = head;
}

function replaceTop(heap: Head[], head: Head, before: Before): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1] as Head, heap[child] as Head)) child++;
    const below = heap[child] as Head;
    if (!before(below, head)) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = head;
}

function popTop(heap: Head[], before: Before): void {
  const last = heap.pop();
  if (last && heap.length > 0) replaceTop(heap, last, before);
}

/** Each record id once. */
export function distinct(source: RecordSource): RecordSource {
  const seen = new Set<number>();
  return {
    next() {
      for (let id = source.next(); id !== undefined; id = source.next()) {
        if (seen.has(id)) continue;
        seen.add(id);
        return id;
      }
      return undefined;
    },
    pause: () => source.pause(),
  };
}

/** The record ids of several sources, one source after the other. */
export function chained(sources: RecordSource[]): RecordSource {
  let current = 0;
  return {
    next() {
      for (; current < sources.length; current++) {
        const id = sources[current]?.next();
        if (id !== undefined) return id;
      }
      return undefined;
    },
    pause: () => sources[current]?.pause(),
  };
}

/** The record id of one `_id`, by a single lookup in the `_id` index. */
export function idSource(
  { records }: ScanServices,
  collection: Collection,
  key: Buffer,
  current: CurrentView,
  statistics: ScanStatistics,
): RecordSource {
  let wasRead = false;
  return {
    next() {
      if (wasRead) return undefined;
      wasRead = true;
      const found = records.recordIdOf(collection, key, current.view);
      if (found !== undefined) statistics.keys++;
      return found;
    },
    pause: () => undefined,
  };
}
