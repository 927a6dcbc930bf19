import { BSONRegExp, MaxKey, MinKey } from 'bson';
import { compareValues, ORDER, typeOrder } from '../../bson/compare';
import { isNaNValue, isNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import type { Comparison, Predicate } from '../ast';
import type { Collator } from '../collation';
import { badValue, leaf, not, type FieldOperator } from './context';

const ACCEPTS: Readonly<Record<Comparison, (order: number) => boolean>> = {
  eq: (order) => order === 0,
  lt: (order) => order < 0,
  lte: (order) => order <= 0,
  gt: (order) => order > 0,
  gte: (order) => order >= 0,
};

/**
 * A comparison with a constant. Only values of the same type compare, except that missing counts as null, and that
 * MinKey and MaxKey are below and above values of every type.
 */
export function comparison(op: Comparison, value: Value, collator: Collator | undefined): Predicate {
  return { kind: 'compare', op, value, test: comparisonTest(op, value, collator) };
}

function comparisonTest(op: Comparison, constant: Value, collator: Collator | undefined): Predicate['test'] {
  const accepts = ACCEPTS[op];
  if (constant === null) {
    const matchesNull = accepts(0);
    return (value) => matchesNull && (value === null || value === undefined);
  }
  const order = typeOrder(constant);
  if (constant instanceof MinKey || constant instanceof MaxKey) {
    const others = accepts(constant instanceof MinKey ? 1 : -1);
    return (value) => (typeOrder(value) === order ? accepts(0) : others);
  }
  if (isNumber(constant) && isNaNValue(constant)) {
    const matchesNaN = accepts(0);
    return (value) => matchesNaN && isNumber(value) && isNaNValue(value);
  }
  if (op === 'eq')
    return (value) => typeOrder(value) === order && compareValues(value, constant, collator) === 0;
  // NaN sorts below all numbers, but in matching it is neither below nor above any.
  if (order === ORDER.number) {
    return (value) => isNumber(value) && !isNaNValue(value) && accepts(compareValues(value, constant));
  }
  return (value) => typeOrder(value) === order && accepts(compareValues(value, constant, collator));
}

function operator(op: Comparison): FieldOperator {
  return (path, argument, context) => {
    if (argument instanceof BSONRegExp && op !== 'eq') {
      throw badValue("Can't have RegEx as arg to predicate over field '" + path + "'.");
    }
    return leaf(path, comparison(op, argument, context.collator));
  };
}

export const COMPARISON_OPERATORS: Readonly<Record<string, FieldOperator>> = {
  $eq: operator('eq'),
  $lt: operator('lt'),
  $lte: operator('lte'),
  $gt: operator('gt'),
  $gte: operator('gte'),
  $ne: (path, argument, context) => {
    if (argument instanceof BSONRegExp) throw badValue("Can't have regex as arg to $ne.");
    return not(leaf(path, comparison('eq', argument, context.collator)));
  },
};
