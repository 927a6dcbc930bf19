import { StoreError } from '../errors';
import type { Tree } from '../storage/environment';

const FIRST = Buffer.from('r');
const END = Buffer.from('s');
const HEADER_BYTES = 16;

/** The last retryable write (or commit) of a session, and what it answered. */
export interface Retry {
  txnNumber: bigint;
  reply: Buffer;
  /** Milliseconds since 1970, for expiry. */
  at: number;
}

function keyOf(session: string): Buffer {
  return Buffer.concat([FIRST, Buffer.from(session, 'latin1')]);
}

function read(value: Buffer): Retry {
  return {
    txnNumber: value.readBigInt64LE(0),
    at: value.readDoubleLE(8),
    reply: value.subarray(HEADER_BYTES),
  };
}

/**
 * What each session's last write answered, so that a retry of it answers the same and changes nothing. An
 * entry is stored in the write transaction of its write, and so lives exactly if the write does.
 */
export class Retries {
  constructor(private readonly meta: Tree) {}

  /**
   * The stored reply of a write that was done already; undefined for a new one. To be asked inside the
   * writer. Throws TransactionTooOld when the session has gone on to a later number.
   */
  find(session: string, txnNumber: bigint): Buffer | undefined {
    const value = this.meta.get(keyOf(session));
    if (!value) return undefined;
    const last = read(value);
    if (last.txnNumber > txnNumber) {
      throw new StoreError(
        'TransactionTooOld',
        `Cannot start transaction ${txnNumber} on session because a newer transaction ${last.txnNumber} has already started.`,
      );
    }
    return last.txnNumber === txnNumber ? last.reply : undefined;
  }

  /** Stores the reply of a write, inside its write transaction. */
  store(session: string, txnNumber: bigint, reply: Uint8Array): void {
    const value = Buffer.allocUnsafe(HEADER_BYTES + reply.length);
    value.writeBigInt64LE(txnNumber, 0);
    value.writeDoubleLE(Date.now(), 8);
    value.set(reply, HEADER_BYTES);
    this.meta.putSync(keyOf(session), value);
  }

  /** Removes up to `limit` entries last used before `time`, inside the writer; tells how many. */
  expire(time: number, limit: number): number {
    const old: Buffer[] = [];
    for (const { key, value } of this.meta.getRange({ start: FIRST, end: END })) {
      if (read(value).at < time) old.push(key);
      if (old.length >= limit) break;
    }
    for (const key of old) this.meta.removeSync(key);
    return old.length;
  }
}
