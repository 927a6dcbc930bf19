import type { Connection } from '../wire/listener';
import { noSuchTransaction } from './transaction';
import { snapshotTooOld } from './held-snapshot';
import type { HeldSnapshot } from './held-snapshot';
import type { Transaction } from './transaction';

/** Minutes without use after which a session ends, as hello reports to drivers. */
export const SESSION_TIMEOUT_MINUTES = 30;
/** Milliseconds that a transaction may last, as MongoDB's transactionLifetimeLimitSeconds. */
const TRANSACTION_LIFETIME_MS = 60_000;

/** The latest transaction of a session. */
interface SessionTransaction {
  txnNumber: bigint;
  transaction: Transaction;
  timer: NodeJS.Timeout;
  connections: Set<Connection>;
}

/** A logical session (https://www.mongodb.com/docs/manual/reference/server-sessions/). */
export class Session {
  lastUsed = Date.now();
  /** The highest transaction number so far. */
  txnNumber = -1n;
  /** Serialises commits, so that a retried commit waits for the first. */
  committing: Promise<unknown> | undefined;
  #transaction: SessionTransaction | undefined;
  #held: HeldSnapshot | undefined;

  constructor(readonly id: string) {}

  /** Registers a new transaction; it is aborted at the end of its lifetime. */
  begin(txnNumber: bigint, transaction: Transaction): void {
    this.abort();
    const timer = setTimeout(() => transaction.abort(), TRANSACTION_LIFETIME_MS);
    timer.unref();
    this.txnNumber = txnNumber;
    this.#transaction = { txnNumber, transaction, timer, connections: new Set() };
    void transaction.ended.then(() => clearTimeout(timer));
  }

  /** The transaction with this number, open or ended; undefined if it is not the latest one. */
  last(txnNumber: bigint): Transaction | undefined {
    return this.#transaction?.txnNumber === txnNumber ? this.#transaction.transaction : undefined;
  }

  /** The open transaction with this number. Throws NoSuchTransaction. */
  open(txnNumber: bigint): Transaction {
    const transaction = this.last(txnNumber);
    if (transaction?.state !== 'open') throw noSuchTransaction(txnNumber);
    return transaction;
  }

  /** Ends the transaction when all connections that used it are closed. */
  usedOn(connection: Connection): void {
    const current = this.#transaction;
    if (!current || current.connections.has(connection)) return;
    current.connections.add(connection);
    const leave = () => {
      current.connections.delete(connection);
      if (current.connections.size === 0) current.transaction.abort();
    };
    connection.whenClosed.add(leave);
    void current.transaction.ended.then(() => connection.whenClosed.delete(leave));
  }

  abort(): void {
    this.#transaction?.transaction.abort();
  }

  /** Holds a snapshot for the reads of this session outside of transactions, in place of the last one. */
  hold(snapshot: HeldSnapshot): HeldSnapshot {
    this.#held?.release();
    return (this.#held = snapshot);
  }

  /** The snapshot of this time. @throws StoreError SnapshotTooOld */
  heldAt(time: bigint): HeldSnapshot {
    if (this.#held?.time !== time) throw snapshotTooOld();
    return this.#held;
  }

  /** Releases what the session holds, if it has not been used for some time. */
  sweep(now: number): void {
    this.#held?.sweep(now);
  }

  /** Releases all that the session holds. */
  end(): void {
    this.abort();
    this.#held?.release();
  }
}

/** The sessions of all clients by id. */
export class Sessions {
  #sessions = new Map<string, Session>();

  get size(): number {
    return this.#sessions.size;
  }

  /** The session with this id, created if it is new. */
  get(id: string): Session {
    let session = this.#sessions.get(id);
    if (!session) this.#sessions.set(id, (session = new Session(id)));
    session.lastUsed = Date.now();
    return session;
  }

  end(id: string): void {
    this.#sessions.get(id)?.end();
    this.#sessions.delete(id);
  }

  endAll(): void {
    for (const id of this.#sessions.keys()) this.end(id);
  }

  /** Ends sessions that were not used for the timeout, and releases snapshots that were not used for five minutes. */
  sweep(now: number): void {
    for (const session of this.#sessions.values()) {
      session.sweep(now);
      if (now - session.lastUsed > SESSION_TIMEOUT_MINUTES * 60_000) this.end(session.id);
    }
  }
}
