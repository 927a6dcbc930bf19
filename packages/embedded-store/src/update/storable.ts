import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';

/** MongoDB's limit for the nesting of stored documents. */
export const MAX_DEPTH = 180;

/**
 * Refuses a value that may not be stored: names that begin with a dollar (other than those of a DBRef, in their
 * order) and nesting deeper than 180 levels, at any depth of the value.
 *
 * MongoDB 5.0 began to accept dollar-prefixed names below the top level; the store keeps the older and narrower
 * rule, so that an update operator in the wrong place is an error and not data.
 *
 * @param container The document that has the field, for the other fields of a DBRef.
 * @param depth The level of the field; the fields of the stored document have level 1.
 */
export function checkStorableField(
  name: string,
  value: Value,
  container: Document | undefined,
  depth: number,
): void {
  if (depth > MAX_DEPTH) {
    throw new StoreError('Overflow', `Document exceeds maximum nesting depth of ${MAX_DEPTH}`);
  }
  if (name.startsWith('$') && container) checkDollarName(name, container);
  if (value instanceof Map) {
    for (const [field, item] of value) checkStorableField(field, item, value, depth + 1);
  } else if (Array.isArray(value)) {
    for (const item of value) checkStorableField('', item, undefined, depth + 1);
  }
}

/** `checkStorableField` for each field of a whole document. */
export function checkStorableDocument(document: Document): void {
  for (const [name, value] of document) checkStorableField(name, value, document, 1);
}

/** The name that must precede each name of a DBRef. */
const BEFORE: Readonly<Record<string, string>> = { $id: '$ref', $db: '$id' };

function checkDollarName(name: string, container: Document): void {
  const names = [...container.keys()];
  const at = names.indexOf(name);
  if (name === '$ref' || name === '$id' || name === '$db') {
    const before = BEFORE[name];
    if (before !== undefined && names[at - 1] !== before) {
      throw new StoreError(
        'InvalidDBRef',
        `Found ${name} field without a ${before} before it, which is invalid.`,
      );
    }
    if (name !== '$id' && typeof container.get(name) !== 'string') {
      throw new StoreError('InvalidDBRef', `The DBRef ${name} field must be a String`);
    }
    if (name === '$ref' && names[at + 1] !== '$id') {
      throw new StoreError('InvalidDBRef', 'The DBRef $ref field must be followed by a $id field');
    }
    return;
  }
  throw new StoreError(
    'DollarPrefixedFieldName',
    `The dollar ($) prefixed field '${name}' in '${name}' is not allowed in the context of an update.`,
  );
}
