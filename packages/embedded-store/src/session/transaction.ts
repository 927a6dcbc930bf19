import { StoreError } from '../errors';
import type { Catalog, Collection, IndexState } from '../storage/catalog';
import type { Environment, Snapshot } from '../storage/environment';
import { entryKey } from '../storage/keys';
import { duplicateKey } from '../storage/records';
import { affectedIndexes, isUnique, keysOf, prepareKeys, StoredDocument } from '../storage/stored-document';
import type { Records, WriteTarget } from '../storage/records';
import type { Changes, TransactionChanges } from '../storage/selection-spec';
import type { Writer, WriteSteps } from '../storage/writer';
import { writeConflict } from './locks';
import type { HeldSnapshots } from './held-snapshot';
import type { LockOwner, LockTable } from './locks';

/** The parts of the store that a transaction uses. */
export interface TransactionServices {
  environment: Environment;
  catalog: Catalog;
  records: Records;
  locks: LockTable;
  heldSnapshots: HeldSnapshots;
  writer: Writer;
}

/** A changed document: its state in the snapshot, and in the transaction (undefined = deleted). */
interface Change {
  collection: Collection;
  base: StoredDocument | undefined;
  current: StoredDocument | undefined;
}

/** Number of changed documents whose index keys are kept until the commit. */
const KEPT_KEYS = 2_000;

/**
 * A multi-document transaction: a snapshot to read from, its changes in memory, and locks on the changed documents
 * and keys. Nothing is written to the data file before `commit`.
 */
export class Transaction implements WriteTarget, LockOwner, TransactionChanges {
  readonly snapshot: Snapshot;
  readonly sequence: number;
  readonly catalogVersion: number;
  readonly ended: Promise<unknown>;
  /** Collections that it created, to be removed when it aborts. */
  readonly created = new Set<Collection>();
  state: 'open' | 'committing' | 'committed' | 'aborted' = 'open';
  #end: () => void = () => undefined;
  #changes = new Map<string, Change>();
  #byCollection = new Map<Collection, Map<number, StoredDocument | undefined>>();
  /** Unique keys of its changed documents, by entry key. */
  #heldKeys = new Map<string, number>();

  constructor(private readonly services: TransactionServices) {
    if (services.locks.isIdle && services.heldSnapshots.size === 0)
      services.catalog.forgetDroppedNamespaces();
    // The commit makes what it has read durable, too.
    this.snapshot = services.environment.latest();
    this.sequence = services.locks.sequence;
    this.catalogVersion = services.catalog.version;
    this.ended = new Promise<void>((resolve) => (this.#end = resolve));
    services.locks.opened(this);
  }

  /**
   * The collection for use in the transaction. Throws SnapshotUnavailable when it has changed since the snapshot.
   */
  find(database: string, name: string): Collection | undefined {
    const { catalog } = this.services;
    const current = catalog.find(database, name);
    if (current && this.created.has(current)) return current;
    return catalog.findSince(database, name, this.catalogVersion);
  }

  changes(collection: Collection): Changes | undefined {
    return this.#byCollection.get(collection);
  }

  holders(collection: Collection, index: IndexState, key: Buffer): number[] {
    const found = this.services.records.holders(collection, index, key, this.snapshot);
    const own = this.#heldKeys.get(entryKey(index.number, key).toString('latin1'));
    return own === undefined ? found : [...found, own];
  }

  insert(collection: Collection, bytes: Uint8Array): void {
    const document = new StoredDocument(collection.nextRecordId, bytes);
    this.#takeKeys(collection, undefined, document);
    collection.nextRecordId++;
    this.#note(collection, undefined, document);
  }

  replace(collection: Collection, old: StoredDocument, document: StoredDocument): void {
    this.services.locks.lockDocument(this, collection, old.recordId);
    this.#takeKeys(collection, old, document);
    this.#note(collection, old, document);
  }

  remove(collection: Collection, old: StoredDocument): void {
    this.services.locks.lockDocument(this, collection, old.recordId);
    this.#takeKeys(collection, old, undefined);
    this.#note(collection, old, undefined);
  }

  /**
   * Writes the changes atomically; `also` runs in the same write transaction. Durable when the promise resolves;
   * when it rejects, nothing is written and the transaction is aborted.
   */
  async commit(also: () => void): Promise<void> {
    const { writer } = this.services;
    this.state = 'committing';
    const steps = () => this.#write(also);
    try {
      await writer.submit(function* () {
        steps();
        yield* [];
      });
      this.#finish('committed');
    } catch (error) {
      this.#finish('aborted');
      throw error;
    }
  }

  /** Discards the changes, unless they are being written. */
  abort(): void {
    if (this.state === 'open') this.#finish('aborted');
  }

  #write(also: () => void): void {
    const { records, locks, catalog } = this.services;
    const changes = [...this.#changes.values()];
    if (changes.some(({ collection }) => !catalog.isCurrent(collection))) throw writeConflict();
    locks.committing(this, () => {
      // Unique keys may move from one document to another, so removed keys are released first.
      for (const { collection, base, current } of changes) {
        if (base && current) records.releaseKeys(collection, base, current);
        else if (base) records.remove(collection, base);
      }
      for (const { collection, base, current } of changes) {
        if (base && current) records.replace(collection, base, current, true);
        else if (current) records.add(collection, current);
      }
    });
    also();
  }

  #finish(state: 'committed' | 'aborted'): void {
    this.state = state;
    this.snapshot.release();
    this.services.locks.closed(this);
    if (state === 'aborted') this.#dropCreated();
    this.#changes.clear();
    this.#byCollection.clear();
    this.#end();
  }

  /** Removes the collections that only this transaction created. */
  #dropCreated(): void {
    const { catalog, writer } = this.services;
    const created = [...this.created];
    if (created.length === 0) return;
    const drop = writer.submit(function* (): WriteSteps<void> {
      yield* [];
      for (const collection of created) {
        const unused = collection.count === 0 && collection.indexes.length === 1;
        if (catalog.isCurrent(collection) && unused) catalog.drop(collection);
      }
    });
    // While the store closes, an empty collection may remain, which does no harm.
    drop.catch(() => undefined);
  }

  #note(collection: Collection, old: StoredDocument | undefined, current: StoredDocument | undefined): void {
    const recordId = (current ?? old)?.recordId ?? 0;
    const name = `${collection.number}:${recordId}`;
    const known = this.#changes.get(name);
    this.#changes.set(name, { collection, base: known ? known.base : old, current });
    let changed = this.#byCollection.get(collection);
    if (!changed)
      this.#byCollection.set(collection, (changed = new Map<number, StoredDocument | undefined>()));
    changed.set(recordId, current);
  }

  /** Locks the unique keys that a change adds or removes. Throws DuplicateKey or WriteConflict. */
  #takeKeys(collection: Collection, old: StoredDocument | undefined, next: StoredDocument | undefined): void {
    const recordId = (next ?? old)?.recordId ?? 0;
    const gained: string[] = [];
    const lost: string[] = [];
    // All keys are computed now, so that the commit, for which other writers wait, does not have to.
    if (this.#changes.size < KEPT_KEYS) next?.keepKeys();
    for (const index of affectedIndexes(collection, old, next)) {
      if (next) prepareKeys(collection, index, next);
      if (!isUnique(collection, index)) continue;
      const before = old ? keysOf(index, old).keys : [];
      const after = next ? keysOf(index, next).keys : [];
      for (const key of after) {
        if (before.some((other) => other.equals(key))) continue;
        const name = entryKey(index.number, key);
        const holder = this.#heldKeys.get(name.toString('latin1'));
        const taken =
          (holder !== undefined && holder !== recordId) ||
          this.services.records
            .holders(collection, index, key, this.snapshot)
            .some((other) => other !== recordId && !this.#gaveUp(collection, other, name));
        if (taken && next) throw duplicateKey(collection, index, next.document);
        this.services.locks.lockKey(this, name);
        gained.push(name.toString('latin1'));
      }
      for (const key of before) {
        const name = entryKey(index.number, key);
        if (after.some((other) => other.equals(key))) continue;
        this.services.locks.lockKey(this, name);
        lost.push(name.toString('latin1'));
      }
    }
    for (const name of lost) if (this.#heldKeys.get(name) === recordId) this.#heldKeys.delete(name);
    for (const name of gained) this.#heldKeys.set(name, recordId);
  }

  /** Whether this transaction has removed a key from the document that has it in the snapshot. */
  #gaveUp(collection: Collection, recordId: number, key: Buffer): boolean {
    const changed = this.#byCollection.get(collection);
    if (!changed?.has(recordId)) return false;
    const current = changed.get(recordId);
    if (!current) return true;
    return !collection.indexes.some(
      (index) =>
        isUnique(collection, index) &&
        keysOf(index, current).keys.some((other) => entryKey(index.number, other).equals(key)),
    );
  }
}

/** The error of a command whose transaction does not exist or has ended. */
export function noSuchTransaction(txnNumber: bigint): StoreError {
  return new StoreError(
    'NoSuchTransaction',
    `Given transaction number ${txnNumber} does not match any in-progress transactions.`,
    { labels: ['TransientTransactionError'] },
  );
}
