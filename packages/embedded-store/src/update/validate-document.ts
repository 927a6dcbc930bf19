import { toPlain } from '../bson/codec';
import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import { compileFilter, type Filter } from '../query/matcher';

/** Validators are compiled once; a changed validator is another document. */
const compiled = new WeakMap<Document, Filter>();

/**
 * Refuses a document that the validator of its collection does not match. At level "moderate", an invalid document
 * may stay invalid.
 *
 * @param options The options of the collection: `validator`, `validationLevel`, `validationAction`.
 * @param before The document before the update; undefined for an insert.
 * @throws StoreError DocumentValidationFailure
 * @see https://www.mongodb.com/docs/manual/core/schema-validation/
 */
export function validateDocument(options: Document, document: Document, before: Document | undefined): void {
  const validator = options.get('validator');
  if (!(validator instanceof Map) || validator.size === 0) return;
  const level = options.get('validationLevel');
  if (level === 'off' || options.get('validationAction') === 'warn') return;
  const filter = compiled.get(validator) ?? compileFilter(validator, { text: false });
  compiled.set(validator, filter);
  if (filter.matches(document)) return;
  if (level === 'moderate' && before && !filter.matches(before)) return;
  const id = document.get('_id');
  throw new StoreError('DocumentValidationFailure', 'Document failed validation', {
    extra: { errInfo: { failingDocumentId: id === undefined ? null : toPlain(id) } },
  });
}
