import { randomBytes } from 'node:crypto';
import { StoreError } from '../errors';
import type { Operation } from './operations';

/** Milliseconds without a getMore after which a cursor is closed, as MongoDB's cursorTimeoutMillis. */
const IDLE_LIMIT_MS = 10 * 60_000;

/** One batch of a cursor. */
export interface Batch {
  documents: Uint8Array[];
  /** Whether this is the last batch. */
  ended: boolean;
}

/** The source of the batches of a cursor. */
export interface BatchSource {
  /** Returns up to `limit` documents (undefined = as many as fit in 16 MB). */
  next(limit: number | undefined, operation: Operation): Promise<Batch>;
  close(): void;
  /** The id must be above 2^53 (as MongoDB's ids are for aggregate), so that drivers keep it as a long. */
  readonly largeId?: boolean;
}

function largeId(): bigint {
  return (randomBytes(8).readBigUInt64LE() >> 2n) | (1n << 61n);
}

/** An open cursor. */
export interface OpenCursor {
  id: bigint;
  namespace: string;
  source: BatchSource;
  /** The session or transaction it belongs to; a getMore must come from the same. */
  owner: string | undefined;
  lastUsed: number;
  keepForever: boolean;
  busy: boolean;
  /** The error of getMore after the cursor was killed by another command. */
  killed: StoreError | undefined;
}

/** The open cursors of the store. */
export class Cursors {
  #open = new Map<bigint, OpenCursor>();

  get size(): number {
    return this.#open.size;
  }

  /** Registers a cursor and returns its id. */
  add(cursor: Pick<OpenCursor, 'namespace' | 'source' | 'owner' | 'keepForever'>): bigint {
    let id: bigint;
    do id = cursor.source.largeId === true ? largeId() : randomBytes(8).readBigUInt64LE() >> 11n;
    while (id === 0n || this.#open.has(id));
    this.#open.set(id, { ...cursor, id, lastUsed: Date.now(), busy: false, killed: undefined });
    return id;
  }

  /** The cursor of a getMore. Throws CursorNotFound, or Unauthorized for another namespace. */
  get(id: bigint, namespace: string): OpenCursor {
    const cursor = this.#open.get(id);
    if (!cursor) throw new StoreError('CursorNotFound', `cursor id ${id} not found`);
    if (cursor.killed) {
      this.remove(id);
      throw cursor.killed;
    }
    if (cursor.namespace !== namespace) {
      throw new StoreError(
        'Unauthorized',
        `Requested getMore on namespace '${namespace}', but cursor belongs to a different namespace ${cursor.namespace}`,
      );
    }
    return cursor;
  }

  /** Closes a cursor; returns whether it existed. */
  remove(id: bigint): boolean {
    const cursor = this.#open.get(id);
    if (!cursor) return false;
    this.#open.delete(id);
    cursor.source.close();
    return true;
  }

  /** Closes all matching cursors, with an error for a later getMore. */
  kill(fits: (cursor: OpenCursor) => boolean, error: StoreError): void {
    for (const cursor of this.#open.values()) {
      if (cursor.killed || !fits(cursor)) continue;
      cursor.source.close();
      cursor.killed = error;
    }
  }

  /** Closes cursors that were not used for ten minutes. */
  sweep(now: number): void {
    for (const cursor of this.#open.values()) {
      if (cursor.busy || (cursor.keepForever && !cursor.killed)) continue;
      if (now - cursor.lastUsed > IDLE_LIMIT_MS) this.remove(cursor.id);
    }
  }
}
