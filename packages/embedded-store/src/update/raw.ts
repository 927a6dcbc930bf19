import { Reader } from '../bson/reader';
import { TYPE } from '../bson/type-codes';
import { StoreError } from '../errors';
import { MAX_DEPTH } from './storable';

/** One top-level field of an encoded document. Offsets are relative to the document. */
export interface RawElement {
  readonly type: number;
  readonly name: string;
  /** Offset of the type byte. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

const NO_NAME = Buffer.alloc(0);

/** Types for which any bytes of the right length are valid; the others have to be decoded to be checked. */
const OPAQUE = new Set<number>([
  TYPE.double,
  TYPE.string,
  TYPE.objectId,
  TYPE.null,
  TYPE.int,
  TYPE.timestamp,
  TYPE.long,
  TYPE.decimal,
]);

/**
 * Reads the top-level fields of a document, and checks all of it, so that only readable documents are stored.
 *
 * @throws StoreError InvalidBSON, Overflow if it nests deeper than 180 levels.
 */
export function readElements(bytes: Uint8Array): RawElement[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = new Reader(buffer);
  const elements: RawElement[] = [];
  const end = reader.enter(bytes.length);
  for (let start = reader.position, type = reader.type(end); type !== 0;) {
    const name = reader.name(end);
    const valueStart = reader.position;
    checkValue(reader, type, end, 1);
    elements.push({ type, name, start, valueStart, end: reader.position });
    start = reader.position;
    type = reader.type(end);
  }
  reader.leave(end);
  if (end !== bytes.length) {
    throw new StoreError('InvalidBSON', 'Invalid BSON: bytes follow the end of the document');
  }
  return elements;
}

function checkValue(reader: Reader, type: number, limit: number, depth: number): void {
  if (type !== TYPE.object && type !== TYPE.array) {
    if (OPAQUE.has(type)) reader.skip(type, limit);
    else reader.value(type, limit);
    return;
  }
  if (depth >= MAX_DEPTH) {
    throw new StoreError(
      'Overflow',
      `cannot insert document because it exceeds ${MAX_DEPTH} levels of nesting`,
    );
  }
  const end = reader.enter(limit);
  for (let inner = reader.type(end); inner !== 0; inner = reader.type(end)) {
    reader.nameIs(NO_NAME, end);
    checkValue(reader, inner, end, depth + 1);
  }
  reader.leave(end);
}
