import { Double, Int32 } from 'bson';
import { compareValues } from '../bson/compare';
import { divide, isNumber, toDecimal, toNumber } from '../bson/numbers';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import { typeOf } from './arguments';
import type { MemoryMeter } from './memory';
import { isDocument, isNullish } from './scope';
import { Summation } from './summation';
import { ValueSet } from './value-set';

/** Accumulates the values of one group into one result. */
export interface Accumulator {
  add(value: Value | undefined): void;
  /** The value so far; undefined (missing) if there is none. */
  result(): Value | undefined;
}

/** Makes an accumulator for a new group. */
export type AccumulatorFactory = (collator: Collator | undefined, memory?: MemoryMeter) => Accumulator;

function sum(): Accumulator {
  const total = new Summation();
  return {
    add(value) {
      if (isNumber(value)) total.add(value);
    },
    result: () => total.total(),
  };
}

function average(): Accumulator {
  const total = new Summation();
  return {
    add(value) {
      if (isNumber(value)) total.add(value);
    },
    result() {
      if (total.count === 0) return null;
      if (!total.isDecimal) return new Double(total.toDouble() / total.count);
      return divide(toDecimal(total.total()), new Int32(total.count));
    },
  };
}

function extreme(sign: number): AccumulatorFactory {
  return (collator) => {
    let best: Value | undefined;
    return {
      add(value) {
        if (isNullish(value)) return;
        if (best === undefined || sign * compareValues(value, best, collator) > 0) best = value;
      },
      result: () => best ?? null,
    };
  };
}

/** Welford's method, on doubles, as MongoDB computes it. */
function deviation(sample: boolean): AccumulatorFactory {
  return () => {
    let count = 0;
    let mean = 0;
    let squares = 0;
    return {
      add(value) {
        if (!isNumber(value)) return;
        const number = toNumber(value);
        count++;
        const delta = number - mean;
        mean += delta / count;
        squares += delta * (number - mean);
      },
      result() {
        const degrees = sample ? count - 1 : count;
        return degrees <= 0 ? null : new Double(Math.sqrt(squares / degrees));
      },
    };
  };
}

function mergeObjects(): Accumulator {
  const merged: Document = new Map();
  return {
    add(value) {
      if (isNullish(value)) return;
      if (!isDocument(value)) {
        throw new StoreError(
          40400,
          `$mergeObjects requires object inputs, but input is of type ${typeOf(value)}`,
        );
      }
      for (const [key, item] of value) merged.set(key, item);
    },
    result: () => merged,
  };
}

function addToSet(collator: Collator | undefined, memory?: MemoryMeter): Accumulator {
  const set = new ValueSet(collator);
  return {
    add(value) {
      if (value !== undefined && set.add(value)) memory?.keep(value);
    },
    result: () => set.values(),
  };
}

function push(_collator: Collator | undefined, memory?: MemoryMeter): Accumulator {
  const list: Value[] = [];
  return {
    add(value) {
      if (value === undefined) return;
      list.push(value);
      memory?.keep(value);
    },
    result: () => list,
  };
}

function first(): Accumulator {
  let seen = false;
  let value: Value | undefined;
  return {
    add(next) {
      if (!seen) value = next;
      seen = true;
    },
    result: () => value,
  };
}

function last(): Accumulator {
  let value: Value | undefined;
  return {
    add(next) {
      value = next;
    },
    result: () => value,
  };
}

/** Accumulators of one argument (https://www.mongodb.com/docs/manual/reference/operator/aggregation/group/). */
export const ACCUMULATORS: Readonly<Record<string, AccumulatorFactory>> = {
  $addToSet: addToSet,
  $avg: average,
  $first: first,
  $last: last,
  $max: extreme(1),
  $mergeObjects: mergeObjects,
  $min: extreme(-1),
  $push: push,
  $stdDevPop: deviation(false),
  $stdDevSamp: deviation(true),
  $sum: sum,
};
