import { Double, Int32 } from 'bson';
import type { Document, Value } from '../bson/types';
import type { IndexDefinition } from '../index/keys';

/** The definition of an index, from its specification in listIndexes. */
export function readDefinition(spec: Document): IndexDefinition {
  const definition: IndexDefinition = {
    name: spec.get('name') as string,
    // The second half of a text index's key, `_ftsx`, has no meaning.
    key: [...(spec.get('key') as Document)]
      .filter(([field]) => field !== '_ftsx')
      .map(([field, order]) => [field, direction(order)]),
  };
  if (spec.get('unique') === true) definition.unique = true;
  if (spec.get('sparse') === true) definition.sparse = true;
  const expiry = spec.get('expireAfterSeconds');
  if (expiry !== undefined) definition.expireAfterSeconds = Number(expiry);
  copyDocument(spec, definition, 'partialFilterExpression');
  copyDocument(spec, definition, 'collation');
  copyDocument(spec, definition, 'weights');
  copyString(spec, definition, 'default_language');
  copyString(spec, definition, 'language_override');
  return definition;
}

function direction(order: Value): 1 | -1 | 'text' {
  if (order === 'text') return 'text';
  return (order instanceof Int32 || order instanceof Double ? order.value : Number(order)) < 0 ? -1 : 1;
}

function copyDocument(
  spec: Document,
  definition: IndexDefinition,
  field: 'partialFilterExpression' | 'collation' | 'weights',
): void {
  const value = spec.get(field);
  if (value instanceof Map) definition[field] = value;
}

function copyString(
  spec: Document,
  definition: IndexDefinition,
  field: 'default_language' | 'language_override',
): void {
  const value = spec.get(field);
  if (typeof value === 'string') definition[field] = value;
}
