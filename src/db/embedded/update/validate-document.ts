import { toPlain } from '../bson/codec';
import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import type { Filter } from '../query/matcher';

/**
 * Refuses a document that a collection's validator does not match.
 *
 * @throws StoreError DocumentValidationFailure
 * @see https://www.mongodb.com/docs/manual/core/schema-validation/
 */
export function validateDocument(document: Document, validator: Filter): void {
  if (validator.matches(document)) return;
  const id = document.get('_id');
  throw new StoreError('DocumentValidationFailure', 'Document failed validation', {
    extra: { errInfo: { failingDocumentId: id === undefined ? null : toPlain(id) } },
  });
}
