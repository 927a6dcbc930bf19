import { Int32 } from 'bson';
import { compareValues, equalValues } from '../../bson/compare';
import { isNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { array, int32, typeOf } from '../arguments';
import { type Context, type OperatorTable, fixed, isNullish, ranged, variadic } from '../scope';

/** Largest number of elements that $range makes, to bound the memory of one expression. */
const MAX_RANGE = (100 * 1024 * 1024) / 16;

/** Operators that split, join or search arrays. */
export const ARRAY_PARTS: OperatorTable = {
  $arrayElemAt: fixed(2, ([list, index]) => elementAt(list, index)),
  $first: fixed(1, ([list]) => endOf(list, '$first', 0)),
  $last: fixed(1, ([list]) => endOf(list, '$last', -1)),
  $concatArrays: variadic((lists) => {
    if (lists.some(isNullish)) return null;
    return lists.flatMap((list) => array(list, 28664, '$concatArrays arguments'));
  }),
  $in: fixed(2, ([value, list], { collator }) =>
    array(list, 40081, "$in's second argument").some((item) => equalValues(item, value, collator)),
  ),
  $indexOfArray: ranged(2, 4, indexOfArray),
  $isArray: fixed(1, ([value]) => Array.isArray(value)),
  $range: ranged(2, 3, ([start, end, step]) => range(start, end, step)),
  $reverseArray: fixed(1, ([list]) =>
    isNullish(list) ? null : array(list, 34435, '$reverseArray argument').toReversed(),
  ),
  $size: fixed(1, ([list]) => new Int32(array(list, 17124, 'The argument to $size').length)),
  $slice: ranged(2, 3, ([list, ...bounds]) => slice(list, bounds)),
};

function elementAt(list: Value | undefined, index: Value | undefined): Value | undefined {
  if (isNullish(list) || isNullish(index)) return null;
  const items = array(list, 28689, "$arrayElemAt's first argument");
  if (!isNumber(index)) {
    throw new StoreError(
      28690,
      `$arrayElemAt's second argument must be a numeric value, but is ${typeOf(index)}`,
    );
  }
  return items.at(int32(index, 28691, "$arrayElemAt's second argument"));
}

function endOf(list: Value | undefined, name: string, index: number): Value | undefined {
  return isNullish(list) ? null : array(list, 28689, `${name}'s argument`).at(index);
}

/** A position in a pipeline: a non-negative integer. Throws 40096 or 40097. */
export function position(value: Value | undefined, name: string): number {
  const index = int32(value, 40096, `${name} requires an integral starting or ending index, which`);
  if (index < 0) {
    throw new StoreError(40097, `${name} requires a nonnegative starting or ending index`);
  }
  return index;
}

function indexOfArray(values: (Value | undefined)[], { collator }: Context, name: string): Value {
  const [list, wanted] = values;
  if (isNullish(list)) return null;
  const items = array(list, 40090, '$indexOfArray requires an array as a first argument, which');
  const start = values.length > 2 ? position(values[2], name) : 0;
  const end = values.length > 3 ? position(values[3], name) : items.length;
  for (let i = start; i < Math.min(end, items.length); i++) {
    if (compareValues(items[i], wanted, collator) === 0) return new Int32(i);
  }
  return new Int32(-1);
}

function range(start: Value | undefined, end: Value | undefined, step: Value | undefined): Value {
  const bound = (value: Value | undefined, what: string, code: number): number => {
    if (!isNumber(value)) {
      throw new StoreError(
        code,
        `$range requires a numeric ${what} value, found value of type: ${typeOf(value)}`,
      );
    }
    return int32(value, code + 1, `$range requires a ${what} value that`);
  };
  const from = bound(start, 'starting', 34443);
  const to = bound(end, 'ending', 34445);
  const by = step === undefined ? 1 : bound(step, 'step', 34447);
  if (by === 0) throw new StoreError(34449, '$range requires a non-zero step value');
  if ((to - from) / by > MAX_RANGE) {
    throw new StoreError(146, '$range would use too much memory and cannot spill to disk.');
  }
  const made: Value[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) made.push(new Int32(i));
  return made;
}

function slice(list: Value | undefined, bounds: (Value | undefined)[]): Value {
  if (isNullish(list) || bounds.some(isNullish)) return null;
  const items = array(list, 28724, 'First argument to $slice');
  const integer = (value: Value | undefined, which: string, code: number): number => {
    if (!isNumber(value)) {
      throw new StoreError(
        code,
        `${which} argument to $slice must be numeric, but is of type: ${typeOf(value)}`,
      );
    }
    return int32(value, code + 1, `${which} argument to $slice`);
  };
  const second = integer(bounds[0], 'Second', 28725);
  if (bounds.length === 1) return second >= 0 ? items.slice(0, second) : items.slice(second);
  const count = integer(bounds[1], 'Third', 28727);
  if (count <= 0) {
    throw new StoreError(28729, `Third argument to $slice must be positive: ${count}`);
  }
  const start = second < 0 ? Math.max(0, items.length + second) : second;
  return items.slice(start, start + count);
}
