import { crc32 } from 'node:zlib';
import { StoreError } from '../errors';

/** Bytes of a record id at the end of an index entry. */
const RECORD_ID_BYTES = 8;
const PREFIX_BYTES = 4;
const CHECKSUM_BYTES = 4;

function writeRecordId(target: Buffer, recordId: number, offset: number): void {
  target.writeUInt32BE(Math.floor(recordId / 0x1_0000_0000), offset);
  target.writeUInt32BE(recordId % 0x1_0000_0000, offset + 4);
}

/** The record id in the last eight bytes of an entry's key (or in the value of a unique one). */
export function readRecordId(bytes: Buffer): number {
  const end = bytes.length;
  return bytes.readUInt32BE(end - 8) * 0x1_0000_0000 + bytes.readUInt32BE(end - 4);
}

/** The value of an entry of a unique index. */
export function recordIdBytes(recordId: number): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_ID_BYTES);
  writeRecordId(bytes, recordId, 0);
  return bytes;
}

/**
 * Key of a document: collection number, then record id, both big-endian, so that they sort as numbers. `key` is a
 * buffer to overwrite.
 */
export function documentKey(
  collection: number,
  recordId: number,
  key: Buffer = Buffer.allocUnsafe(PREFIX_BYTES + RECORD_ID_BYTES),
): Buffer {
  key.writeUInt32BE(collection, 0);
  writeRecordId(key, recordId, PREFIX_BYTES);
  return key;
}

/** Key of an index entry: index number, encoded values, and (except for unique keys) the record id. */
export function entryKey(index: number, encoded: Buffer, recordId?: number): Buffer {
  const length = PREFIX_BYTES + encoded.length;
  const key = Buffer.allocUnsafe(recordId === undefined ? length : length + RECORD_ID_BYTES);
  key.writeUInt32BE(index, 0);
  encoded.copy(key, PREFIX_BYTES);
  if (recordId !== undefined) writeRecordId(key, recordId, length);
  return key;
}

/** A key without the record id at its end. */
export function keyPrefix(key: Buffer): Buffer {
  return key.subarray(0, -RECORD_ID_BYTES);
}

/** First key of a collection or index (its number); the first key of the next number ends it. */
export function prefixKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(PREFIX_BYTES);
  key.writeUInt32BE(number, 0);
  return key;
}

/** The stored form of a document: checksum, then the BSON bytes. */
export function withChecksum(bytes: Uint8Array): Buffer {
  const stored = Buffer.allocUnsafe(CHECKSUM_BYTES + bytes.length);
  stored.writeUInt32LE(crc32(bytes), 0);
  stored.set(bytes, CHECKSUM_BYTES);
  return stored;
}

/** The BSON bytes of a stored document. Throws when the checksum is wrong. */
export function verifyChecksum(stored: Buffer): Buffer {
  // The memory of a transient value is longer than the value.
  const bytes = stored.subarray(CHECKSUM_BYTES, stored.length);
  if (stored.length < CHECKSUM_BYTES + 5 || crc32(bytes) !== stored.readUInt32LE(0)) {
    throw new StoreError(
      'DataCorruptionDetected',
      'a stored document does not have the checksum it was written with',
    );
  }
  return bytes;
}
