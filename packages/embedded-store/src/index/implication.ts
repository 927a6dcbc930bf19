import { compareValues, equalValues, typeOrder } from '../bson/compare';
import { isNaNValue, isNumber } from '../bson/numbers';
import { MaxKey, MinKey } from 'bson';
import type { Value } from '../bson/types';
import type { Node, Predicate } from '../query/ast';
import { holdsStrings } from './bounds';

type Leaf = Extract<Node, { kind: 'leaf' }>;
type CompareLike = Extract<Predicate, { kind: 'compare' }>;

/**
 * Whether every document that `query` matches is matched by `filter` too, as far as their structure shows: when in
 * doubt, false. Decides whether a partial index contains all documents of a query. `sameCollation` says whether
 * both compare strings alike.
 */
export function implies(query: Node, filter: Node, sameCollation: boolean): boolean {
  if (filter.kind === 'always') return filter.value;
  if (filter.kind === 'and') return filter.children.every((child) => implies(query, child, sameCollation));
  if (query.kind === 'always') return !query.value;
  if (query.kind === 'or') return query.children.every((child) => implies(child, filter, sameCollation));
  if (filter.kind === 'or' && filter.children.some((child) => implies(query, child, sameCollation)))
    return true;
  if (query.kind === 'and') return query.children.some((child) => implies(child, filter, sameCollation));
  if (filter.kind !== 'leaf') return false;
  if (query.kind === 'not') return filter.predicate.kind === 'exists' && excludesMissing(query.child, filter);
  return query.kind === 'leaf' && query.path === filter.path && leafImplies(query, filter, sameCollation);
}

/**
 * Whether no document without any value at the path can match: for sparse indexes, and for filters on whether a
 * field exists.
 */
export function impliesExistence(query: Node, path: string): boolean {
  switch (query.kind) {
    case 'always':
      return !query.value;
    case 'and':
      return query.children.some((child) => impliesExistence(child, path));
    case 'or':
      return query.children.every((child) => impliesExistence(child, path));
    case 'leaf':
      return leafNeedsPath(query, path);
    case 'not':
      return notNeedsValue(query.child, path);
    default:
      return false;
  }
}

function excludesMissing(child: Node, filter: Leaf): boolean {
  return notNeedsValue(child, filter.path);
}

/**
 * `{a: {$ne: null}}` requires a value. With a dotted path it does not: `{'a.b': {$ne: null}}` matches `{a: []}`.
 */
function notNeedsValue(child: Node, path: string): boolean {
  if (child.kind !== 'leaf' || child.path !== path || child.parts.length > 1) return false;
  return child.predicate.test(undefined);
}

function leafNeedsPath({ path, predicate }: Leaf, wanted: string): boolean {
  if (predicate.kind === 'elemMatchObject' && wanted.startsWith(`${path}.`)) {
    return impliesExistence(predicate.child, wanted.slice(path.length + 1));
  }
  return path === wanted && leafNeedsValue(predicate);
}

function leafNeedsValue(predicate: Predicate): boolean {
  return !predicate.test(undefined);
}

function leafImplies(query: Leaf, filter: Leaf, sameCollation: boolean): boolean {
  const wanted = filter.predicate;
  const given = query.predicate;
  if (wanted.kind === 'exists') return leafNeedsValue(given);
  if (wanted.kind === 'compare') return impliesComparison(given, wanted, sameCollation);
  if (wanted.kind === 'in') return impliesMembership(given, wanted, sameCollation);
  if (wanted.kind === 'type' && given.kind === 'type') {
    return [...given.names].every((name) => wanted.names.has(name));
  }
  if (wanted.kind === 'regex' && given.kind === 'regex') {
    return wanted.regex.pattern === given.regex.pattern && wanted.regex.options === given.regex.options;
  }
  return false;
}

/** Constants for which "some element has it" in the query implies it in the filter. */
function isPlain(value: Value, sameCollation: boolean): boolean {
  if (value === null || Array.isArray(value)) return false;
  if (value instanceof MinKey || value instanceof MaxKey) return false;
  if (isNumber(value) && isNaNValue(value)) return false;
  return sameCollation || !holdsStrings(value);
}

function impliesComparison(given: Predicate, wanted: CompareLike, sameCollation: boolean): boolean {
  if (given.kind === 'in') {
    return (
      given.regexes.length === 0 &&
      given.values.every((value) => isPlain(value, sameCollation) && wanted.test(value))
    );
  }
  if (given.kind !== 'compare') return false;
  const alike = sameCollation || !holdsStrings(wanted.value);
  if (given.op === wanted.op && alike && equalValues(given.value, wanted.value)) return true;
  if (!isPlain(given.value, sameCollation)) return false;
  if (given.op === 'eq') return wanted.test(given.value);
  return sameDirection(given, wanted) && isPlain(wanted.value, sameCollation) && within(given, wanted);
}

function sameDirection(given: CompareLike, wanted: CompareLike): boolean {
  return given.op[0] === wanted.op[0] && typeOrder(given.value) === typeOrder(wanted.value);
}

/** Whether a range is inside another one that is open in the same direction. */
function within(given: CompareLike, wanted: CompareLike): boolean {
  if (wanted.test(given.value)) return true;
  // x > 5 is inside x > 5, although 5 itself is not.
  return !given.op.endsWith('e') && compareValues(given.value, wanted.value) === 0;
}

function impliesMembership(
  given: Predicate,
  wanted: Extract<Predicate, { kind: 'in' }>,
  sameCollation: boolean,
): boolean {
  if (given.kind === 'compare' && given.op === 'eq') {
    return (
      isPlain(given.value, sameCollation) && wanted.values.some((value) => equalValues(value, given.value))
    );
  }
  if (given.kind !== 'in' || given.regexes.length > 0) return false;
  return given.values.every(
    (value) => isPlain(value, sameCollation) && wanted.values.some((other) => equalValues(value, other)),
  );
}
