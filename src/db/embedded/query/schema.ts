import type { Document } from '../bson/types';
import { StoreError } from '../errors';

/** Compiles a $jsonSchema. */
export function compileSchema(schema: Document): (document: Document) => boolean {
  if (schema.size === 0) return () => true;
  throw new StoreError('CommandNotSupported', '$jsonSchema is not supported yet');
}
