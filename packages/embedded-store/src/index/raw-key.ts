import { asBuffer } from '../bson/codec';
import { Reader } from '../bson/reader';
import { TYPE } from '../bson/type-codes';
import type { CompiledIndex } from './definition';
import { TAG, type KeyWriter } from './encoding';

/** Where the values of the top-level fields of an encoded document are. */
export interface RawFields {
  readonly bytes: Buffer;
  readonly names: string[];
  readonly types: number[];
  /** Offsets of the values. */
  readonly offsets: number[];
}

/** Finds the top-level fields of a document. Throws InvalidBSON. */
export function rawFields(document: Uint8Array): RawFields {
  const bytes = asBuffer(document);
  const fields: RawFields = { bytes, names: [], types: [], offsets: [] };
  const reader = new Reader(bytes);
  const end = reader.enter(bytes.length);
  for (let type = reader.type(end); type !== 0; type = reader.type(end)) {
    fields.names.push(reader.name(end));
    fields.types.push(type);
    fields.offsets.push(reader.position);
    reader.skip(type, end);
  }
  return fields;
}

/**
 * Makes the key of a document from its bytes, if all indexed fields are top-level and plain scalars. Returns
 * 'absent' when a sparse index does not contain the document, undefined when the document has to be decoded.
 */
export function rawKey(
  { fields, definition, componentLimit }: CompiledIndex,
  { bytes, names, types, offsets }: RawFields,
  writer: KeyWriter,
): Buffer | 'absent' | undefined {
  let found = 0;
  writer.reset();
  for (const { path, parts, descending } of fields) {
    if (parts.length > 1) return undefined;
    // Of fields with the same name the first counts.
    const at = names.indexOf(path);
    if (at >= 0) found++;
    const start = writer.length;
    if (!writeRaw(writer, bytes, at < 0 ? 0 : (types[at] as number), offsets[at] ?? 0)) return undefined;
    writer.finishComponent(start, descending, componentLimit);
  }
  return found === 0 && definition.sparse === true ? 'absent' : writer.take();
}

/** Writes a value of a common type; false for others, which have to be decoded. */
function writeRaw(writer: KeyWriter, bytes: Buffer, type: number, at: number): boolean {
  switch (type) {
    case 0:
    case TYPE.null:
      writer.byte(TAG.null);
      return true;
    case TYPE.objectId:
      writer.byte(TAG.objectId);
      writer.raw(bytes.subarray(at, at + 12));
      return at + 12 < bytes.length;
    case TYPE.int:
      writer.byte(TAG.number);
      writer.double(bytes.readInt32LE(at));
      return true;
    case TYPE.double:
      writer.byte(TAG.number);
      writer.double(bytes.readDoubleLE(at));
      return true;
    case TYPE.long:
      return writeLong(writer, bytes, at);
    case TYPE.bool:
      writer.byte(TAG.bool);
      writer.byte(bytes[at] === 0 ? 0 : 1);
      return true;
    case TYPE.date:
      writer.byte(TAG.date);
      writer.uint32(bytes.readInt32LE(at + 4) ^ 0x80000000);
      writer.uint32(bytes.readInt32LE(at));
      return true;
    case TYPE.string:
      return writeString(writer, bytes, at);
    default:
      return false;
  }
}

const SAFE_HIGH = 2 ** 21;

/** Only integers that a double holds exactly; the others need their digits. */
function writeLong(writer: KeyWriter, bytes: Buffer, at: number): boolean {
  const high = bytes.readInt32LE(at + 4);
  if (high >= SAFE_HIGH || high < -SAFE_HIGH) return false;
  writer.byte(TAG.number);
  writer.double(high * 4_294_967_296 + bytes.readUInt32LE(at));
  return true;
}

/** Plain ASCII is copied; strings that need escaping or may be invalid UTF-8 have to be decoded. */
function writeString(writer: KeyWriter, bytes: Buffer, at: number): boolean {
  const length = bytes.readInt32LE(at) - 1;
  const start = at + 4;
  if (length < 0 || start + length >= bytes.length) return false;
  writer.byte(TAG.string);
  writer.reserve(length + 1);
  const target = writer.bytes;
  const offset = writer.length;
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i] as number;
    if (byte < 2 || byte > 127) return false;
    target[offset + i] = byte;
  }
  target[offset + length] = 0;
  writer.length = offset + length + 1;
  return true;
}
