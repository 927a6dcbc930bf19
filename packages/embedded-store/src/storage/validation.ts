import { decode } from '../bson/codec';
import type { Collection, IndexState } from './catalog';
import type { Environment, View } from './environment';
import { documentKey, verifyChecksum, prefixKey, readRecordId } from './keys';
import { hasIdInValue, keysOf, StoredDocument, treeKey } from './records';
import { Scanner } from './scanner';

/** The result of checking a collection against its indexes. */
export interface ValidationResult {
  records: number;
  invalidDocuments: number;
  /** Entries by index name. */
  keysPerIndex: Map<string, number>;
  errors: string[];
}

const MAX_ERRORS = 100;

/**
 * Compares every document with its index entries, and every entry with its document, in one view. Yields regularly,
 * so that the caller can let others run.
 */
export function* validateCollection(
  environment: Environment,
  collection: Collection,
  view: View,
): Generator<undefined, ValidationResult, void> {
  const result: ValidationResult = { records: 0, invalidDocuments: 0, keysPerIndex: new Map(), errors: [] };
  const note = (text: string) => {
    if (result.errors.length < MAX_ERRORS) result.errors.push(text);
  };
  const expected = new Map<IndexState, number>(collection.indexes.map((index) => [index, 0]));
  let size = 0;
  const documents = new Scanner(environment.documents, rangeOf(collection.number), { view }, true);
  for (let entry = documents.next(); entry; entry = documents.next()) {
    result.records++;
    const stored = readDocument(readRecordId(entry.key), entry.value);
    if (!stored) {
      result.invalidDocuments++;
      note(`record ${readRecordId(entry.key)} is damaged`);
      continue;
    }
    size += stored.bytes.length;
    for (const index of collection.indexes) {
      const { keys } = keysOf(index, stored);
      expected.set(index, (expected.get(index) ?? 0) + keys.length);
      for (const key of keys) {
        if (hasEntry(environment, collection, index, key, stored.recordId, view)) continue;
        note(`index ${index.compiled.definition.name} lacks an entry of record ${stored.recordId}`);
      }
    }
    if (result.records % 64 === 0) yield;
  }
  for (const index of collection.indexes) {
    const found = yield* countEntries(environment, collection, index, view, note);
    const { name } = index.compiled.definition;
    result.keysPerIndex.set(name, found);
    const wanted = expected.get(index) ?? 0;
    if (found !== wanted) note(`index ${name} has ${found} entries, its documents have ${wanted}`);
  }
  if (result.records !== collection.count) {
    note(`the collection counts ${collection.count} documents and has ${result.records}`);
  }
  if (size !== collection.size && result.invalidDocuments === 0) {
    note(`the collection counts ${collection.size} bytes and has ${size}`);
  }
  return result;
}

function rangeOf(number: number) {
  return { lower: prefixKey(number), upper: prefixKey(number + 1), reverse: false };
}

function readDocument(recordId: number, sealed: Buffer): StoredDocument | undefined {
  try {
    const bytes = verifyChecksum(sealed);
    return new StoredDocument(recordId, bytes, decode(bytes));
  } catch {
    return undefined;
  }
}

function hasEntry(
  environment: Environment,
  collection: Collection,
  index: IndexState,
  key: Buffer,
  recordId: number,
  view: View,
): boolean {
  const found = environment.entries.get(treeKey(collection, index, key, recordId), view);
  return found !== undefined && (!hasIdInValue(collection, index) || readRecordId(found) === recordId);
}

function* countEntries(
  environment: Environment,
  collection: Collection,
  index: IndexState,
  view: View,
  note: (text: string) => void,
): Generator<undefined, number, void> {
  const withValues = hasIdInValue(collection, index);
  const scanner = new Scanner(environment.entries, rangeOf(index.number), { view }, withValues);
  let found = 0;
  for (let entry = scanner.next(); entry; entry = scanner.next()) {
    found++;
    const recordId = readRecordId(withValues ? entry.value : entry.key);
    if (environment.documents.get(documentKey(collection.number, recordId), view) === undefined) {
      note(
        `index ${index.compiled.definition.name} has an entry of record ${recordId}, which does not exist`,
      );
    }
    if (found % 64 === 0) yield;
  }
  return found;
}
