import { BSON, type Document } from 'mongodb';
import { ArchiveError } from './archive-format';

/** Keeps the types of all values: a double stays a double, also when it is a whole number. */
const EXACT = {
  promoteValues: false,
  promoteLongs: false,
  promoteBuffers: false,
  bsonRegExp: true,
} as const;

const SMALLEST_DOCUMENT_BYTES = 5;
const TYPE_OBJECT = 0x03;
const TYPE_ARRAY = 0x04;

/**
 * Divides a part into its documents.
 * @returns each of them in a form that the driver stores as exactly the same bytes.
 * @throws ArchiveError when the part is not a sequence of BSON documents.
 */
export function* documentsOf(part: Buffer, name: string): Generator<Document> {
  for (let start = 0; start < part.length;) {
    const size = part.length - start < SMALLEST_DOCUMENT_BYTES ? 0 : part.readInt32LE(start);
    if (size < SMALLEST_DOCUMENT_BYTES || start + size > part.length) {
      throw new ArchiveError(`The part ${name} does not consist of documents.`);
    }
    const bytes = part.subarray(start, start + size);
    yield exactDocument(bytes, name);
    start += size;
  }
}

function exactDocument(bytes: Buffer, name: string): Document {
  const document = BSON.deserialize(bytes, EXACT);
  if (isSame(document, bytes)) return document;
  // An object cannot keep the order of fields whose names are numbers; a map can.
  const map = toMap(bytes) as unknown as Document;
  if (isSame(map, bytes)) return map;
  throw new ArchiveError(`The part ${name} has a document that cannot be stored exactly.`);
}

function isSame(document: Document, bytes: Buffer): boolean {
  return Buffer.from(BSON.serialize(document, { ignoreUndefined: false })).equals(bytes);
}

/** Decodes a document to maps, which keep the order of all fields. */
function toMap(bytes: Uint8Array): Map<string, unknown> {
  const map = new Map<string, unknown>();
  for (const [type, nameOffset, nameLength, offset, length] of BSON.onDemand.parseToElements(bytes)) {
    const name = Buffer.from(bytes.subarray(nameOffset, nameOffset + nameLength)).toString('utf8');
    map.set(name, valueOf(bytes, type, offset, length));
  }
  return map;
}

function valueOf(bytes: Uint8Array, type: number, offset: number, length: number): unknown {
  const value = bytes.subarray(offset, offset + length);
  if (type === TYPE_OBJECT) return toMap(value);
  if (type === TYPE_ARRAY) return [...toMap(value).values()];
  // A document with this one field, which has the name "v".
  const document = Buffer.alloc(length + 8);
  document.writeInt32LE(document.length, 0);
  document[4] = type;
  document.write('v', 5, 'latin1');
  document.set(value, 7);
  return BSON.deserialize(document, EXACT)['v'];
}
