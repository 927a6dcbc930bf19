import { Reader } from '../bson/reader';
import { TYPE } from '../bson/type-codes';
import type { CompiledIndex, IndexField } from './definition';
import { TAG, type KeyWriter } from './encoding';

/** Where the value of one indexed field is in the bytes. */
interface Slot {
  type: number;
  at: number;
}

const slots: Slot[] = Array.from({ length: 32 }, () => ({ type: 0, at: 0 }));

/**
 * Makes the key of a document from its bytes, if all indexed fields are top-level and plain scalars. Returns
 * 'absent' when a sparse index does not contain the document, undefined when the document has to be decoded.
 */
export function rawKey(
  index: CompiledIndex,
  bytes: Uint8Array,
  writer: KeyWriter,
): Buffer | 'absent' | undefined {
  const { fields } = index;
  if (fields.some((field) => field.parts.length > 1)) return undefined;
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (locate(buffer, fields) === 0 && index.definition.sparse === true) return 'absent';
  writer.reset();
  for (let i = 0; i < fields.length; i++) {
    const start = writer.length;
    if (!writeRaw(writer, buffer, slots[i] as Slot)) return undefined;
    writer.finishComponent(start, (fields[i] as IndexField).descending, index.componentLimit);
  }
  return writer.take();
}

/** Finds the fields' values and counts them. */
function locate(bytes: Buffer, fields: readonly IndexField[]): number {
  for (let i = 0; i < fields.length; i++) (slots[i] as Slot).type = 0;
  const reader = new Reader(bytes);
  const end = reader.enter(bytes.length);
  let found = 0;
  for (let type = reader.type(end); type !== 0; type = reader.type(end)) {
    const name = reader.name(end);
    for (let i = 0; i < fields.length; i++) {
      const slot = slots[i] as Slot;
      if (slot.type !== 0 || (fields[i] as IndexField).path !== name) continue;
      slot.type = type;
      slot.at = reader.position;
      found++;
    }
    if (found === fields.length) break;
    reader.skip(type, end);
  }
  return found;
}

/** Writes a value of a common type; false for others, which have to be decoded. */
function writeRaw(writer: KeyWriter, bytes: Buffer, { type, at }: Slot): boolean {
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
