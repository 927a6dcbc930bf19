import type { BSONRegExp } from 'bson';
import { MaxKey, MinKey } from 'bson';
import { isNaNValue, isNumber } from '../bson/numbers';
import type { Value } from '../bson/types';
import type { Comparison, Predicate } from '../query/ast';
import type { Collator } from '../query/collation';
import { literalPrefix } from '../query/regex';
import { TAG } from './encoding';
import {
  between,
  compareCuts,
  encodeValue,
  FULL,
  pointInterval,
  prefixInterval,
  typeInterval,
  union,
  type Interval,
} from './interval';

/** The part of an index component that can contain the values that a predicate accepts. */
export interface Bounds {
  /** Sorted and disjoint. */
  readonly intervals: readonly Interval[];
  /** Without arrays in the index, a key is inside exactly when its value is accepted. */
  readonly exact: boolean;
}

/** The index component to which the bounds apply. */
export interface Component {
  readonly limit: number;
  readonly indexCollator: Collator | undefined;
  readonly queryCollator: Collator | undefined;
}

const NOTHING: Bounds = { intervals: [], exact: true };
const EVERYTHING: Bounds = { intervals: [FULL], exact: true };

/** Bounds of a predicate, or undefined when it does not restrict the keys. */
export function boundsOf(predicate: Predicate, component: Component): Bounds | undefined {
  switch (predicate.kind) {
    case 'compare':
      return comparisonBounds(predicate.op, predicate.value, component);
    case 'in':
      return membershipBounds(predicate.values, predicate.regexes, component);
    case 'regex':
      return regexBounds(predicate.regex, component);
    case 'type':
      return typeBounds(predicate.names);
    case 'exists':
      return { intervals: [FULL], exact: false };
    default:
      return undefined;
  }
}

function sameCollation(component: Component): boolean {
  return component.indexCollator === component.queryCollator;
}

/** Whether the collation affects a value. */
export function holdsStrings(value: Value): boolean {
  if (typeof value === 'string') return true;
  if (Array.isArray(value)) return value.some(holdsStrings);
  if (value instanceof Map) return [...value.values()].some(holdsStrings);
  return (
    value !== null && typeof value === 'object' && '_bsontype' in value && value._bsontype === 'BSONSymbol'
  );
}

function comparisonBounds(op: Comparison, value: Value, component: Component): Bounds | undefined {
  if (holdsStrings(value) && !sameCollation(component)) return undefined;
  if (op === 'eq') return equalityBounds(value, component);
  if (value === null) return op === 'lte' || op === 'gte' ? equalityBounds(value, component) : NOTHING;
  if (value instanceof MinKey || value instanceof MaxKey) return extremeBounds(op, value, component);
  // An array compares as a whole, but the index contains its elements.
  if (Array.isArray(value)) return undefined;
  if (isNumber(value) && isNaNValue(value)) {
    return op === 'lte' || op === 'gte' ? equalityBounds(value, component) : NOTHING;
  }
  // Keys under a collation are equal when the strings are, but do not have their order.
  if (component.indexCollator !== undefined && (holdsStrings(value) || value instanceof Map)) {
    return { intervals: [typeInterval(value)], exact: false };
  }
  return rangeBounds(op, value, component);
}

function rangeBounds(op: Comparison, value: Value, component: Component): Bounds {
  const { prefix, truncated } = encodeValue(value, component.limit, component.indexCollator);
  const type = typeInterval(value);
  const above = op === 'gt' || op === 'gte';
  // For keys that were cut at the same place, the index does not know on which side they are.
  const after = truncated ? !above : op === 'gt' || op === 'lte';
  const cut = { bytes: prefix, after };
  const low = isNumber(value) ? { bytes: NAN, after: true } : type.low;
  const interval = above ? between(cut, type.high) : between(low, cut);
  return { intervals: interval === undefined ? [] : [interval], exact: !truncated };
}

const NAN = Buffer.from([TAG.number, 0, 0, 0, 0, 0, 0, 0, 0]);

/** MinKey and MaxKey compare with values of every type. */
function extremeBounds(op: Comparison, value: MinKey | MaxKey, component: Component): Bounds {
  const all = value instanceof MinKey ? op === 'gt' || op === 'gte' : op === 'lt' || op === 'lte';
  if (all) return op === 'gte' || op === 'lte' ? EVERYTHING : { intervals: [FULL], exact: false };
  return op === 'gte' || op === 'lte' ? equalityBounds(value, component) : NOTHING;
}

function equalityBounds(value: Value, component: Component): Bounds {
  const points = [value];
  // A document with an array equal to the value is found by the first element of the array.
  if (Array.isArray(value)) points.push(value[0] as Value);
  let exact = !Array.isArray(value);
  const intervals = points.map((point) => {
    const { bytes, truncated } = encodeValue(point, component.limit, component.indexCollator);
    exact &&= !truncated;
    return pointInterval(bytes);
  });
  return { intervals: intervals.length === 1 ? intervals : union(intervals), exact };
}

function membershipBounds(
  values: readonly Value[],
  regexes: readonly BSONRegExp[],
  component: Component,
): Bounds | undefined {
  const parts = [
    ...values.map((value) => comparisonBounds('eq', value, component)),
    ...regexes.map((regex) => regexBounds(regex, component)),
  ];
  const intervals: Interval[] = [];
  let exact = true;
  for (const part of parts) {
    if (part === undefined) return undefined;
    intervals.push(...part.intervals);
    exact &&= part.exact;
  }
  return { intervals: union(intervals), exact };
}

/**
 * Strings with the prefix of the expression, and the expression itself, because a stored one can be equal to it.
 */
function regexBounds(regex: BSONRegExp, component: Component): Bounds {
  const self = pointInterval(encodeValue(regex, component.limit, undefined).bytes);
  const literal =
    component.indexCollator === undefined ? literalPrefix(regex.pattern, regex.options) : undefined;
  if (literal === undefined || literal.text === '')
    return { intervals: union([typeInterval(''), self]), exact: false };
  const { bytes, truncated } = encodeValue(literal.text, component.limit, undefined);
  if (truncated) return { intervals: union([typeInterval(''), self]), exact: false };
  // Without its terminator, the encoding of a string is a prefix of the encodings of all longer ones.
  const strings = prefixInterval(bytes.subarray(0, -1));
  return { intervals: union([strings, self]), exact: literal.complete };
}

const TYPE_TAGS: Readonly<Record<string, number>> = {
  double: TAG.number,
  int: TAG.number,
  long: TAG.number,
  decimal: TAG.number,
  string: TAG.string,
  symbol: TAG.string,
  object: TAG.object,
  binData: TAG.binary,
  objectId: TAG.objectId,
  bool: TAG.bool,
  date: TAG.date,
  timestamp: TAG.timestamp,
  null: TAG.null,
  regex: TAG.regex,
  dbPointer: TAG.dbPointer,
  javascript: TAG.code,
  javascriptWithScope: TAG.codeWithScope,
  minKey: TAG.minKey,
  maxKey: TAG.maxKey,
};

/** Types that share their rank with no other type, and whose keys always are present values. */
const OWN_PLACE = new Set([
  'object',
  'binData',
  'objectId',
  'bool',
  'date',
  'timestamp',
  'regex',
  'minKey',
  'maxKey',
]);

function typeBounds(names: ReadonlySet<string>): Bounds | undefined {
  // The keys of an array are those of its elements.
  if (names.has('array')) return undefined;
  const intervals = [...names].flatMap((name) => {
    const tag = TYPE_TAGS[name];
    return tag === undefined ? [] : [prefixInterval(Buffer.from([tag]))];
  });
  const exact = [...names].every((name) => OWN_PLACE.has(name));
  return { intervals: joined(intervals), exact };
}

/** Two names can have the same tag. */
function joined(intervals: readonly Interval[]): Interval[] {
  const sorted = union(intervals);
  return sorted.filter(
    (interval, i) => i === 0 || compareCuts(interval.low, (sorted[i - 1] as Interval).low) !== 0,
  );
}
