import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { StoreError } from '../errors';
import type { Disk } from './disk';
import { flushFolder } from './disk';
import { readRecords } from './log-records';
import type { LogRecord } from './log-records';
import { META_BYTES, readIdentity, readNewestMeta, restoreMeta, writeIdentity } from './meta-page';
import type { Meta } from './meta-page';

/*
 * The file begins with two slots for checkpoints, which are written in turn, and continues with two parts for records. All
 * of it is written when the file is created, so that writing a record changes neither its size nor its place on the disk.
 */
const SLOT_BYTES = 4096;
const PARTS_AT = 2 * SLOT_BYTES;
/** Bytes of each of the two parts for records. */
export const PART_BYTES = 2 * 1024 * 1024;
const MAGIC = Buffer.from('parleylog 1\n');
const IDENTITY_BYTES = 16;
const SLOT_END = MAGIC.length + IDENTITY_BYTES + 16 + META_BYTES;

/** A state of the data file that is completely on the disk: its meta page, and the last batch that it contains. */
interface Checkpoint {
  identity: Buffer;
  /** The number of the checkpoint; its parity says in which slot it is. */
  number: number;
  batch: number;
  meta: Meta;
}

function encodeSlot({ identity, number, batch, meta }: Checkpoint): Buffer {
  const slot = Buffer.alloc(SLOT_END + 4);
  MAGIC.copy(slot);
  identity.copy(slot, MAGIC.length);
  slot.writeBigUInt64LE(BigInt(number), MAGIC.length + IDENTITY_BYTES);
  slot.writeBigUInt64LE(BigInt(batch), MAGIC.length + IDENTITY_BYTES + 8);
  meta.copy(slot, SLOT_END - META_BYTES);
  slot.writeUInt32LE(crc32(slot.subarray(0, SLOT_END)), SLOT_END);
  return slot;
}

function decodeSlot(file: Buffer, slot: number): Checkpoint | undefined {
  const bytes = file.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + SLOT_END + 4);
  if (bytes.length < SLOT_END + 4 || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (crc32(bytes.subarray(0, SLOT_END)) !== bytes.readUInt32LE(SLOT_END)) return undefined;
  const after = MAGIC.length + IDENTITY_BYTES;
  return {
    identity: bytes.subarray(MAGIC.length, after),
    number: Number(bytes.readBigUInt64LE(after)),
    batch: Number(bytes.readBigUInt64LE(after + 8)),
    meta: bytes.subarray(SLOT_END - META_BYTES, SLOT_END),
  };
}

/**
 * Brings the data file back to the checkpoint of its log, if there is a log of this file: the state of the data file is
 * unknown after a crash, because it is written without flushes.
 * @returns the batches after the checkpoint, to be executed again; undefined when there is no log, which is the case when
 * the store was closed
 * @throws DataCorruptionDetected when the log is damaged
 */
export function recover(logPath: string, dataPath: string): LogRecord[] | undefined {
  if (!existsSync(logPath) || !existsSync(dataPath) || statSync(dataPath).size === 0) return undefined;
  const file = readFileSync(logPath);
  const slots = [0, 1].map((slot) => decodeSlot(file, slot)).filter((slot) => slot !== undefined);
  const [first, second] = slots;
  const checkpoint = second && first && second.number > first.number ? second : first;
  if (!checkpoint) {
    throw new StoreError(
      'DataCorruptionDetected',
      `the log ${logPath} is damaged. Restore the folder from a backup; it was left as it is.`,
    );
  }
  const descriptor = openSync(dataPath, 'r+');
  try {
    // Another data file, for example a backup that was put in its place, was complete when it was copied.
    if (!readIdentity(descriptor).equals(checkpoint.identity)) return undefined;
    restoreMeta(descriptor, checkpoint.meta);
    fdatasyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  // It has the number of the latest transaction before the crash.
  rmSync(`${dataPath}-lock`, { force: true });
  return batchesAfter(checkpoint, file);
}

function batchesAfter({ identity, batch }: Checkpoint, file: Buffer): LogRecord[] {
  const parts = [0, 1].map((part) =>
    readRecords(identity, file.subarray(PARTS_AT + part * PART_BYTES, PARTS_AT + (part + 1) * PART_BYTES)),
  );
  const found = parts
    .flat()
    .filter((record) => record.batch > batch)
    .sort((a, b) => a.batch - b.batch);
  const gap = found.findIndex((record, i) => record.batch !== batch + 1 + i);
  return gap < 0 ? found : found.slice(0, gap);
}

/** The log of the batches since the last checkpoint of the data file. */
export class CommitLog {
  readonly #descriptor: number;
  #checkpoint: Checkpoint;
  #part = 0;
  #used = 0;

  /** Creates the log of a data file that is completely on the disk, in place of an older log. */
  constructor(
    private readonly path: string,
    private readonly dataDescriptor: number,
    private readonly disk: Disk,
  ) {
    const identity = randomBytes(IDENTITY_BYTES);
    fdatasyncSync(dataDescriptor);
    this.#checkpoint = { identity, number: 0, batch: 0, meta: this.#readMeta() };
    const temporary = `${path}.new`;
    this.#descriptor = openSync(temporary, 'w+');
    const empty = Buffer.alloc(PARTS_AT + 2 * PART_BYTES);
    encodeSlot(this.#checkpoint).copy(empty);
    writeSync(this.#descriptor, empty, 0, empty.length, 0);
    fsyncSync(this.#descriptor);
    // From here on an older log belongs to another file, so that its batches are not executed again.
    writeIdentity(dataDescriptor, identity);
    fdatasyncSync(dataDescriptor);
    renameSync(temporary, path);
    flushFolder(dirname(path));
  }

  get identity(): Buffer {
    return this.#checkpoint.identity;
  }

  /** Bytes that are left in the current part. */
  get room(): number {
    return PART_BYTES - this.#used;
  }

  /** Writes records behind the others; resolves when they are on the disk. */
  append(records: Buffer): Promise<void> {
    const position = PARTS_AT + this.#part * PART_BYTES + this.#used;
    this.#used += records.length;
    return this.disk.write(this.#descriptor, records, position);
  }

  /**
   * Brings the data file to the disk, with all batches up to `batch`, which are the committed ones. Records are written to
   * the other part from now on; this part must not be used for a checkpoint before the promise has resolved.
   */
  async checkpoint(batch: number): Promise<void> {
    const meta = this.#readMeta();
    this.#part = 1 - this.#part;
    this.#used = 0;
    await this.disk.flush(this.dataDescriptor);
    const { identity, number } = this.#checkpoint;
    const next = { identity, number: number + 1, batch, meta };
    await this.disk.write(this.#descriptor, encodeSlot(next), (next.number % 2) * SLOT_BYTES);
    this.#checkpoint = next;
  }

  /** Removes the log of a data file that is completely on the disk. */
  remove(): void {
    this.leave();
    rmSync(this.path);
    flushFolder(dirname(this.path));
  }

  /** Closes the files, and leaves the log for the next start. */
  leave(): void {
    closeSync(this.#descriptor);
    closeSync(this.dataDescriptor);
  }

  #readMeta(): Meta {
    const meta = readNewestMeta(this.dataDescriptor);
    if (typeof meta === 'string')
      throw new StoreError('DataCorruptionDetected', `the ${meta} page is damaged`);
    return meta;
  }
}
