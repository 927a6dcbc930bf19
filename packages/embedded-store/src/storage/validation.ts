import { decode } from '../bson/codec';
import type { Collection, IndexState } from './catalog';
import { eachPosting } from '../index/text-keys';
import type { Environment, Tree, View } from './environment';
import { documentKey, entryKey, verifyChecksum, prefixKey, readRecordId } from './keys';
import { isBuffered, hasIdInValue, keysOf, StoredDocument, treeKey } from './stored-document';
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
      const buffered = checkBuffered(environment, collection, index, stored, view, note);
      if (buffered !== undefined) {
        expected.set(index, (expected.get(index) ?? 0) + buffered);
        continue;
      }
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

/**
 * The number of terms of a document in the change buffer of a text index; undefined if it is not there. Notes terms that
 * are not those of the document.
 */
function checkBuffered(
  environment: Environment,
  collection: Collection,
  index: IndexState,
  stored: StoredDocument,
  view: View,
  note: (text: string) => void,
): number | undefined {
  if (!isBuffered(collection, index)) return undefined;
  const postings = stored.postingsIn(index.compiled);
  const key = postings && entryKey(index.number, postings.prefix, stored.recordId);
  const found = key && environment.buffer.get(key, view);
  if (!found) return undefined;
  if (!found.equals(postings.bytes)) {
    note(
      `the buffer of index ${index.compiled.definition.name} has wrong terms of record ${stored.recordId}`,
    );
  }
  return countPostings(postings.bytes);
}

function countPostings(bytes: Buffer): number {
  let count = 0;
  eachPosting(bytes, () => count++);
  return count;
}

function* countEntries(
  environment: Environment,
  collection: Collection,
  index: IndexState,
  view: View,
  note: (text: string) => void,
): Generator<undefined, number, void> {
  const buffered = yield* countIn(environment, environment.buffer, collection, index, view, note);
  return buffered + (yield* countIn(environment, environment.entries, collection, index, view, note));
}

function* countIn(
  environment: Environment,
  tree: Tree,
  collection: Collection,
  index: IndexState,
  view: View,
  note: (text: string) => void,
): Generator<undefined, number, void> {
  const isBuffer = tree === environment.buffer;
  const withValues = isBuffer || hasIdInValue(collection, index);
  const scanner = new Scanner(tree, rangeOf(index.number), { view }, withValues);
  let found = 0;
  let read = 0;
  for (let entry = scanner.next(); entry; entry = scanner.next()) {
    found += isBuffer ? countPostings(entry.value) : 1;
    const recordId = readRecordId(withValues && !isBuffer ? entry.value : entry.key);
    if (environment.documents.get(documentKey(collection.number, recordId), view) === undefined) {
      note(
        `index ${index.compiled.definition.name} has an entry of record ${recordId}, which does not exist`,
      );
    }
    if (++read % 64 === 0) yield;
  }
  return found;
}
