import { toPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { textPrefixOf } from '../index/keys';
import type { IndexEntries } from '../index/keys';
import type { Catalog, Collection, IndexState } from './catalog';
import { namespaceOf } from './catalog';
import { getTransient } from './environment';
import type { Environment, View } from './environment';
import type { TextBuffer } from './text-buffer';
import {
  affectedIndexes,
  hasIdInValue,
  isBuffered,
  isUnique,
  keysOf,
  StoredDocument,
  treeKey,
} from './stored-document';
import { documentKey, entryKey, verifyChecksum, readRecordId, recordIdBytes, withChecksum } from './keys';

/** The target of a statement's writes: the data file, or the changes of a transaction. */
export interface WriteTarget {
  insert(collection: Collection, bytes: Uint8Array): void;
  replace(collection: Collection, old: StoredDocument, document: StoredDocument): void;
  remove(collection: Collection, old: StoredDocument): void;
}

/** The locks of open transactions. */
export interface Guard {
  /** Whether no open transaction needs to know about unique keys. */
  readonly isIdle: boolean;
  /** Throws if an open transaction has locked the document or a key. To be called before a change. */
  beforeWrite(collection: Collection, recordId: number | undefined, uniqueKeys: Buffer[]): void;
  /** Records a change that open snapshots do not contain. */
  afterWrite(collection: Collection, recordId: number, uniqueKeys: Buffer[]): void;
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
    private readonly markChanged: () => void,
    private readonly guard: Guard,
    private readonly textBuffer: TextBuffer,
  ) {}

  /** The document of a record id, or undefined. */
  get(collection: Collection, recordId: number, view: View): StoredDocument | undefined {
    const sealed = this.environment.documents.get(documentKey(collection.number, recordId), view);
    return sealed && new StoredDocument(recordId, verifyChecksum(sealed));
  }

  /**
   * The same for a document that is used only briefly, such as one of a batch: its bytes share memory with those of
   * other documents, which is faster, but a document that is kept also keeps some kilobytes of them.
   */
  getBriefly(collection: Collection, recordId: number, view: View): StoredDocument | undefined {
    const found = getTransient(
      this.environment.documents,
      documentKey(collection.number, recordId, SOUGHT_KEY),
      view,
    );
    if (!found) return undefined;
    const volatile = verifyChecksum(found);
    const bytes = Buffer.allocUnsafe(volatile.length);
    bytes.set(volatile);
    return new StoredDocument(recordId, bytes);
  }

  /** The record id that the `_id` index has for an encoded key. */
  recordIdOf(collection: Collection, encoded: Buffer, view: View): number | undefined {
    const index = collection.indexes[0];
    return index && this.#uniqueRecordId(entryKey(index.number, encoded), view);
  }

  /** The record ids that a unique index has for a key, in `view`. */
  holders(collection: Collection, index: IndexState, encoded: Buffer, view: View): number[] {
    const start = entryKey(index.number, encoded);
    if (hasIdInValue(collection, index)) {
      const recordId = this.#uniqueRecordId(start, view);
      return recordId === undefined ? [] : [recordId];
    }
    const end = Buffer.concat([start, LAST]);
    const found: number[] = [];
    for (const key of this.environment.entries.getKeys({ ...view, start, end })) {
      if (key.length === start.length + 8) found.push(readRecordId(key));
    }
    return found;
  }

  /** Adds a document under a new record id. Throws DuplicateKey before it changes anything. */
  insert(collection: Collection, bytes: Uint8Array): void {
    this.add(collection, new StoredDocument(collection.nextRecordId, bytes));
  }

  /** Adds a document under its record id. Throws DuplicateKey before it changes anything. */
  add(collection: Collection, document: StoredDocument): void {
    const { recordId, bytes } = document;
    const added = this.#plan(collection, undefined, document);
    collection.nextRecordId = Math.max(collection.nextRecordId, recordId + 1);
    this.#apply(collection, added);
    this.environment.documents.putSync(documentKey(collection.number, recordId), withChecksum(bytes));
    collection.count++;
    collection.size += bytes.length;
  }

  /**
   * Releases the unique keys that a document will lose by `replace`, so that another document of the same
   * transaction can take them first.
   */
  releaseKeys(collection: Collection, old: StoredDocument, document: StoredDocument): void {
    for (const index of affectedIndexes(collection, old, document)) {
      if (!isUnique(collection, index)) continue;
      const lost = without(keysOf(index, old).keys, keysOf(index, document).keys);
      for (const key of lost) this.#removeEntry(collection, index, key, old.recordId);
      if (lost.length > 0) this.markChanged();
    }
  }

  /**
   * Replaces a document. Throws DuplicateKey before it changes anything.
   * @param released whether `releaseKeys` has been called, so that another document may have its keys already.
   */
  replace(collection: Collection, old: StoredDocument, document: StoredDocument, released = false): void {
    const changes = this.#plan(collection, old, document);
    if (released) changes.removed = changes.removed.filter(([index]) => !isUnique(collection, index));
    this.#apply(collection, changes);
    this.environment.documents.putSync(
      documentKey(collection.number, old.recordId),
      withChecksum(document.bytes),
    );
    collection.size += document.bytes.length - old.bytes.length;
  }

  /** Removes a document and its entries. */
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
    const entries = keys.map((key) => treeKey(collection, index, key, document.recordId));
    if (isUnique(collection, index)) {
      keys.forEach((key, i) => this.#checkUnique(collection, index, key, entries[i] ?? NOTHING, document));
    }
    this.markIndex({ collection, index }, found);
    for (const entry of entries) this.#putEntry(collection, index, entry, document.recordId);
  }

  /** Adds one entry of a document that is known to have this key. Throws DuplicateKey. */
  putIndexEntry(collection: Collection, index: IndexState, key: Buffer, recordId: number): void {
    if (isUnique(collection, index)) {
      const taken = this.holders(collection, index, key, {}).some((other) => other !== recordId);
      const document = taken ? this.get(collection, recordId, {}) : undefined;
      if (document) throw duplicateKey(collection, index, document.document);
    }
    this.#putEntry(collection, index, treeKey(collection, index, key, recordId), recordId);
  }

  /** Marks an index that has arrays or cut keys, if it is not marked yet. */
  markIndex(
    { collection, index }: { collection: Collection; index: IndexState },
    keys: Pick<IndexEntries, 'multikey' | 'multikeyFields' | 'truncated'>,
  ): void {
    if (flag(index, keys)) this.catalog.save(collection);
  }

  /** The record id that is the value of an entry. */
  #uniqueRecordId(key: Buffer, view: View): number | undefined {
    const found = getTransient(this.environment.entries, key, view);
    return found && readRecordId(found);
  }

  #plan(collection: Collection, old: StoredDocument | undefined, next: StoredDocument | undefined): Change {
    const recordId = (old ?? next)?.recordId ?? 0;
    const change: Change = { recordId, removed: [], added: [], buffered: [], uniqueKeys: [], flags: [] };
    for (const index of affectedIndexes(collection, old, next)) {
      if (isBuffered(collection, index) && this.#planBuffered(index, old, next, change)) continue;
      const before = old ? keysOf(index, old).keys : [];
      const after = next ? keysOf(index, next) : NO_KEYS;
      if (after.multikey || after.truncated) change.flags.push([index, after]);
      const added = old ? without(after.keys, before) : after.keys;
      const removed = next ? without(before, after.keys) : before;
      const unique = isUnique(collection, index);
      for (const key of added) {
        const entry = treeKey(collection, index, key, recordId);
        if (unique && next) this.#checkUnique(collection, index, key, entry, next);
        change.added.push([index, entry]);
      }
      for (const key of removed) change.removed.push([index, key]);
      if (unique && !this.guard.isIdle)
        for (const key of [...added, ...removed]) change.uniqueKeys.push(entryKey(index.number, key));
    }
    this.guard.beforeWrite(collection, old?.recordId, change.uniqueKeys);
    return change;
  }

  /**
   * Plans the change of a text index in its buffer. Returns false when the entries of the index have to be changed: the
   * old document is in the index itself, or the buffer has no room.
   */
  #planBuffered(
    index: IndexState,
    old: StoredDocument | undefined,
    next: StoredDocument | undefined,
    change: Change,
  ): boolean {
    if (old) {
      const prefix = textPrefixOf(index.compiled, old.document);
      const key = prefix && entryKey(index.number, prefix, change.recordId);
      if (!key || !this.textBuffer.has(key)) return false;
      change.buffered.push({ key, postings: undefined });
    }
    const postings = next?.postingsIn(index.compiled);
    if (postings) {
      const key = entryKey(index.number, postings.prefix, change.recordId);
      if (!old && !this.textBuffer.hasRoomFor(key)) return false;
      change.buffered.push({ key, postings: postings.bytes });
    }
    return true;
  }

  #apply(collection: Collection, change: Change): void {
    this.markChanged();
    this.guard.afterWrite(collection, change.recordId, change.uniqueKeys);
    const grew = change.flags.filter(([index, keys]) => flag(index, keys)).length > 0;
    if (grew) this.catalog.save(collection);
    else this.catalog.touch(collection);
    if (this.touched.size > 0) {
      for (const { number } of collection.indexes) this.touched.get(number)?.add(change.recordId);
    }
    for (const [index, key] of change.removed) this.#removeEntry(collection, index, key, change.recordId);
    for (const [index, entry] of change.added) this.#putEntry(collection, index, entry, change.recordId);
    for (const { key, postings } of change.buffered) {
      if (postings) this.textBuffer.add(key, postings);
      else this.textBuffer.remove(key);
    }
  }

  #removeEntry(collection: Collection, index: IndexState, key: Buffer, recordId: number): void {
    const entry = treeKey(collection, index, key, recordId);
    // While a unique index is being filled, two documents may have the same key, and one of them has the entry.
    const isOthers =
      index.building && hasIdInValue(collection, index) && this.#uniqueRecordId(entry, {}) !== recordId;
    if (!isOthers) this.environment.entries.removeSync(entry);
  }

  #putEntry(collection: Collection, index: IndexState, entry: Buffer, recordId: number): void {
    const value = hasIdInValue(collection, index) ? recordIdBytes(recordId) : NOTHING;
    this.environment.entries.putSync(entry, value);
    this.markChanged();
  }

  /** `entry` is the key in the tree for `key`. */
  #checkUnique(
    collection: Collection,
    index: IndexState,
    key: Buffer,
    entry: Buffer,
    document: StoredDocument,
  ): void {
    const { recordId } = document;
    const isTaken = hasIdInValue(collection, index)
      ? (this.#uniqueRecordId(entry, {}) ?? recordId) !== recordId
      : this.holders(collection, index, key, {}).some((other) => other !== recordId);
    if (isTaken) throw duplicateKey(collection, index, document.document);
  }
}

interface Change {
  recordId: number;
  removed: [IndexState, Buffer][];
  /** Keys with the keys of their entries in the tree. */
  added: [IndexState, Buffer][];
  /** Records of the change buffer to remove (without postings) and to add. */
  buffered: { key: Buffer; postings: Buffer | undefined }[];
  uniqueKeys: Buffer[];
  flags: [IndexState, IndexEntries][];
}

const NO_KEYS: IndexEntries = { keys: [], multikey: false, multikeyFields: 0, truncated: false };

/** Marks an index that has such keys; returns whether that is new. */
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
/** A reused buffer for the key of a lookup. */
const SOUGHT_KEY = documentKey(0, 0);
/** Sorts after every record id. */
const LAST = Buffer.alloc(9, 0xff);

function without(keys: Buffer[], others: Buffer[]): Buffer[] {
  if (keys.length * others.length < 64)
    return keys.filter((key) => !others.some((other) => other.equals(key)));
  const names = new Set(others.map((other) => other.toString('latin1')));
  return keys.filter((key) => !names.has(key.toString('latin1')));
}
