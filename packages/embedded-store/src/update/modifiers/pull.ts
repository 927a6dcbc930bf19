import { BSONRegExp } from 'bson';
import { compareValues, typeName } from '../../bson/compare';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { compileFilter } from '../../query/matcher';
import type { Leaf } from '../tree';
import type { Modifier, ModifierOptions } from './modifier';

/** Top-level query operators, which in `$pull` apply to the fields of an element and not to the element. */
const TREE_OPERATORS = new Set([
  '$and',
  '$or',
  '$nor',
  '$expr',
  '$jsonSchema',
  '$comment',
  '$text',
  '$where',
]);

function cull(name: string, unwanted: (element: Value) => boolean): Leaf {
  return {
    update(value) {
      if (!Array.isArray(value)) {
        throw new StoreError('BadValue', `Cannot apply ${name} to a non-array value`);
      }
      const kept = value.filter((element) => !unwanted(element));
      return kept.length === value.length ? value : kept;
    },
  };
}

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/pull/ */
export const pull: Modifier = (_path, argument, options) => cull('$pull', condition(argument, options));

function condition(argument: Value, { collator }: ModifierOptions): (element: Value) => boolean {
  const options = collator ? { collator } : {};
  if (argument instanceof Map && !beginsWithPredicate(argument)) {
    const filter = compileFilter(argument, options);
    return (element) => element instanceof Map && filter.matches(element);
  }
  if (argument instanceof Map || argument instanceof BSONRegExp) {
    const filter = compileFilter(new Map([['element', argument]]), options);
    return (element) => filter.matches(new Map([['element', element]]));
  }
  return (element) => compareValues(element, argument, collator) === 0;
}

function beginsWithPredicate(argument: ReadonlyMap<string, Value>): boolean {
  const first = argument.keys().next().value;
  return first !== undefined && first.startsWith('$') && !TREE_OPERATORS.has(first);
}

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/pullAll/ */
export const pullAll: Modifier = (_path, argument, { collator }) => {
  if (!Array.isArray(argument)) {
    throw new StoreError(
      'BadValue',
      `$pullAll requires an array argument but was given a ${typeName(argument)}`,
    );
  }
  return cull('$pullAll', (element) =>
    argument.some((unwanted) => compareValues(element, unwanted, collator) === 0),
  );
};
