import { StoreError } from '../errors';
import { Reader } from './reader';
import { Writer } from './writer';
import type { Document, Value } from './types';

export { fromPlain, toPlain } from './plain';

const writer = new Writer();
const NAMES = new Map<string, Buffer>();
const MAX_NAMES = 1000;

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function nameBytes(name: string): Buffer {
  const known = NAMES.get(name);
  if (known !== undefined) return known;
  if (NAMES.size >= MAX_NAMES) NAMES.clear();
  const bytes = Buffer.from(name);
  NAMES.set(name, bytes);
  return bytes;
}

/**
 * Reads one BSON document (https://bsonspec.org/spec.html). All lengths are checked; trailing bytes are an error.
 * Of fields with the same name the first counts. The result shares no memory with `bytes`. Throws InvalidBSON, or
 * Overflow beyond a nesting of 200.
 */
export function decode(bytes: Uint8Array): Document {
  const reader = new Reader(asBuffer(bytes));
  const document = reader.document(bytes.length);
  if (reader.position !== bytes.length) {
    throw new StoreError('InvalidBSON', 'Invalid BSON: bytes follow the end of the document');
  }
  return document;
}

/**
 * Reads only the top-level fields whose names are in `names`, in document order. A filter needs only these of a
 * large document. The lengths of other fields are checked, their contents are not.
 */
export function decodeFields(bytes: Uint8Array, names: ReadonlySet<string>): Document {
  const reader = new Reader(asBuffer(bytes));
  const result: Document = new Map();
  const end = reader.enter(bytes.length);
  let wanted = names.size;
  for (let type = reader.type(end); type !== 0; type = reader.type(end)) {
    const name = reader.name(end);
    if (!names.has(name) || result.has(name)) reader.skip(type, end);
    else {
      result.set(name, reader.value(type, end));
      if (--wanted === 0) break;
    }
  }
  return result;
}

/** The value of one top-level field, without reading the others; undefined when it is missing. */
export function rawField(bytes: Uint8Array, name: string): Value | undefined {
  const reader = new Reader(asBuffer(bytes));
  const wanted = nameBytes(name);
  const end = reader.enter(bytes.length);
  for (let type = reader.type(end); type !== 0; type = reader.type(end)) {
    if (reader.nameIs(wanted, end)) return reader.value(type, end);
    reader.skip(type, end);
  }
  return undefined;
}

/**
 * Writes a document as BSON, fields in the order of the Map, number wrappers as the types they name. A field whose
 * value is undefined is left out. The result is a new buffer. Throws Overflow beyond a nesting of 200, BadValue for
 * a null byte in a name or for an invalid date.
 */
export function encode(document: Document): Uint8Array {
  return writer.encode(document);
}
