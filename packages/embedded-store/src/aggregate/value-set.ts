import { compareValues } from '../bson/compare';
import type { Value } from '../bson/types';
import type { Collator } from '../query/collation';
import { valueKey } from './value-key';

/** A set of values under MongoDB's equality; it keeps the first of equal values. */
export class ValueSet {
  private readonly members = new Map<string, Value>();

  constructor(private readonly collator?: Collator) {}

  /** Adds a value. Returns false when the set has an equal one. */
  add(value: Value): boolean {
    const key = valueKey(value, this.collator);
    if (this.members.has(key)) return false;
    this.members.set(key, value);
    return true;
  }

  /** Whether an equal value is in the set. */
  has(value: Value): boolean {
    return this.members.has(valueKey(value, this.collator));
  }

  /** Number of different values. */
  get size(): number {
    return this.members.size;
  }

  /** The values in order of first appearance. */
  values(): Value[] {
    return [...this.members.values()];
  }

  /** The values in MongoDB's order, as its own sets keep them. */
  sorted(): Value[] {
    return this.values().sort((a, b) => compareValues(a, b, this.collator));
  }
}
