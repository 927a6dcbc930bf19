import { StoreError } from '../errors';
import type { Collection } from '../storage/catalog';
import type { Guard } from '../storage/records';

/** Thrown before anything is changed: an open transaction holds what the write wants. */
export class Locked extends Error {
  constructor(readonly released: Promise<unknown>) {
    super('held by a transaction');
  }
}

/** What the lock table knows of an open transaction. */
export interface LockOwner {
  /** Number of the last change of others that its snapshot sees. */
  readonly sequence: number;
  /** Settles when the transaction has ended. */
  readonly ended: Promise<unknown>;
}

/** The error of two writers that want the same document; the whole transaction may be tried again. */
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
 * Which open transaction holds which documents and unique keys, and what has changed since the oldest open
 * snapshot was taken. Empty, and free of cost, while no transaction is open.
 */
export class LockTable implements Guard {
  #owners = new Map<string, LockOwner>();
  #changed = new Map<string, number>();
  #open = new Set<LockOwner>();
  #sequence = 0;
  /** The transaction whose changes are being written, whose own locks do not count. */
  #committing: LockOwner | undefined;

  /** Number of the latest change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether no transaction is open, but for the one that is being committed. */
  get isIdle(): boolean {
    return this.#open.size === (this.#committing ? 1 : 0);
  }

  opened(owner: LockOwner): void {
    this.#open.add(owner);
  }

  /** Gives everything free that a transaction held. */
  closed(owner: LockOwner): void {
    if (!this.#open.delete(owner)) return;
    if (this.#open.size === 0) {
      this.#owners.clear();
      this.#changed.clear();
      return;
    }
    for (const [name, holder] of this.#owners) if (holder === owner) this.#owners.delete(name);
  }

  /** Takes a document for a transaction. Throws WriteConflict when another holds or has changed it. */
  lockDocument(owner: LockOwner, collection: Collection, recordId: number): void {
    this.#lock(owner, documentName(collection, recordId));
  }

  /** Takes a unique key for a transaction. Throws WriteConflict when another holds or has changed it. */
  lockKey(owner: LockOwner, key: Buffer): void {
    this.#lock(owner, key.toString('latin1'));
  }

  /** Runs `write`, in which the locks of `owner` do not stand in the way. */
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
