import { BSONRegExp } from 'bson';
import { compareValues } from '../bson/compare';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { checkIdValue } from './document';
import { identical } from './identical';
import { withIdFirst } from './replacement';
import { checkStorableDocument } from './storable';
import type { Update } from './types';

/**
 * The document that an upsert inserts when its filter matches nothing: the filter's equalities, then the update. Of
 * a replacement only `_id` comes from the filter. The caller adds an `_id` if there is none.
 *
 * @throws StoreError NotSingleValueField if the filter gives a field two values, ImmutableField if the update and
 *   the filter disagree about `_id`, InvalidIdField, and the errors of the update.
 * @see https://www.mongodb.com/docs/manual/reference/method/db.collection.update/#upsert-behavior
 */
export function upsertDocument(filter: Document, update: Update, now: Date): Document {
  const equalities = [...equalitiesOf(filter)].sort(([a], [b]) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  const wanted = update.replacement ? equalities.filter(([path]) => concernsId(path)) : equalities;
  checkSingleValued(wanted);
  const start: Document = new Map();
  for (const [path, value] of wanted) setAt(start, path.split('.'), value);
  const result = withIdFirst(update.apply(start, { insert: true, now }));
  const id = result.get('_id');
  if (id !== undefined) checkIdValue(id);
  checkStorableDocument(result);
  return result;
}

/**
 * Refuses `$expr` in the filter of an upsert, where it cannot supply equalities.
 *
 * @throws StoreError QueryFeatureNotAllowed
 */
export function refuseExprInUpsert(filter: Document): void {
  for (const [name, value] of filter) {
    if (name === '$expr') {
      throw new StoreError(
        'QueryFeatureNotAllowed',
        '$expr is not allowed in the query predicate for an upsert',
      );
    }
    if (!name.startsWith('$') || !Array.isArray(value)) continue;
    for (const branch of value) if (branch instanceof Map) refuseExprInUpsert(branch);
  }
}

type Equality = readonly [path: string, value: Value];

function* equalitiesOf(filter: Document): Iterable<Equality> {
  for (const [name, value] of filter) {
    if (name === '$and' || (name === '$or' && Array.isArray(value) && value.length === 1)) {
      for (const branch of Array.isArray(value) ? value : []) {
        if (branch instanceof Map) yield* equalitiesOf(branch);
      }
    } else if (!name.startsWith('$')) {
      yield* fieldEqualities(name, value);
    }
  }
}

function* fieldEqualities(path: string, condition: Value): Iterable<Equality> {
  if (!(condition instanceof Map) || !isOperators(condition)) {
    if (!(condition instanceof BSONRegExp)) yield [path, condition];
    return;
  }
  for (const [operator, operand] of condition) {
    if (operator === '$eq') yield [path, operand];
    if (!Array.isArray(operand)) continue;
    if (operator === '$in') {
      // MongoDB reads an `$in` of one value as an equality.
      const distinct = distinctValues(operand);
      const [only] = distinct;
      if (distinct.length === 1 && only !== undefined && !(only instanceof BSONRegExp)) yield [path, only];
    } else if (operator === '$all') {
      for (const value of operand) {
        const special = value instanceof BSONRegExp || (value instanceof Map && value.has('$elemMatch'));
        if (!special) yield [path, value];
      }
    }
  }
}

function isOperators(condition: Document): boolean {
  const first = condition.keys().next().value;
  return first !== undefined && first.startsWith('$') && !['$ref', '$id', '$db'].includes(first);
}

function distinctValues(values: readonly Value[]): Value[] {
  const distinct: Value[] = [];
  for (const value of values) {
    const known = distinct.some((other) => identical(other, value) || compareValues(other, value) === 0);
    if (!known) distinct.push(value);
  }
  return distinct;
}

function concernsId(path: string): boolean {
  if (path.startsWith('_id.')) {
    throw new StoreError(
      'NotExactValueField',
      `field at '_id' must be exactly specified, field at sub-path '${path}' found`,
    );
  }
  return path === '_id';
}

function checkSingleValued(equalities: readonly Equality[]): void {
  const seen = new Set<string>();
  for (const [path] of equalities) {
    if (seen.has(path)) {
      throw new StoreError(
        'NotSingleValueField',
        `cannot infer query fields to set, path '${path}' is matched twice`,
      );
    }
    for (let dot = path.lastIndexOf('.'); dot > 0; dot = path.lastIndexOf('.', dot - 1)) {
      const parent = path.slice(0, dot);
      if (!seen.has(parent)) continue;
      throw new StoreError(
        'NotSingleValueField',
        `cannot infer query fields to set, both paths '${path}' and '${parent}' are matched`,
      );
    }
    seen.add(path);
  }
}

function setAt(document: Document, path: readonly string[], value: Value): void {
  const [name = '', ...rest] = path;
  if (rest.length === 0) {
    document.set(name, value);
    return;
  }
  const child = document.get(name);
  const container: Document = child instanceof Map ? child : new Map<string, Value>();
  document.set(name, container);
  setAt(container, rest, value);
}
