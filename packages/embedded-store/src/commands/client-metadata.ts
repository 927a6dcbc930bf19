import { encode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Connection } from '../wire/listener';

const MAX_BYTES = 512;
const MAX_APPLICATION_NAME_BYTES = 128;

/**
 * Checks how a driver describes itself in the field `client` of its first hello, with the rules and errors of MongoDB
 * 4.4 to 8: a client may leave the field out, but not send it without `driver` and `os`, and not send it twice.
 * (https://github.com/mongodb/specifications/blob/master/source/mongodb-handshake/handshake.md)
 * @param metadata the field; undefined when the hello has none.
 * @throws StoreError ClientMetadataMissingField, ClientMetadataAppNameTooLarge, ClientMetadataDocumentTooLarge,
 *   ClientMetadataCannotBeMutated, TypeMismatch
 */
export function checkClientMetadata(metadata: Value | undefined, connection: Connection): void {
  const isFirst = !connection.saidHello;
  if (metadata !== undefined) {
    if (!isFirst) {
      throw new StoreError(
        'ClientMetadataCannotBeMutated',
        'The client metadata document may only be sent in the first hello',
      );
    }
    checkDocument(metadata);
  }
  connection.saidHello = true;
}

function checkDocument(metadata: Value): void {
  if (!(metadata instanceof Map)) {
    throw new StoreError('TypeMismatch', 'The client metadata document must be a document');
  }
  if (encode(metadata).length > MAX_BYTES) {
    throw new StoreError(
      'ClientMetadataDocumentTooLarge',
      `The client metadata document must be less then or equal to ${MAX_BYTES} bytes`,
    );
  }
  checkApplication(part(metadata, 'application'));
  requireTexts(metadata, 'driver', ['name', 'version']);
  requireTexts(metadata, 'os', ['type']);
}

function part(metadata: Document, name: string): Document | undefined {
  const value = metadata.get(name);
  if (value === undefined || value instanceof Map) return value;
  throw new StoreError(
    'TypeMismatch',
    `The '${name}' field is required to be a BSON document in the client metadata document`,
  );
}

function checkApplication(application: Document | undefined): void {
  const name = application?.get('name');
  if (name === undefined) return;
  if (Buffer.byteLength(text(name, 'application.name')) > MAX_APPLICATION_NAME_BYTES) {
    throw new StoreError(
      'ClientMetadataAppNameTooLarge',
      `The 'application.name' field must be less then or equal to ${MAX_APPLICATION_NAME_BYTES} bytes in the client metadata document`,
    );
  }
}

function requireTexts(metadata: Document, name: string, fields: string[]): void {
  const document = part(metadata, name);
  if (!document) throw missing(`sub-document '${name}'`);
  for (const field of fields) {
    const value = document.get(field);
    if (value === undefined) throw missing(`field '${name}.${field}'`);
    text(value, `${name}.${field}`);
  }
}

function text(value: Value, path: string): string {
  if (typeof value === 'string') return value;
  throw new StoreError(
    'TypeMismatch',
    `The '${path}' field must be a string in the client metadata document`,
  );
}

function missing(what: string): StoreError {
  return new StoreError(
    'ClientMetadataMissingField',
    `Missing required ${what} in the client metadata document`,
  );
}
