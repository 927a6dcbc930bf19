import { BSONRegExp, ObjectId } from 'bson';
import { rawField } from '../bson/codec';
import { TYPE } from '../bson/type-codes';
import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import { nextTimestamp } from './modifiers/current-date';
import { readElements, type RawElement } from './raw';
import { checkStorableDocument } from './storable';

/** The greatest size in bytes of a stored document. */
const MAX_DOCUMENT_SIZE = 16 * 1024 * 1024;

const ID_TYPES_REFUSED = new Map<number, string>([
  [TYPE.regex, 'regex'],
  [TYPE.array, 'array'],
  [TYPE.undefined, 'undefined'],
]);

/**
 * Checks a document for an insert and returns the bytes to store: `_id` first (a new ObjectId if there is none),
 * and the empty timestamps among the top-level fields filled in.
 *
 * Refuses dollar-prefixed names at the top level, as the servers before MongoDB 5.0 did.
 *
 * @throws StoreError BadValue for a name, `_id` or size that is not allowed, InvalidBSON, Overflow.
 */
export function prepareInsert(bytes: Uint8Array, now: Date): Uint8Array {
  if (bytes.length > MAX_DOCUMENT_SIZE) {
    throw new StoreError(
      'BadValue',
      `object to insert too large. size in bytes: ${bytes.length}, max size: ${MAX_DOCUMENT_SIZE}`,
    );
  }
  const elements = readElements(bytes);
  for (const { name } of elements) {
    if (name.startsWith('$')) {
      throw new StoreError('BadValue', `Document can't have $ prefixed field names: ${name}`);
    }
  }
  const ids = elements.filter(({ name }) => name === '_id');
  if (ids.length > 1) throw new StoreError('BadValue', "can't have multiple _id fields");
  if (ids[0]) checkId(bytes, ids[0]);
  const filled = fillTimestamps(bytes, elements, now);
  return ids[0] ? moveFirst(filled, ids[0]) : prependId(filled, new ObjectId());
}

/**
 * Refuses an invalid `_id`: an array, a regular expression, or a document with a dollar-prefixed name.
 *
 * @throws StoreError InvalidIdField, DollarPrefixedFieldName
 */
export function checkIdValue(id: Value): void {
  const kind = Array.isArray(id) ? 'array' : id instanceof BSONRegExp ? 'regex' : undefined;
  if (kind) throw new StoreError('InvalidIdField', `The '_id' value cannot be of type ${kind}`);
  if (id instanceof Map) checkStorableDocument(id);
}

/**
 * Refuses a document that has grown beyond 16 MB.
 *
 * @throws StoreError BSONObjectTooLarge
 */
export function checkSize(bytes: Uint8Array): void {
  if (bytes.length <= MAX_DOCUMENT_SIZE) return;
  throw new StoreError(
    'BSONObjectTooLarge',
    `Resulting document after update is larger than ${MAX_DOCUMENT_SIZE}`,
  );
}

function checkId(bytes: Uint8Array, element: RawElement): void {
  const refused = ID_TYPES_REFUSED.get(element.type);
  if (refused) throw new StoreError('BadValue', `can't use a ${refused} for _id`);
  if (element.type !== TYPE.object) return;
  const id = rawField(bytes, '_id');
  if (id instanceof Map) checkStorableDocument(id);
}

function fillTimestamps(bytes: Uint8Array, elements: readonly RawElement[], now: Date): Uint8Array {
  let result = bytes;
  for (const { type, name, valueStart, end } of elements) {
    if (type !== TYPE.timestamp || name === '_id') continue;
    if (bytes.subarray(valueStart, end).some((byte) => byte !== 0)) continue;
    if (result === bytes) result = Uint8Array.from(bytes);
    const { t, i } = nextTimestamp(now);
    const view = new DataView(result.buffer, result.byteOffset);
    view.setUint32(valueStart, i, true);
    view.setUint32(valueStart + 4, t, true);
  }
  return result;
}

function moveFirst(bytes: Uint8Array, element: RawElement): Uint8Array {
  const { start, end } = element;
  if (start === 4) return bytes;
  return Buffer.concat([
    bytes.subarray(0, 4),
    bytes.subarray(start, end),
    bytes.subarray(4, start),
    bytes.subarray(end),
  ]);
}

function prependId(bytes: Uint8Array, id: ObjectId): Uint8Array {
  const header = Buffer.alloc(4 + 17);
  header.writeInt32LE(bytes.length + 17, 0);
  header[4] = TYPE.objectId;
  header.write('_id\0', 5, 'latin1');
  header.set(id.id, 9);
  return Buffer.concat([header, bytes.subarray(4)]);
}
