import { decode, encode, toPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { indexEntries, indexEntriesOfBytes } from '../index/keys';
import type { IndexEntries } from '../index/keys';
import type { Catalog, Collection, IndexState } from './catalog';
import { namespaceOf } from './catalog';
import type { Environment, View } from './environment';
import { documentKey, entryKey, openDocument, readRecordId, recordIdBytes, sealDocument } from './keys';

/** A document with its bytes, decoded when somebody asks. */
export class StoredDocument {
  #document: Document | undefined;

  constructor(
    readonly recordId: number,
    readonly bytes: Uint8Array,
    document?: Document,
  ) {
    this.#document = document;
  }

  static of(recordId: number, document: Document): StoredDocument {
    return new StoredDocument(recordId, encode(document), document);
  }

  get document(): Document {
    return (this.#document ??= decode(this.bytes));
  }
}

/** Where writes of a statement go: straight to the data file, or into a transaction's own changes. */
export interface WriteTarget {
  insert(collection: Collection, bytes: Uint8Array): void;
  replace(collection: Collection, old: StoredDocument, document: StoredDocument): void;
  remove(collection: Collection, old: StoredDocument): void;
}

/** Who else may hold documents and unique keys: open transactions. */
export interface Guard {
  /** Throws (or lets through) before anything of `collection` is changed. */
  beforeWrite(collection: Collection, recordId: number | undefined, uniqueKeys: Buffer[]): void;
  /** Notes a change that open snapshots do not see. */
  afterWrite(collection: Collection, recordId: number, uniqueKeys: Buffer[]): void;
}

/** Whether this index holds one entry per key without a record id in it. */
export function isIdIndex(collection: Collection, index: IndexState): boolean {
  return collection.indexes[0] === index;
}

/** Whether two documents must not share a key of this index. */
export function isUnique(collection: Collection, index: IndexState): boolean {
  return isIdIndex(collection, index) || index.compiled.definition.unique === true;
}

/** The keys of a document in one index. */
export function keysOf(index: IndexState, document: StoredDocument): IndexEntries {
  const { compiled } = index;
  const plain = compiled.partial === undefined && compiled.collator === undefined;
  return plain ? indexEntriesOfBytes(compiled, document.bytes) : indexEntries(compiled, document.document);
}

/** The error of a second document with a key that must be unique. */
export function duplicateKey(collection: Collection, index: IndexState, document: Document): StoreError {
  const pattern = index.spec.get('key') as Document;
  const values: Document = new Map();
  for (const field of pattern.keys()) values.set(field, valueAt(document, field));
  const shown = [...values].map(([field, value]) => `${field}: ${JSON.stringify(toPlain(value))}`).join(', ');
  return new StoreError(
    'DuplicateKey',
    `E11000 duplicate key error collection: ${namespaceOf(collection)} index: ${index.compiled.definition.name} dup key: { ${shown} }`,
    { extra: { keyPattern: toPlain(pattern), keyValue: toPlain(values) } },
  );
}

function valueAt(document: Document, path: string): Value {
  let value: Value | undefined = document;
  for (const part of path.split('.')) value = value instanceof Map ? value.get(part) : undefined;
  return value ?? null;
}

/** Reads and writes documents together with their index entries. Writing needs a running write transaction. */
export class Records implements WriteTarget {
  /** Records that were written while an index was being filled, by the index's number. */
  readonly touched = new Map<number, Set<number>>();

  constructor(
    private readonly environment: Environment,
    private readonly catalog: Catalog,
    private readonly noteMutation: () => void,
    private readonly guard: Guard,
  ) {}

  /** The document of a record id, or undefined. */
  get(collection: Collection, recordId: number, view: View): StoredDocument | undefined {
    const sealed = this.environment.documents.get(documentKey(collection.number, recordId), view);
    return sealed && new StoredDocument(recordId, openDocument(sealed));
  }

  /** The record id that the `_id` index has for an encoded key. */
  recordIdOf(collection: Collection, encoded: Buffer, view: View): number | undefined {
    const index = collection.indexes[0];
    const found = index && this.environment.entries.get(entryKey(index.number, encoded), view);
    return found && readRecordId(found);
  }

  /** The record ids that a unique index has for a key, in `view`. */
  holders(collection: Collection, index: IndexState, encoded: Buffer, view: View): number[] {
    if (isIdIndex(collection, index)) {
      const recordId = this.recordIdOf(collection, encoded, view);
      return recordId === undefined ? [] : [recordId];
    }
    const start = entryKey(index.number, encoded);
    const end = Buffer.concat([start, LAST]);
    const found: number[] = [];
    for (const key of this.environment.entries.getKeys({ ...view, start, end })) {
      if (key.length === start.length + 8) found.push(readRecordId(key));
    }
    return found;
  }

  /** Adds a document under a new record id (or a given one). Throws DuplicateKey before it changes anything. */
  insert(collection: Collection, bytes: Uint8Array, recordId = collection.nextRecordId): void {
    const document = new StoredDocument(recordId, bytes);
    const added = this.#plan(collection, undefined, document);
    collection.nextRecordId = Math.max(collection.nextRecordId, recordId + 1);
    this.#apply(collection, added);
    this.environment.documents.putSync(documentKey(collection.number, recordId), sealDocument(bytes));
    collection.count++;
    collection.size += bytes.length;
  }

  /** Puts another document in the place of one. Throws DuplicateKey before it changes anything. */
  replace(collection: Collection, old: StoredDocument, document: StoredDocument): void {
    const changes = this.#plan(collection, old, document);
    this.#apply(collection, changes);
    this.environment.documents.putSync(
      documentKey(collection.number, old.recordId),
      sealDocument(document.bytes),
    );
    collection.size += document.bytes.length - old.bytes.length;
  }

  /** Takes a document and its entries out. */
  remove(collection: Collection, old: StoredDocument): void {
    const changes = this.#plan(collection, old, undefined);
    this.#apply(collection, changes);
    this.environment.documents.removeSync(documentKey(collection.number, old.recordId));
    collection.count--;
    collection.size -= old.bytes.length;
  }

  /** Adds the entries of a document to one index. Throws DuplicateKey before it changes anything. */
  addToIndex(collection: Collection, index: IndexState, document: StoredDocument): void {
    const found = keysOf(index, document);
    const { keys } = found;
    if (isUnique(collection, index)) this.#checkUnique(collection, index, keys, document);
    this.markIndex({ collection, index }, found);
    for (const key of keys) this.#putEntry(collection, index, key, document.recordId);
  }

  /** Adds one entry of a document that is known to have this key. Throws DuplicateKey. */
  putIndexEntry(collection: Collection, index: IndexState, key: Buffer, recordId: number): void {
    if (isUnique(collection, index)) {
      const taken = this.holders(collection, index, key, {}).some((other) => other !== recordId);
      const document = taken ? this.get(collection, recordId, {}) : undefined;
      if (document) throw duplicateKey(collection, index, document.document);
    }
    this.#putEntry(collection, index, key, recordId);
  }

  /** Marks an index as having arrays or cut keys, if that is new. */
  markIndex(
    { collection, index }: { collection: Collection; index: IndexState },
    keys: Pick<IndexEntries, 'multikey' | 'multikeyFields' | 'truncated'>,
  ): void {
    if (flag(index, keys)) this.catalog.save(collection);
  }

  #plan(collection: Collection, old: StoredDocument | undefined, next: StoredDocument | undefined): Change {
    const recordId = (old ?? next)?.recordId ?? 0;
    const change: Change = { recordId, removed: [], added: [], uniqueKeys: [], flags: [] };
    for (const index of collection.indexes) {
      const before = old ? keysOf(index, old).keys : [];
      const after = next ? keysOf(index, next) : NO_KEYS;
      if (after.multikey || after.truncated) change.flags.push([index, after]);
      const added = old ? without(after.keys, before) : after.keys;
      const removed = next ? without(before, after.keys) : before;
      const unique = isUnique(collection, index);
      if (unique && next) this.#checkUnique(collection, index, added, next);
      for (const key of added) change.added.push([index, key]);
      for (const key of removed) change.removed.push([index, key]);
      if (unique)
        for (const key of [...added, ...removed]) change.uniqueKeys.push(entryKey(index.number, key));
    }
    this.guard.beforeWrite(collection, old?.recordId, change.uniqueKeys);
    return change;
  }

  #apply(collection: Collection, change: Change): void {
    this.noteMutation();
    this.guard.afterWrite(collection, change.recordId, change.uniqueKeys);
    const grew = change.flags.filter(([index, keys]) => flag(index, keys)).length > 0;
    if (grew) this.catalog.save(collection);
    else this.catalog.touch(collection);
    if (this.touched.size > 0) {
      for (const { number } of collection.indexes) this.touched.get(number)?.add(change.recordId);
    }
    for (const [index, key] of change.removed) {
      this.environment.entries.removeSync(this.#entryKey(collection, index, key, change.recordId));
    }
    for (const [index, key] of change.added) this.#putEntry(collection, index, key, change.recordId);
  }

  #entryKey(collection: Collection, index: IndexState, key: Buffer, recordId: number): Buffer {
    return isIdIndex(collection, index) ? entryKey(index.number, key) : entryKey(index.number, key, recordId);
  }

  #putEntry(collection: Collection, index: IndexState, key: Buffer, recordId: number): void {
    const value = isIdIndex(collection, index) ? recordIdBytes(recordId) : NOTHING;
    this.environment.entries.putSync(this.#entryKey(collection, index, key, recordId), value);
    this.noteMutation();
  }

  #checkUnique(collection: Collection, index: IndexState, keys: Buffer[], document: StoredDocument): void {
    for (const key of keys) {
      const others = this.holders(collection, index, key, {});
      if (others.some((other) => other !== document.recordId)) {
        throw duplicateKey(collection, index, document.document);
      }
    }
  }
}

interface Change {
  recordId: number;
  removed: [IndexState, Buffer][];
  added: [IndexState, Buffer][];
  uniqueKeys: Buffer[];
  flags: [IndexState, IndexEntries][];
}

const NO_KEYS: IndexEntries = { keys: [], multikey: false, multikeyFields: 0, truncated: false };

/** Marks an index as having such keys; tells whether that is new. */
function flag(
  { compiled }: IndexState,
  keys: Pick<IndexEntries, 'multikey' | 'multikeyFields' | 'truncated'>,
): boolean {
  const fields = (compiled.multikeyFields ?? 0) | keys.multikeyFields;
  const grew =
    (keys.multikey && !compiled.multikey) ||
    (keys.truncated && !compiled.truncated) ||
    fields !== compiled.multikeyFields;
  compiled.multikey ||= keys.multikey;
  compiled.truncated ||= keys.truncated;
  compiled.multikeyFields = fields;
  return grew;
}

const NOTHING = Buffer.alloc(0);
/** Sorts behind every record id. */
const LAST = Buffer.alloc(9, 0xff);

function without(keys: Buffer[], others: Buffer[]): Buffer[] {
  if (keys.length * others.length < 64)
    return keys.filter((key) => !others.some((other) => other.equals(key)));
  const names = new Set(others.map((other) => other.toString('latin1')));
  return keys.filter((key) => !names.has(key.toString('latin1')));
}
