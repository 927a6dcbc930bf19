import { StoreError } from '../errors';
import { decode } from '../bson/codec';
import type { Document } from '../bson/types';
import type { Tree } from '../storage/environment';

const FIRST = Buffer.from('r');
const END = Buffer.from('s');
const HEADER_BYTES = 17;

/** The record of a retryable write: its reply, or its progress when the process ended. */
export type Retry = { done: true; reply: Buffer } | { done: false; progress: Document };

function keyOf(session: string): Buffer {
  return Buffer.concat([FIRST, Buffer.from(session, 'latin1')]);
}

/**
 * The reply of each session's last write, so that a retry returns the same reply and changes nothing. An entry is
 * stored in the write transaction of its write, so it exists exactly if the write does. An entry consists of the
 * number, the time in milliseconds, 1 if the write is complete, and BSON.
 */
export class Retries {
  constructor(private readonly meta: Tree) {}

  /**
   * The record of a write; undefined for a new one. To be called inside the writer. Throws TransactionTooOld when
   * the session has used a later number.
   */
  find(session: string, txnNumber: bigint): Retry | undefined {
    const value = this.meta.get(keyOf(session));
    if (!value) return undefined;
    const last = value.readBigInt64LE(0);
    if (last > txnNumber) {
      throw new StoreError(
        'TransactionTooOld',
        `Cannot start transaction ${txnNumber} on session because a newer transaction ${last} has already started.`,
      );
    }
    if (last < txnNumber) return undefined;
    const stored = value.subarray(HEADER_BYTES);
    return value[HEADER_BYTES - 1] === 1
      ? { done: true, reply: stored }
      : { done: false, progress: decode(stored) };
  }

  /** Stores the reply of a write, or its progress, inside its write transaction. */
  store(session: string, txnNumber: bigint, bytes: Uint8Array, done = true): void {
    const value = Buffer.allocUnsafe(HEADER_BYTES + bytes.length);
    value.writeBigInt64LE(txnNumber, 0);
    value.writeDoubleLE(Date.now(), 8);
    value[HEADER_BYTES - 1] = done ? 1 : 0;
    value.set(bytes, HEADER_BYTES);
    this.meta.putSync(keyOf(session), value);
  }

  /** Removes up to `limit` entries last used before `time`, inside the writer; returns their number. */
  expire(time: number, limit: number): number {
    const old: Buffer[] = [];
    for (const { key, value } of this.meta.getRange({ start: FIRST, end: END })) {
      if (value.readDoubleLE(8) < time) old.push(key);
      if (old.length >= limit) break;
    }
    for (const key of old) this.meta.removeSync(key);
    return old.length;
  }
}
