import { compareValues, typeName } from '../../bson/compare';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { describe } from '../describe';
import type { Modifier } from './modifier';

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/addToSet/ */
export const addToSet: Modifier = (_path, argument, { collator }) => {
  const has = (set: readonly Value[], value: Value) =>
    set.some((member) => compareValues(member, value, collator) === 0);
  const values: Value[] = [];
  for (const value of parseValues(argument)) if (!has(values, value)) values.push(value);
  return {
    update(value, context) {
      if (!Array.isArray(value)) {
        const field = context.path.split('.').at(-1);
        throw new StoreError(
          'BadValue',
          `Cannot apply $addToSet to non-array field. Field named '${field}' has non-array type ${typeName(value)}`,
        );
      }
      const added = values.filter((candidate) => !has(value, candidate));
      return added.length === 0 ? value : [...value, ...added];
    },
    create: () => [...values],
  };
};

function parseValues(argument: Value): readonly Value[] {
  if (!(argument instanceof Map) || argument.keys().next().value !== '$each') return [argument];
  const each = argument.get('$each') ?? null;
  if (!Array.isArray(each)) {
    throw new StoreError(
      'TypeMismatch',
      `The argument to $each in $addToSet must be an array but it was of type ${typeName(each)}`,
    );
  }
  if (argument.size > 1) {
    throw new StoreError(
      'BadValue',
      `Found unexpected fields after $each in $addToSet: ${describe(argument)}`,
    );
  }
  return each;
}
