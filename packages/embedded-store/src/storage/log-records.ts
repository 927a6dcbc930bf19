import { crc32 } from 'node:zlib';

/**
 * A record of the log: its length (4 bytes), a checksum of the rest that begins with the log's identity (4), the number of
 * its batch (8), and the changes of the batch. A change is the number of a tree (1), the length of the key (2), the length of
 * the value (4; NO_VALUE removes the key), the key and the value.
 */
const HEADER = 16;
const CHANGE = 7;
const NO_VALUE = 0xffff_ffff;
/** Bytes of changes above which a batch is not written to the log. */
const MAX_RECORD = 1024 * 1024;
const INITIAL_BYTES = 64 * 1024;
/** A buffer that has become larger is not kept. */
const MAX_KEPT = 2 * MAX_RECORD;

/** A change of one key. */
export interface Change {
  tree: number;
  key: Buffer;
  /** Undefined for a key that was removed. */
  value: Buffer | undefined;
}

/** The records of batches that are not in the log yet. */
export class LogRecords {
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;
  /** Where the record of the running batch begins; undefined when none is running. */
  #start: number | undefined;
  #changes = 0;
  #isTooLarge = false;

  constructor(private readonly identity: Buffer) {}

  get length(): number {
    return this.#length;
  }

  /** Begins the record of a batch. */
  begin(): void {
    this.#start = this.#length;
    this.#changes = 0;
    this.#isTooLarge = false;
    this.#reserve(HEADER);
    this.#length += HEADER;
  }

  put(tree: number, key: Buffer, value: Buffer): void {
    this.#add(tree, key, value.length, value);
  }

  remove(tree: number, key: Buffer): void {
    this.#add(tree, key, NO_VALUE, undefined);
  }

  /**
   * Completes the record of a batch.
   * @returns the number of its changes, and whether they are too large for the log, so that there is no record
   */
  end(batch: number): { changes: number; isTooLarge: boolean } {
    const start = this.#start ?? this.#length;
    this.#start = undefined;
    if (this.#changes === 0 || this.#isTooLarge) this.#length = start;
    else {
      this.#bytes.writeUInt32LE(this.#length - start, start);
      this.#bytes.writeBigUInt64LE(BigInt(batch), start + 8);
      this.#bytes.writeUInt32LE(
        checksum(this.identity, this.#bytes.subarray(start, this.#length)),
        start + 4,
      );
    }
    return { changes: this.#changes, isTooLarge: this.#isTooLarge };
  }

  /** Discards the record of a batch. */
  abort(): void {
    if (this.#start !== undefined) this.#length = this.#start;
    this.#start = undefined;
  }

  /** The complete records. They stay unchanged until `reset` is called. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Removes all records. */
  reset(): void {
    this.#length = 0;
    if (this.#bytes.length > MAX_KEPT) this.#bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  }

  #add(tree: number, key: Buffer, size: number, value: Buffer | undefined): void {
    // Only a batch is recorded: what the store writes while it opens is not.
    if (this.#start === undefined) return;
    this.#changes++;
    const length = CHANGE + key.length + (value?.length ?? 0);
    this.#isTooLarge ||= this.#length - this.#start + length > MAX_RECORD;
    if (this.#isTooLarge) return;
    this.#reserve(length);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes[at] = tree;
    bytes.writeUInt16LE(key.length, at + 1);
    bytes.writeUInt32LE(size, at + 3);
    bytes.set(key, (at += CHANGE));
    if (value) bytes.set(value, at + key.length);
    this.#length += length;
  }

  #reserve(length: number): void {
    const needed = this.#length + length;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

function checksum(identity: Buffer, record: Buffer): number {
  return crc32(record.subarray(8), crc32(identity));
}

/** A complete record in the log. */
export interface LogRecord {
  batch: number;
  changes: Buffer;
}

/** The records at the beginning of a part of the log, whose batches follow each other. */
export function readRecords(identity: Buffer, part: Buffer): LogRecord[] {
  const records: LogRecord[] = [];
  for (let at = 0; at + HEADER <= part.length;) {
    const length = part.readUInt32LE(at);
    if (length <= HEADER || at + length > part.length) break;
    const record = part.subarray(at, at + length);
    if (record.readUInt32LE(4) !== checksum(identity, record)) break;
    const batch = Number(record.readBigUInt64LE(8));
    const last = records.at(-1);
    if (last && batch !== last.batch + 1) break;
    records.push({ batch, changes: record.subarray(HEADER) });
    at += length;
  }
  return records;
}

/** The changes of a record, in their order. */
export function* changesOf({ changes }: LogRecord): Generator<Change> {
  for (let at = 0; at < changes.length;) {
    const tree = changes.readUInt8(at);
    const keyEnd = at + CHANGE + changes.readUInt16LE(at + 1);
    const size = changes.readUInt32LE(at + 3);
    const key = changes.subarray(at + CHANGE, keyEnd);
    at = size === NO_VALUE ? keyEnd : keyEnd + size;
    yield { tree, key, value: size === NO_VALUE ? undefined : changes.subarray(keyEnd, at) };
  }
}
