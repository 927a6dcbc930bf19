import { changedFields } from '../bson/changed-fields';
import { decode, encode } from '../bson/codec';
import type { Document } from '../bson/types';
import { indexEntriesOfBytes, textPostingsOf } from '../index/keys';
import { rawFields, type RawFields } from '../index/raw-key';
import type { CompiledIndex, IndexEntries, TextPostings } from '../index/keys';
import type { Collection, IndexState } from './catalog';
import { entryKey } from './keys';

/** A document with its bytes, decoded when it is first needed. */
export class StoredDocument {
  #document: Document | undefined;
  #fields: RawFields | undefined;
  #keys: Map<CompiledIndex, IndexEntries> | undefined;
  #postings: Map<CompiledIndex, TextPostings | undefined> | undefined;
  #compared: { with: StoredDocument; changed: ReadonlySet<string> } | undefined;

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

  /** The state of a document after an update that has changed these top-level fields. */
  static updated(old: StoredDocument, bytes: Uint8Array, changed: ReadonlySet<string>): StoredDocument {
    const updated = new StoredDocument(old.recordId, bytes);
    updated.#compared = { with: old, changed };
    return updated;
  }

  get document(): Document {
    return (this.#document ??= decode(this.bytes));
  }

  /** Where its top-level fields are in its bytes. */
  get fields(): RawFields {
    return (this.#fields ??= rawFields(this.bytes));
  }

  /** Keeps the keys in indexes that are computed from now on, for a document that is written later. */
  keepKeys(): void {
    this.#keys ??= new Map();
    this.#postings ??= new Map();
  }

  /** The terms of the document in a text index; undefined if it has none. */
  postingsIn(index: CompiledIndex): TextPostings | undefined {
    if (this.#postings?.has(index)) return this.#postings.get(index);
    const postings = textPostingsOf(index, this.document);
    this.#postings?.set(index, postings);
    return postings;
  }

  /** Names of the top-level fields in which the document differs from an older state of it. */
  changedSince(old: StoredDocument): ReadonlySet<string> {
    if (this.#compared?.with !== old) {
      this.#compared = { with: old, changed: changedFields(old.bytes, this.bytes) };
    }
    return this.#compared.changed;
  }

  /** The keys of the document in one index. */
  keysIn(index: CompiledIndex): IndexEntries {
    const kept = this.#keys?.get(index);
    if (kept) return kept;
    const keys = indexEntriesOfBytes(index, this);
    this.#keys?.set(index, keys);
    return keys;
  }
}

/** The indexes in which the keys of a document may change when it is replaced. */
export function affectedIndexes(
  { indexes }: Collection,
  old: StoredDocument | undefined,
  next: StoredDocument | undefined,
): IndexState[] {
  if (!old || !next) return indexes;
  const changed = next.changedSince(old);
  return indexes.filter(({ compiled: { reads } }) => {
    if (reads === undefined) return true;
    for (const name of changed) if (reads.has(name)) return true;
    return false;
  });
}

/** Whether two documents must not share a key of this index. */
export function isUnique(collection: Collection, index: IndexState): boolean {
  return collection.indexes[0] === index || index.compiled.definition.unique === true;
}

/**
 * Whether the record id is the value of an entry and not the end of its key. Unique keys are stored so, because the
 * document of a key is then found by a single lookup, many times faster than by a scan. Text search reads only the
 * keys of its entries.
 */
export function hasIdInValue(collection: Collection, index: IndexState): boolean {
  return isUnique(collection, index) && !index.compiled.isText;
}

/**
 * Whether writes add the terms of a document to the change buffer. An index that is being built is filled directly,
 * and the keys of a unique one have to be found by a single lookup.
 */
export function isBuffered(collection: Collection, index: IndexState): boolean {
  return index.compiled.isText && !index.building && !isUnique(collection, index);
}

/** The key in the tree of entries of a document's key in an index. */
export function treeKey(collection: Collection, index: IndexState, key: Buffer, recordId: number): Buffer {
  return hasIdInValue(collection, index)
    ? entryKey(index.number, key)
    : entryKey(index.number, key, recordId);
}

/** The keys of a document in one index. */
export function keysOf(index: IndexState, document: StoredDocument): IndexEntries {
  return document.keysIn(index.compiled);
}

/** Computes the keys of a document in an index in the form in which it will be written. */
export function prepareKeys(collection: Collection, index: IndexState, document: StoredDocument): void {
  if (isBuffered(collection, index)) document.postingsIn(index.compiled);
  else document.keysIn(index.compiled);
}
