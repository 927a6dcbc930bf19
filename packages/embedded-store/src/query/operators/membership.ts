import { BSONRegExp } from 'bson';
import { compareValues } from '../../bson/compare';
import type { Value } from '../../bson/types';
import { conjunction, NEVER, type Node, type Predicate } from '../ast';
import type { Collator } from '../collation';
import { comparison } from './comparison';
import { badValue, isOperatorDocument, leaf, not, type FieldOperator } from './context';
import { regexPredicate } from './regex';

/** Sorted by value, each value once. */
function distinctSorted(values: readonly Value[], collator: Collator | undefined): Value[] {
  const sorted = [...values].sort((a, b) => compareValues(a, b, collator));
  return sorted.filter((value, i) => i === 0 || compareValues(value, sorted[i - 1], collator) !== 0);
}

function contains(sorted: readonly Value[], value: Value, collator: Collator | undefined): boolean {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const order = compareValues(sorted[middle], value, collator);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}

/** Membership in a list, in which a regular expression means the strings it matches and null also means missing. */
function membership(list: readonly Value[], collator: Collator | undefined): Predicate {
  const regexes = list.filter((value) => value instanceof BSONRegExp);
  const values = distinctSorted(
    list.filter((value) => !(value instanceof BSONRegExp)),
    collator,
  );
  const patterns = regexes.map(regexPredicate);
  return {
    kind: 'in',
    values,
    regexes,
    test: (value) =>
      contains(values, value ?? null, collator) || patterns.some((pattern) => pattern.test(value)),
  };
}

const $in: FieldOperator = (path, argument, context) => {
  if (!Array.isArray(argument)) throw badValue('$in needs an array');
  if (argument.some(isOperatorDocument)) throw badValue('cannot nest $ under $in');
  return leaf(path, membership(argument, context.collator));
};

const $nin: FieldOperator = (path, argument, context, siblings) => {
  if (!Array.isArray(argument)) throw badValue('$nin needs an array');
  return not($in(path, argument, context, siblings));
};

function isElemMatch(value: Value): boolean {
  return value instanceof Map && value.keys().next().value === '$elemMatch';
}

const $all: FieldOperator = (path, argument, context) => {
  if (!Array.isArray(argument)) throw badValue('$all needs an array');
  if (argument.length === 0) return NEVER;
  const elemMatches = argument.filter(isElemMatch);
  if (elemMatches.length > 0 && elemMatches.length < argument.length) {
    throw badValue('no $ expressions in $all');
  }
  const children = argument.map((item): Node => {
    if (item instanceof Map && isElemMatch(item)) {
      if (item.size !== 1) throw badValue('$all/$elemMatch has to be consistent');
      return context.operators(path, item);
    }
    if (isOperatorDocument(item)) throw badValue('no $ expressions in $all');
    return leaf(
      path,
      item instanceof BSONRegExp ? regexPredicate(item) : comparison('eq', item, context.collator),
    );
  });
  return conjunction(children);
};

export const MEMBERSHIP_OPERATORS: Readonly<Record<string, FieldOperator>> = { $in, $nin, $all };
