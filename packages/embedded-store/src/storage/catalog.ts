import { randomUUID } from 'node:crypto';
import type { Binary } from 'bson';
import { Int32, UUID } from 'bson';
import { decode, encode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { compileIndex } from '../index/keys';
import type { CompiledIndex } from '../index/keys';
import { PlanCache } from '../index/plan-template';
import { readDefinition } from './definition';
import { StoreError } from '../errors';
import type { Environment } from './environment';
import { prefixKey, readRecordId } from './keys';

/** An index of a collection: its number in the tree of entries, and its definition as it was requested. */
export interface IndexState {
  number: number;
  /** The document that listIndexes returns. */
  spec: Document;
  compiled: CompiledIndex;
  /** Whether it is still being filled: writers update it, but readers must not use it. */
  building: boolean;
}

/** A collection. Counters and flags change in memory with every write and are stored with its batch. */
export interface Collection {
  number: number;
  database: string;
  name: string;
  uuid: Binary;
  /** The options that create was given. */
  options: Document;
  /** The `_id` index is the first. */
  indexes: IndexState[];
  /** Number of documents. */
  count: number;
  /** Total size of their BSON, in bytes. */
  size: number;
  nextRecordId: number;
  /** The plans of frequent filters; cleared by each change that `save` stores. */
  readonly plans: PlanCache;
  /** The catalog's version when the collection or its indexes last changed; open snapshots may be older. */
  changedAt: number;
}

const COLLECTION_KEYS = { first: Buffer.from('c'), last: Buffer.from('d') };
const COUNTER_BYTES = 16;
/** Numbers of dropped collections and indexes whose records are still to be removed. */
const DROPPED_KEYS = { first: Buffer.from('x'), last: Buffer.from('y') };

/** A dropped collection or index: its records are the keys with this number in one of the trees. */
export interface Dropped {
  tree: 'documents' | 'entries';
  number: number;
}

const EMPTY_INDEX = { multikey: false, multikeyFields: 0, truncated: false };

/** Name of a collection as MongoDB writes it: `database.collection`. */
export function namespaceOf(collection: Collection): string {
  return `${collection.database}.${collection.name}`;
}

function collectionKey(number: number): Buffer {
  return Buffer.concat([COLLECTION_KEYS.first, prefixKey(number)]);
}

function countersKey(number: number): Buffer {
  return Buffer.concat([Buffer.from('s'), prefixKey(number)]);
}

function droppedKey({ tree, number }: Dropped): Buffer {
  return Buffer.concat([DROPPED_KEYS.first, Buffer.from(tree[0] ?? ''), prefixKey(number)]);
}

/**
 * The collections and their indexes, in memory and in the data file. Every change happens in the writer; after an
 * aborted batch `load` restores the state of the data file.
 */
export class Catalog {
  #databases = new Map<string, Map<string, Collection>>();
  #nextNumber = 1;
  #dirty = new Set<Collection>();
  /** Incremented by each change of collections or indexes, so that snapshots and plans can detect it. */
  version = 0;
  /** The versions at which namespaces were dropped, for open transactions. */
  #droppedAt = new Map<string, number>();

  constructor(
    private readonly environment: Environment,
    private readonly markChanged: () => void,
  ) {}

  /** Reads the catalog from the data file, and replaces the one in memory. */
  load(): void {
    this.#databases = new Map();
    this.#dirty.clear();
    this.#nextNumber = 1;
    this.version++;
    const { meta } = this.environment;
    for (const { key, value } of meta.getRange({ start: COLLECTION_KEYS.first, end: COLLECTION_KEYS.last })) {
      this.#add(this.#read(key.readUInt32BE(1), decode(value)));
    }
    for (const { number } of this.dropped()) this.#reserve(number);
  }

  databaseNames(): string[] {
    return [...this.#databases.keys()].sort();
  }

  collections(database: string): Collection[] {
    return [...(this.#databases.get(database)?.values() ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(database: string, name: string): Collection | undefined {
    return this.#databases.get(database)?.get(name);
  }

  /**
   * The collection for a snapshot of catalog version `since`. Throws SnapshotUnavailable when it was changed,
   * created or dropped since: the current indexes do not belong to the documents of the snapshot.
   */
  findSince(database: string, name: string, since: number): Collection | undefined {
    const collection = this.find(database, name);
    const changedAt = collection?.changedAt ?? this.#droppedAt.get(`${database}.${name}`) ?? 0;
    if (changedAt <= since) return collection;
    throw new StoreError(
      'SnapshotUnavailable',
      'Unable to read from a snapshot due to pending collection catalog changes; please retry the operation.',
      { labels: ['TransientTransactionError'] },
    );
  }

  /** Clears the list of dropped namespaces. To be called when no transaction is open and no snapshot is held. */
  forgetDroppedNamespaces(): void {
    this.#droppedAt.clear();
  }

  /** The numbers of all indexes. */
  indexNumbers(): Set<number> {
    const numbers = new Set<number>();
    for (const database of this.#databases.values()) {
      for (const { indexes } of database.values()) for (const { number } of indexes) numbers.add(number);
    }
    return numbers;
  }

  /** Whether this object is still the collection of its name (it was not dropped or reloaded). */
  isCurrent(collection: Collection): boolean {
    return this.find(collection.database, collection.name) === collection;
  }

  /** Creates a collection with its `_id` index; the caller has checked names and options. */
  create(database: string, name: string, options: Document): Collection {
    const collection: Collection = {
      number: this.#takeNumber(),
      database,
      name,
      uuid: new UUID(randomUUID()),
      options,
      indexes: [],
      count: 0,
      size: 0,
      nextRecordId: 1,
      plans: new PlanCache(),
      changedAt: this.version,
    };
    const spec: Document = new Map<string, Value>([
      ['v', new Int32(2)],
      ['key', new Map([['_id', new Int32(1)]])],
      ['name', '_id_'],
    ]);
    const collation = options.get('collation');
    if (collation !== undefined) spec.set('collation', collation);
    this.#add(collection);
    this.addIndex(collection, spec);
    return collection;
  }

  /** Adds an index without entries; the caller fills it. */
  addIndex(collection: Collection, spec: Document, building = false): IndexState {
    const index = {
      number: this.#takeNumber(),
      spec,
      compiled: compileIndex(readDefinition(spec), EMPTY_INDEX),
      building,
    };
    collection.indexes.push(index);
    this.#structureChanged(collection);
    this.save(collection);
    return index;
  }

  /** Makes complete indexes available to readers. */
  finishBuilds(collection: Collection, numbers: readonly number[]): void {
    for (const index of collection.indexes) if (numbers.includes(index.number)) index.building = false;
    this.#structureChanged(collection);
    this.save(collection);
  }

  /** Removes an index; the sweeper deletes its entries later. */
  removeIndex(collection: Collection, index: IndexState): void {
    collection.indexes = collection.indexes.filter((other) => other !== index);
    this.#recordDropped({ tree: 'entries', number: index.number });
    this.#structureChanged(collection);
    this.save(collection);
  }

  /** Removes a collection; the sweeper deletes its documents and entries later. */
  drop(collection: Collection): void {
    const { meta } = this.environment;
    meta.putSync(droppedKey({ tree: 'documents', number: collection.number }), Buffer.alloc(0));
    for (const index of collection.indexes) this.#recordDropped({ tree: 'entries', number: index.number });
    meta.removeSync(collectionKey(collection.number));
    meta.removeSync(countersKey(collection.number));
    this.#remove(collection);
    this.#droppedAt.set(namespaceOf(collection), ++this.version);
    this.markChanged();
  }

  /** Renames a collection; the new name must be free. */
  rename(collection: Collection, database: string, name: string): void {
    this.#remove(collection);
    this.#droppedAt.set(namespaceOf(collection), ++this.version);
    this.#structureChanged(collection);
    collection.database = database;
    collection.name = name;
    this.#add(collection);
    this.save(collection);
  }

  /** Stores the definition of a collection after a change to it. */
  save(collection: Collection): void {
    collection.plans.clear();
    const indexes = collection.indexes.map(
      ({ number, spec, compiled, building }) =>
        new Map<string, Value>([
          ['number', new Int32(number)],
          ['spec', spec],
          ['multikey', compiled.multikey],
          ['multikeyFields', new Int32(compiled.multikeyFields ?? 0)],
          ['truncated', compiled.truncated],
          ['building', building],
        ]),
    );
    const entry: Document = new Map<string, Value>([
      ['database', collection.database],
      ['name', collection.name],
      ['uuid', collection.uuid],
      ['options', collection.options],
      ['indexes', indexes],
    ]);
    this.environment.meta.putSync(collectionKey(collection.number), Buffer.from(encode(entry)));
    this.touch(collection);
    this.markChanged();
  }

  /** Records that the counters of the collection have changed. */
  touch(collection: Collection): void {
    this.#dirty.add(collection);
  }

  /** Stores changed counters; part of every write transaction. */
  storeCounters(): void {
    for (const collection of this.#dirty) {
      if (!this.isCurrent(collection)) continue;
      const bytes = Buffer.allocUnsafe(COUNTER_BYTES);
      bytes.writeDoubleLE(collection.count, 0);
      bytes.writeDoubleLE(collection.size, 8);
      this.environment.meta.putSync(countersKey(collection.number), bytes);
    }
    this.#dirty.clear();
  }

  /** The dropped collections and indexes whose records are not deleted yet. */
  dropped(): Dropped[] {
    const found: Dropped[] = [];
    for (const key of this.environment.meta.getKeys({ start: DROPPED_KEYS.first, end: DROPPED_KEYS.last })) {
      const tree = key[1] === 'd'.charCodeAt(0) ? 'documents' : 'entries';
      found.push({ tree, number: key.readUInt32BE(2) });
    }
    return found;
  }

  /** Records that all records of a dropped collection or index are deleted. */
  deleteDropped(dropped: Dropped): void {
    this.environment.meta.removeSync(droppedKey(dropped));
    this.markChanged();
  }

  #recordDropped(dropped: Dropped): void {
    this.environment.meta.putSync(droppedKey(dropped), Buffer.alloc(0));
  }

  #structureChanged(collection: Collection): void {
    collection.changedAt = ++this.version;
  }

  #takeNumber(): number {
    return this.#nextNumber++;
  }

  #reserve(number: number): void {
    this.#nextNumber = Math.max(this.#nextNumber, number + 1);
  }

  #add(collection: Collection): void {
    let database = this.#databases.get(collection.database);
    if (!database) this.#databases.set(collection.database, (database = new Map<string, Collection>()));
    database.set(collection.name, collection);
  }

  #remove(collection: Collection): void {
    const database = this.#databases.get(collection.database);
    database?.delete(collection.name);
    if (database?.size === 0) this.#databases.delete(collection.database);
  }

  #read(number: number, entry: Document): Collection {
    this.#reserve(number);
    const counters = this.environment.meta.get(countersKey(number));
    const indexes = (entry.get('indexes') as Document[]).map((stored) => {
      const spec = stored.get('spec') as Document;
      const compiled = compileIndex(readDefinition(spec), {
        multikey: stored.get('multikey') === true,
        multikeyFields: (stored.get('multikeyFields') as Int32).value,
        truncated: stored.get('truncated') === true,
      });
      const state = {
        number: Number(stored.get('number')),
        spec,
        compiled,
        building: stored.get('building') === true,
      };
      this.#reserve(state.number);
      return state;
    });
    return {
      number,
      database: entry.get('database') as string,
      name: entry.get('name') as string,
      uuid: entry.get('uuid') as Binary,
      options: entry.get('options') as Document,
      indexes,
      count: counters?.readDoubleLE(0) ?? 0,
      size: counters?.readDoubleLE(8) ?? 0,
      nextRecordId: this.#lastRecordId(number) + 1,
      plans: new PlanCache(),
      changedAt: this.version,
    };
  }

  #lastRecordId(number: number): number {
    const range = { start: prefixKey(number + 1), end: prefixKey(number), reverse: true, limit: 1 };
    for (const key of this.environment.documents.getKeys(range)) return readRecordId(key);
    return 0;
  }
}
