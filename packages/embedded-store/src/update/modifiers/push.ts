import { typeName } from '../../bson/compare';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { describeId } from '../describe';
import { toInteger } from '../integer';
import type { Modifier, ModifierOptions } from './modifier';
import { pushSort, type ElementOrder } from './push-sort';

interface Push {
  readonly values: readonly Value[];
  readonly position: number;
  readonly slice: number | undefined;
  readonly order: ElementOrder | undefined;
}

const CLAUSES = new Set(['$each', '$slice', '$sort', '$position']);

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/push/ */
export const push: Modifier = (_path, argument, options) => {
  const spec = parsePush(argument, options);
  return {
    update(value, context) {
      if (!Array.isArray(value)) {
        throw new StoreError(
          'BadValue',
          `The field '${context.path}' must be an array but is of type ${typeName(value)} ` +
            `in document ${describeId(context.document)}`,
        );
      }
      return pushInto(value, spec);
    },
    create: () => [...pushInto([], spec)],
  };
};

function parsePush(argument: Value, options: ModifierOptions): Push {
  if (!(argument instanceof Map) || !argument.has('$each')) {
    return { values: [argument], position: Infinity, slice: undefined, order: undefined };
  }
  for (const clause of argument.keys()) {
    if (!CLAUSES.has(clause)) throw new StoreError('BadValue', `Unrecognized clause in $push: ${clause}`);
  }
  const each = argument.get('$each') ?? null;
  if (!Array.isArray(each)) {
    throw new StoreError(
      'BadValue',
      `The argument to $each in $push must be an array but it was of type: ${typeName(each)}`,
    );
  }
  const sort = argument.get('$sort');
  return {
    values: each,
    position: integerClause(argument, '$position') ?? Infinity,
    slice: integerClause(argument, '$slice'),
    order: sort === undefined ? undefined : pushSort(sort, options.collator),
  };
}

function integerClause(argument: ReadonlyMap<string, Value>, name: string): number | undefined {
  const value = argument.get(name);
  if (value === undefined) return undefined;
  const number = toInteger(value);
  if (number === undefined) {
    throw new StoreError(
      'BadValue',
      `The value for ${name} must be an integer value but was given type: ${typeName(value)}`,
    );
  }
  return number;
}

/** Inserts, then sorts, then slices, as the manual says; returns the same array if none of them changed it. */
function pushInto(array: Value[], { values, position, slice, order }: Push): Value[] {
  let result = array;
  if (values.length > 0) {
    const at = position < 0 ? Math.max(array.length + position, 0) : Math.min(position, array.length);
    result = [...array.slice(0, at), ...values, ...array.slice(at)];
  }
  if (order) result = [...result].sort(order);
  if (slice !== undefined && result.length > Math.abs(slice)) {
    result = slice >= 0 ? result.slice(0, slice) : result.slice(slice);
  }
  return result;
}
