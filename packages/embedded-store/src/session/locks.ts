import { StoreError } from '../errors';
import type { Collection } from '../storage/catalog';
import type { Guard } from '../storage/records';

/** Thrown before anything is changed: an open transaction has locked what the write changes. */
export class Locked extends Error {
  constructor(readonly released: Promise<unknown>) {
    super('held by a transaction');
  }
}

/** An open transaction, as the lock table sees it. */
export interface LockOwner {
  /** Number of the last change that its snapshot contains. */
  readonly sequence: number;
  /** Settles when the transaction has ended. */
  readonly ended: Promise<unknown>;
}

/** The error when two writers change the same document; the client may retry the whole transaction. */
export function writeConflict(): StoreError {
  return new StoreError(
    'WriteConflict',
    'WriteConflict error: this operation conflicted with another operation. Please retry your operation or multi-document transaction.',
    { labels: ['TransientTransactionError'] },
  );
}

function documentName(collection: Collection, recordId: number): string {
  return `${collection.number}:${recordId}`;
}

/**
 * The locks of open transactions on documents and unique keys, and the changes since the oldest open snapshot. It
 * is empty and costs nothing while no transaction is open.
 */
export class LockTable implements Guard {
  #owners = new Map<string, LockOwner>();
  #changed = new Map<string, number>();
  #open = new Set<LockOwner>();
  #sequence = 0;
  /** The transaction that is being committed; its own locks are ignored. */
  #committing: LockOwner | undefined;

  /** Number of the latest change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether no transaction is open except the one that is being committed. */
  get isIdle(): boolean {
    return this.#open.size === (this.#committing ? 1 : 0);
  }

  opened(owner: LockOwner): void {
    this.#open.add(owner);
  }

  /** Releases all locks of a transaction. */
  closed(owner: LockOwner): void {
    if (!this.#open.delete(owner)) return;
    if (this.#open.size === 0) {
      this.#owners.clear();
      this.#changed.clear();
      return;
    }
    for (const [name, holder] of this.#owners) if (holder === owner) this.#owners.delete(name);
  }

  /** Locks a document for a transaction. Throws WriteConflict when another one has locked or changed it. */
  lockDocument(owner: LockOwner, collection: Collection, recordId: number): void {
    this.#lock(owner, documentName(collection, recordId));
  }

  /** Locks a unique key for a transaction. Throws WriteConflict when another one has locked or changed it. */
  lockKey(owner: LockOwner, key: Buffer): void {
    this.#lock(owner, key.toString('latin1'));
  }

  /** Runs `write`, during which the locks of `owner` are ignored. */
  committing(owner: LockOwner, write: () => void): void {
    this.#committing = owner;
    try {
      write();
    } finally {
      this.#committing = undefined;
    }
  }

  beforeWrite(collection: Collection, recordId: number | undefined, uniqueKeys: Buffer[]): void {
    if (this.#owners.size === 0 || this.isIdle) return;
    if (recordId !== undefined) this.#check(documentName(collection, recordId));
    for (const key of uniqueKeys) this.#check(key.toString('latin1'));
  }

  afterWrite(collection: Collection, recordId: number, uniqueKeys: Buffer[]): void {
    this.#sequence++;
    if (this.isIdle) return;
    this.#changed.set(documentName(collection, recordId), this.#sequence);
    for (const key of uniqueKeys) this.#changed.set(key.toString('latin1'), this.#sequence);
  }

  #check(name: string): void {
    const owner = this.#owners.get(name);
    if (owner && owner !== this.#committing) throw new Locked(owner.ended);
  }

  #lock(owner: LockOwner, name: string): void {
    const holder = this.#owners.get(name);
    if (holder === owner) return;
    if (holder || (this.#changed.get(name) ?? 0) > owner.sequence) throw writeConflict();
    this.#owners.set(name, owner);
  }
}
