import { Timestamp } from 'bson';
import { compareValues } from '../bson/compare';
import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import { describe } from './describe';
import { identical } from './identical';
import { nextTimestamp } from './modifiers/current-date';
import { checkStorableDocument } from './storable';

/** The document with `_id`, if it has one, before its other fields. */
export function withIdFirst(document: Document): Document {
  const id = document.get('_id');
  if (id === undefined || document.keys().next().value === '_id') return document;
  return new Map([['_id', id], ...document]);
}

/** Sets the empty timestamps among the top-level fields (except `_id`) to the current time. */
function fillTimestamps(document: Document, now: Date): Document {
  let result = document;
  for (const [name, value] of document) {
    if (name === '_id' || !(value instanceof Timestamp) || !value.isZero()) continue;
    if (result === document) result = new Map(document);
    result.set(name, nextTimestamp(now));
  }
  return result;
}

/**
 * Replaces a document, keeping its `_id`.
 *
 * @throws StoreError ImmutableField if the replacement has another `_id`, DollarPrefixedFieldName.
 */
export function replaceDocument(old: Document, replacement: Document, now: Date): Document {
  if (identical(old, replacement)) return old;
  const id = old.get('_id');
  const given = replacement.get('_id');
  if (id !== undefined && given !== undefined && compareValues(id, given) !== 0) {
    throw new StoreError(
      'ImmutableField',
      `After applying the update, the (immutable) field '_id' was found to have been altered to _id: ${describe(given)}`,
    );
  }
  const next = new Map(replacement);
  if (given === undefined && id !== undefined) next.set('_id', id);
  const result = withIdFirst(fillTimestamps(next, now));
  checkStorableDocument(result);
  return result;
}
