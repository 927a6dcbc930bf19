import { StoreError } from '../errors';

/** Functions on encoded BSON: they split a command and build a reply without decoding documents. */

const TYPE_STRING = 0x02;
const TYPE_DOCUMENT = 0x03;
const TYPE_ARRAY = 0x04;
const TYPE_DOUBLE = 0x01;
const TYPE_LONG = 0x12;
const TYPE_TIMESTAMP = 0x11;

/** Size of a value by type, for types of fixed length. */
const FIXED_SIZE: Record<number, number> = {
  0x01: 8,
  0x06: 0,
  0x07: 12,
  0x08: 1,
  0x09: 8,
  0x0a: 0,
  0x10: 4,
  0x11: 8,
  0x12: 8,
  0x13: 16,
  0x7f: 0,
  0xff: 0,
};

function invalid(): StoreError {
  return new StoreError('InvalidBSON', 'a BSON document of the message is malformed');
}

/** The offset after the value of type `type` that starts at `offset`. */
function skipValue(bytes: Buffer, type: number, offset: number): number {
  const fixed = FIXED_SIZE[type];
  if (fixed !== undefined) return offset + fixed;
  if (offset + 4 > bytes.length && type !== 0x0b) throw invalid();
  switch (type) {
    case TYPE_STRING:
    case 0x0d:
    case 0x0e:
      return offset + 4 + bytes.readInt32LE(offset);
    case TYPE_DOCUMENT:
    case TYPE_ARRAY:
    case 0x0f:
      return offset + bytes.readInt32LE(offset);
    case 0x05:
      return offset + 5 + bytes.readInt32LE(offset);
    case 0x0b:
      return bytes.indexOf(0, bytes.indexOf(0, offset) + 1) + 1;
    case 0x0c:
      return offset + 4 + bytes.readInt32LE(offset) + 12;
    default:
      throw invalid();
  }
}

/** The elements of an array value as slices, all of which must be documents; undefined if one is not. */
function documentsOf(array: Buffer): Buffer[] | undefined {
  const documents: Buffer[] = [];
  const end = array.length - 1;
  let offset = 4;
  while (offset < end) {
    if (array[offset] !== TYPE_DOCUMENT) return undefined;
    const start = array.indexOf(0, offset + 1) + 1;
    if (start <= 0 || start + 5 > end) throw invalid();
    const size = array.readInt32LE(start);
    if (size < 5 || start + size > end) throw invalid();
    documents.push(array.subarray(start, start + size));
    offset = start + size;
  }
  return documents;
}

/**
 * Removes the array field `name` from a command, so that its documents are not decoded. The rest is a command
 * without the field. Undefined when the command has no such field, or when it has elements other than documents.
 */
export function extractDocuments(
  bytes: Buffer,
  name: string,
): { rest: Buffer; documents: Buffer[] } | undefined {
  const end = bytes.length - 1;
  let offset = 4;
  while (offset < end) {
    const type = bytes[offset] ?? 0;
    const nameEnd = bytes.indexOf(0, offset + 1);
    if (nameEnd < 0) throw invalid();
    const next = skipValue(bytes, type, nameEnd + 1);
    if (next > end || next <= offset) throw invalid();
    if (type === TYPE_ARRAY && bytes.toString('latin1', offset + 1, nameEnd) === name) {
      const documents = documentsOf(bytes.subarray(nameEnd + 1, next));
      if (!documents) return undefined;
      const rest = Buffer.concat([bytes.subarray(0, offset), bytes.subarray(next)]);
      rest.writeInt32LE(rest.length, 0);
      return { rest, documents };
    }
    offset = next;
  }
  return undefined;
}

const INDEX_NAMES: Buffer[] = [];

function indexName(index: number): Buffer {
  for (let i = INDEX_NAMES.length; i <= index && i < 10_000; i++)
    INDEX_NAMES.push(Buffer.from(`${i}\0`, 'latin1'));
  return INDEX_NAMES[index] ?? Buffer.from(`${index}\0`, 'latin1');
}

/** The contents of a cursor reply: a batch of raw documents, the cursor's id (0 = exhausted) and namespace. */
export interface CursorBatch {
  batch: 'firstBatch' | 'nextBatch';
  documents: Uint8Array[];
  id: bigint;
  namespace: string;
  /** The time of the snapshot that it reads from, if a session holds one. */
  atClusterTime?: bigint | undefined;
}

/** The bytes of the element `atClusterTime`. */
const TIME_SIZE = 1 + 14 + 8;

/**
 * `{ cursor: { <batch>: [documents], id, ns, atClusterTime }, ok: 1 }` as BSON, with the documents copied unchanged.
 */
export function cursorReply({ batch, documents, id, namespace, atClusterTime }: CursorBatch): Buffer {
  let arraySize = 5;
  for (let i = 0; i < documents.length; i++) {
    arraySize += 1 + indexName(i).length + (documents[i]?.length ?? 0);
  }
  const ns = Buffer.from(namespace, 'utf8');
  const timeSize = atClusterTime === undefined ? 0 : TIME_SIZE;
  const cursorSize =
    4 + (1 + batch.length + 1 + arraySize) + (1 + 3 + 8) + (1 + 3 + 4 + ns.length + 1) + timeSize + 1;
  const total = 4 + (1 + 7 + cursorSize) + (1 + 3 + 8) + 1;
  const out = Buffer.allocUnsafe(total);
  let at = out.writeInt32LE(total, 0);
  const name = (type: number, text: string) => {
    out[at++] = type;
    at += out.write(text, at, 'latin1');
    out[at++] = 0;
  };
  name(TYPE_DOCUMENT, 'cursor');
  at = out.writeInt32LE(cursorSize, at);
  name(TYPE_ARRAY, batch);
  at = out.writeInt32LE(arraySize, at);
  for (let i = 0; i < documents.length; i++) {
    const key = indexName(i);
    const document = documents[i] as Uint8Array;
    out[at++] = TYPE_DOCUMENT;
    out.set(key, at);
    at += key.length;
    out.set(document, at);
    at += document.length;
  }
  out[at++] = 0;
  name(TYPE_LONG, 'id');
  at = out.writeBigInt64LE(id, at);
  name(TYPE_STRING, 'ns');
  at = out.writeInt32LE(ns.length + 1, at);
  out.set(ns, at);
  at += ns.length;
  out[at++] = 0;
  if (atClusterTime !== undefined) {
    name(TYPE_TIMESTAMP, 'atClusterTime');
    at = out.writeBigUInt64LE(atClusterTime, at);
  }
  out[at++] = 0;
  name(TYPE_DOUBLE, 'ok');
  at = out.writeDoubleLE(1, at);
  out[at] = 0;
  return out;
}
