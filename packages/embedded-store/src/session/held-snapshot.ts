import { StoreError } from '../errors';
import { sameSnapshot } from '../storage/snapshot';
import type { Snapshot } from '../storage/snapshot';
import type { Connection } from '../wire/listener';

/** Milliseconds without a read after which a snapshot is released, as MongoDB's minSnapshotHistoryWindowInSeconds. */
const IDLE_LIMIT_MS = 5 * 60_000;
/** The number of snapshots that clients may hold: each keeps replaced pages in the data file, and a reader of LMDB. */
const MAX_HELD = 16;

/** A snapshot from which one session reads in several commands: `readConcern: "snapshot"` outside of transactions. */
export interface HeldSnapshot {
  /** Identifies it to the client (`atClusterTime`): seconds since 1970 in the upper half, a counter in the lower one. */
  readonly time: bigint;
  /** The version of the catalog that its documents belong to. */
  readonly catalogVersion: number;
  /** Returns a snapshot of the same state, which the caller releases. @throws StoreError SnapshotTooOld */
  use(): Snapshot;
  /** Releases it when all connections that have used it are closed. */
  usedOn(connection: Connection): void;
  /** Releases it if it was not used for five minutes. */
  sweep(now: number): void;
  release(): void;
}

/** The snapshots that sessions hold. */
export class HeldSnapshots {
  #lastTime = 0n;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Holds a snapshot until it is released. @throws StoreError SnapshotUnavailable when there are too many */
  hold(snapshot: Snapshot, catalogVersion: number): HeldSnapshot {
    if (this.#size >= MAX_HELD) {
      snapshot.release();
      throw new StoreError('SnapshotUnavailable', `clients already hold ${MAX_HELD} snapshots`);
    }
    this.#size++;
    /** What each connection calls when it is closed. */
    const connections = new Map<Connection, () => void>();
    let lastUsed = Date.now();
    let isOpen = true;
    const held: HeldSnapshot = {
      time: this.#nextTime(),
      catalogVersion,
      use: () => {
        if (!isOpen) throw snapshotTooOld();
        lastUsed = Date.now();
        return sameSnapshot(snapshot);
      },
      usedOn: (connection) => {
        if (!isOpen || connections.has(connection)) return;
        const leave = () => {
          connections.delete(connection);
          if (connections.size === 0) held.release();
        };
        connections.set(connection, leave);
        connection.whenClosed.add(leave);
      },
      sweep: (now) => {
        if (now - lastUsed > IDLE_LIMIT_MS) held.release();
      },
      release: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#size--;
        for (const [connection, leave] of connections) connection.whenClosed.delete(leave);
        snapshot.release();
      },
    };
    return held;
  }

  #nextTime(): bigint {
    const now = BigInt(Math.floor(Date.now() / 1000)) << 32n;
    this.#lastTime = (this.#lastTime > now ? this.#lastTime : now) + 1n;
    return this.#lastTime;
  }
}

/** The error of a read from a snapshot that is no longer held. */
export function snapshotTooOld(): StoreError {
  return new StoreError(
    'SnapshotTooOld',
    'Read timestamp is older than the oldest available timestamp: the snapshot is no longer held.',
  );
}
