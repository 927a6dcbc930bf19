import type { Value } from '../bson/types';
import type { Collator } from '../query/collation';
import { KeyWriter, tagOf } from './encoding';

/** A position between keys: before, or after, all keys that begin with `bytes`. */
interface Cut {
  readonly bytes: Buffer;
  readonly after: boolean;
}

/** A range of one key component, in ascending order; `point` when it is a single value. */
export interface Interval {
  readonly low: Cut;
  readonly high: Cut;
  readonly point: boolean;
}

const EMPTY = Buffer.alloc(0);
const writer = new KeyWriter();

export const FULL: Interval = {
  low: { bytes: EMPTY, after: false },
  high: { bytes: EMPTY, after: true },
  point: false,
};

/** Whether an interval is the whole component. */
export function isFull(interval: Interval): boolean {
  return compareCuts(interval.low, FULL.low) === 0 && compareCuts(interval.high, FULL.high) === 0;
}

/** An encoded value; `prefix` is the part that it shares with all values that were cut at the same place. */
interface EncodedValue {
  readonly bytes: Buffer;
  readonly prefix: Buffer;
  readonly truncated: boolean;
}

/** Encodes a value as a component of a key that is cut at `limit` bytes. */
export function encodeValue(
  value: Value | undefined,
  limit: number,
  collator: Collator | undefined,
): EncodedValue {
  writer.reset();
  writer.component(value, false, limit, collator);
  const bytes = writer.take();
  return { bytes, prefix: writer.truncated ? bytes.subarray(0, limit) : bytes, truncated: writer.truncated };
}

/** The interval of one value. */
export function pointInterval(bytes: Buffer): Interval {
  return { low: { bytes, after: false }, high: { bytes, after: true }, point: true };
}

/** All values whose encoding begins with `bytes`. */
export function prefixInterval(bytes: Buffer): Interval {
  return { low: { bytes, after: false }, high: { bytes, after: true }, point: false };
}

/** All values of the type of `value`. */
export function typeInterval(value: Value | undefined): Interval {
  return prefixInterval(Buffer.from([tagOf(value)]));
}

/** The interval between two cuts; undefined when it is empty. */
export function between(low: Cut, high: Cut, point = false): Interval | undefined {
  return compareCuts(low, high) < 0 ? { low, high, point } : undefined;
}

/**
 * The order of cuts. A cut before P is at P itself; one after P is above every key that begins with P, so when one
 * of two byte strings is a prefix of the other, the side of the shorter one decides.
 */
export function compareCuts(a: Cut, b: Cut): number {
  const common = Math.min(a.bytes.length, b.bytes.length);
  const order = Buffer.compare(a.bytes.subarray(0, common), b.bytes.subarray(0, common));
  if (order !== 0) return order;
  if (a.bytes.length === b.bytes.length) return Number(a.after) - Number(b.after);
  if (a.bytes.length < b.bytes.length) return a.after ? 1 : -1;
  return b.after ? -1 : 1;
}

/** Sorts intervals and joins those that overlap or touch. */
export function union(intervals: readonly Interval[]): Interval[] {
  const sorted = [...intervals].sort((a, b) => compareCuts(a.low, b.low));
  const result: Interval[] = [];
  for (const next of sorted) {
    const last = result.at(-1);
    if (last === undefined || compareCuts(next.low, last.high) > 0) result.push(next);
    else if (compareCuts(next.low, last.high) === 0) {
      if (last.point || next.point) result.push(next);
      else result[result.length - 1] = { low: last.low, high: next.high, point: false };
    } else if (compareCuts(next.high, last.high) > 0) {
      result[result.length - 1] = { low: last.low, high: next.high, point: false };
    }
  }
  return result;
}

/** The intersection of two sorted lists of disjoint intervals. */
export function intersection(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  const result: Interval[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const x = a[i] as Interval;
    const y = b[j] as Interval;
    const low = compareCuts(x.low, y.low) >= 0 ? x.low : y.low;
    const xEndsFirst = compareCuts(x.high, y.high) <= 0;
    const part = between(low, xEndsFirst ? x.high : y.high, x.point || y.point);
    if (part !== undefined) result.push(part);
    if (xEndsFirst) i++;
    else j++;
  }
  return result;
}

/** The complement of a sorted list of disjoint intervals. */
export function complement(intervals: readonly Interval[]): Interval[] {
  const result: Interval[] = [];
  let low = FULL.low;
  for (const interval of intervals) {
    const gap = between(low, interval.low);
    if (gap !== undefined) result.push(gap);
    low = interval.high;
  }
  const rest = between(low, FULL.high);
  if (rest !== undefined) result.push(rest);
  return result;
}

/** The interval in a descending component, where all bits are inverted. */
export function turned(interval: Interval): Interval {
  return { low: invertedCut(interval.high), high: invertedCut(interval.low), point: interval.point };
}

function invertedCut(cut: Cut): Cut {
  return { bytes: Buffer.from(cut.bytes.map((byte) => ~byte)), after: !cut.after };
}

/** The first key at or after a cut, with `prefix` before it. */
export function cutKey(prefix: Buffer, cut: Cut): Buffer {
  const key = Buffer.concat([prefix, cut.bytes]);
  return cut.after ? successor(key) : key;
}

/**
 * The first key after all those that begin with `prefix`. No key begins with 0xFF, which marks the end of the
 * index.
 */
export function successor(prefix: Buffer): Buffer {
  const result = Buffer.from(prefix);
  for (let end = result.length; end > 0; end--) {
    const last = result[end - 1] as number;
    if (last === 0xff) continue;
    result[end - 1] = last + 1;
    return result.subarray(0, end);
  }
  return Buffer.from([0xff]);
}
