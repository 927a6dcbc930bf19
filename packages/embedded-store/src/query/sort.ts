import { Double } from 'bson';
import { compareValues } from '../bson/compare';
import { isNumber, toNumber } from '../bson/numbers';
import { splitPath, type Path } from '../bson/paths';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collator } from './collation';
import { keyTuples, type KeyValues } from './sort-keys';

/** Metadata of a document while a query runs. */
export interface DocumentMeta {
  /** Its score for the query's `$text`. */
  readonly textScore?: number | undefined;
}

/** A compiled sort. */
export interface Sort {
  /** Whether the sort needs the score of a `$text` query. */
  readonly usesTextScore: boolean;
  /** The sort key of a document, to be computed once for each document. */
  key(document: Document, meta?: DocumentMeta): KeyValues;
  compareKeys(a: KeyValues, b: KeyValues): number;
  /** Negative if `a` comes before `b`. */
  compare(a: Document, b: Document): number;
}

interface SortPart {
  readonly direction: 1 | -1;
  /** Undefined for the text score. */
  readonly path: Path | undefined;
}

/**
 * Compiles a sort such as `{a: 1, 'b.c': -1, score: {$meta: 'textScore'}}`. An array is compared by its least
 * element in ascending order and by its greatest in descending order.
 *
 * @throws StoreError BadValue for anything except 1, -1 and the text score.
 * @see https://www.mongodb.com/docs/manual/reference/method/cursor.sort/
 */
export function compileSort(spec: Document, options: { collator?: Collator | undefined } = {}): Sort {
  const { collator } = options;
  const parts = [...spec].map(([field, order]) => parsePart(field, order));
  const paths = parts.flatMap(({ path }) => (path ? [path] : []));
  const names = paths.map((path) => (path.length === 1 ? path[0] : undefined));

  const compareKeys = (a: KeyValues, b: KeyValues): number => {
    for (const [i, { direction }] of parts.entries()) {
      const order = compareValues(a[i], b[i], collator);
      if (order !== 0) return order * direction;
    }
    return 0;
  };

  const withScore = (values: KeyValues, meta: DocumentMeta | undefined): KeyValues => {
    if (paths.length === parts.length) return values;
    let next = 0;
    return parts.map(({ path }) => (path ? values[next++] : scoreOf(meta)));
  };

  const key = (document: Document, meta?: DocumentMeta): KeyValues => {
    const simple = simpleKey(document, names);
    if (simple) return withScore(simple, meta);
    const tuples = keyTuples(document, paths).map((values) => withScore(values, meta));
    return tuples.reduce((best, tuple) => (compareKeys(tuple, best) < 0 ? tuple : best));
  };

  return {
    usesTextScore: paths.length < parts.length,
    key,
    compareKeys,
    compare: (a, b) => compareKeys(key(a), key(b)),
  };
}

/**
 * Whether a sort is `{$natural: 1}` or `{$natural: -1}`, the order of storage, which needs no sort.
 *
 * @throws StoreError BadValue for another direction, or other fields beside it.
 */
export function isNaturalOrder(spec: Document): boolean {
  const order = spec.get('$natural');
  if (order === undefined) return false;
  const direction = isNumber(order) ? toNumber(order) : 0;
  if (spec.size === 1 && (direction === 1 || direction === -1)) return true;
  throw new StoreError('BadValue', '$natural sort cannot be set to a value other than -1 or 1.');
}

/** The key of a document whose sorted fields are all top-level and not arrays; undefined for others. */
function simpleKey(document: Document, names: readonly (string | undefined)[]): KeyValues | undefined {
  const values: Value[] = [];
  for (const name of names) {
    if (name === undefined) return undefined;
    const value = document.get(name);
    if (Array.isArray(value)) return undefined;
    values.push(value ?? null);
  }
  return values;
}

function scoreOf(meta: DocumentMeta | undefined): Value {
  return meta?.textScore === undefined ? null : new Double(meta.textScore);
}

function parsePart(field: string, order: Value): SortPart {
  if (order instanceof Map) return parseMeta(field, order);
  const direction = isNumber(order) ? Math.trunc(toNumber(order)) : 0;
  if (direction !== 1 && direction !== -1) throw new StoreError('BadValue', 'bad sort specification');
  return { direction, path: splitPath(field) };
}

function parseMeta(field: string, order: Document): SortPart {
  const meta = order.get('$meta');
  if (order.size !== 1 || meta !== 'textScore' || field.startsWith('$')) {
    throw new StoreError('BadValue', 'bad sort specification');
  }
  return { direction: -1, path: undefined };
}
