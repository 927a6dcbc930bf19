import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import type { Collator } from '../../query/collation';
import { array } from '../arguments';
import { type OperatorTable, fixed, isNullish, variadic } from '../scope';
import { truthy } from '../truth';
import { ValueSet } from '../value-set';

function setOf(items: Iterable<Value>, collator: Collator | undefined): ValueSet {
  const set = new ValueSet(collator);
  for (const item of items) set.add(item);
  return set;
}

/** Set operators: arrays without order and repetition. Unions and intersections are sorted by value. */
export const SETS: OperatorTable = {
  $allElementsTrue: fixed(1, ([list]) => array(list, 17040, "$allElementsTrue's argument").every(truthy)),
  $anyElementTrue: fixed(1, ([list]) => array(list, 17041, "$anyElementTrue's argument").some(truthy)),
  $setDifference: fixed(2, ([a, b], { collator }) => {
    if (isNullish(a) || isNullish(b)) return null;
    const left = array(a, 17048, 'both operands of $setDifference');
    const taken = setOf(array(b, 17049, 'both operands of $setDifference'), collator);
    return left.filter((item) => taken.add(item));
  }),
  $setEquals: variadic((lists, { collator }) => {
    if (lists.length < 2) {
      throw new StoreError(17045, `$setEquals needs at least two arguments had: ${lists.length}`);
    }
    const sets = lists.map((list) => setOf(array(list, 17044, 'All operands of $setEquals'), collator));
    const [first, ...others] = sets;
    return others.every((set) => set.size === first?.size && set.values().every((item) => first.has(item)));
  }),
  $setIntersection: variadic((lists, { collator }) => {
    if (lists.some(isNullish)) return null;
    const arrays = lists.map((list) => array(list, 17047, 'All operands of $setIntersection'));
    const [first = [], ...others] = arrays;
    const sets = others.map((list) => setOf(list, collator));
    const kept = first.filter((item) => sets.every((set) => set.has(item)));
    return setOf(kept, collator).sorted();
  }),
  $setIsSubset: fixed(2, ([a, b], { collator }) => {
    const inner = array(a, 17046, 'both operands of $setIsSubset');
    const outer = setOf(array(b, 17042, 'both operands of $setIsSubset'), collator);
    return inner.every((item) => outer.has(item));
  }),
  $setUnion: variadic((lists, { collator }) => {
    if (lists.some(isNullish)) return null;
    return setOf(
      lists.flatMap((list) => array(list, 17043, 'All operands of $setUnion')),
      collator,
    ).sorted();
  }),
};
