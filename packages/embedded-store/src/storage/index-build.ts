import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import type { Catalog, Collection, IndexState } from './catalog';
import type { Environment, View } from './environment';
import { verifyChecksum, prefixKey, readRecordId } from './keys';
import { keysOf, StoredDocument } from './stored-document';
import type { Records } from './records';
import { Scanner } from './scanner';
import type { Writer, WriteSteps } from './writer';

/** Number of documents whose entries are written in the transaction that creates the index. */
const SMALL = 2_000;
/** Bytes of keys that are sorted in memory, so that they are written to the tree in order. */
const CHUNK_BYTES = 24 * 1024 * 1024;
/** Memory of a key beside its bytes. */
const KEY_OVERHEAD = 120;

/** The parts of the store that a build uses. */
export interface BuildServices {
  environment: Environment;
  catalog: Catalog;
  records: Records;
  writer: Writer;
}

/** The time slices of a long read. */
export interface BuildTimeSlice {
  readonly isOver: boolean;
  next(): Promise<void>;
}

/**
 * Adds indexes to a collection and fills them from its documents; when one fails, none is added. Clients read and
 * write the collection meanwhile: their writes update the new entries, and their reads do not use the index before
 * it is complete.
 */
export async function buildIndexes(
  services: BuildServices,
  namespace: { database: string; name: string },
  prepare: () => { collection: Collection; specs: Document[] },
  timeSlice: BuildTimeSlice,
): Promise<void> {
  const { writer, catalog, records } = services;
  const numbers = await writer.submit(function* (): WriteSteps<number[]> {
    yield* [];
    const { collection, specs } = prepare();
    const building = collection.count > SMALL;
    const indexes = specs.map((spec) => catalog.addIndex(collection, spec, building));
    if (!building) for (const index of indexes) fillAtOnce(services, collection, index);
    return building ? indexes.map(({ number }) => number) : [];
  });
  if (numbers.length === 0) return;
  try {
    for (const number of numbers) await fill(services, namespace, number, timeSlice);
    await writer.submit(function* (): WriteSteps<void> {
      yield* [];
      const collection = numbers.map((number) => find(services, namespace, number).collection)[0];
      if (collection) catalog.finishBuilds(collection, numbers);
    });
  } catch (error) {
    await writer.submit(function* (): WriteSteps<void> {
      yield* [];
      const collection = catalog.find(namespace.database, namespace.name);
      for (const index of collection?.indexes.filter(({ number }) => numbers.includes(number)) ?? []) {
        if (collection) catalog.removeIndex(collection, index);
      }
    });
    throw error;
  } finally {
    for (const number of numbers) records.touched.delete(number);
  }
}

/** Removes incomplete indexes after a crash. To be called in a write transaction. */
export function removeUnfinished(catalog: Catalog): void {
  for (const database of catalog.databaseNames()) {
    for (const collection of catalog.collections(database)) {
      for (const index of collection.indexes.filter(({ building }) => building)) {
        catalog.removeIndex(collection, index);
      }
    }
  }
}

function find(
  { catalog }: BuildServices,
  { database, name }: { database: string; name: string },
  number: number,
): { collection: Collection; index: IndexState } {
  const collection = catalog.find(database, name);
  const index = collection?.indexes.find((one) => one.number === number);
  if (collection && index) return { collection, index };
  throw new StoreError(
    'IndexBuildAborted',
    'the index build was aborted: the collection or index was dropped',
  );
}

function documentRange(collection: Collection) {
  return { lower: prefixKey(collection.number), upper: prefixKey(collection.number + 1), reverse: false };
}

function fillAtOnce(
  { environment, records }: BuildServices,
  collection: Collection,
  index: IndexState,
): void {
  const scanner = new Scanner(environment.documents, documentRange(collection), { view: {} }, true);
  const documents: StoredDocument[] = [];
  for (let entry = scanner.next(); entry; entry = scanner.next()) {
    documents.push(new StoredDocument(readRecordId(entry.key), verifyChecksum(entry.value)));
  }
  for (const document of documents) records.addToIndex(collection, index, document);
}

/** Reads the documents in chunks, sorts the keys of each chunk and adds them to the index. */
async function fill(
  services: BuildServices,
  namespace: { database: string; name: string },
  number: number,
  timeSlice: BuildTimeSlice,
): Promise<void> {
  const { environment, records, writer } = services;
  const current: { view: View } = { view: {} };
  const first = find(services, namespace, number);
  const scanner = new Scanner(environment.documents, documentRange(first.collection), current, true);
  for (let more = true; more;) {
    const { index } = find(services, namespace, number);
    // From here on, other writes are recorded: the documents that they change are not read from this snapshot.
    const touched = new Set<number>();
    records.touched.set(number, touched);
    const snapshot = environment.latest();
    current.view = snapshot;
    let chunk: Chunk;
    try {
      chunk = await readChunk(scanner, index, timeSlice);
    } finally {
      scanner.pause();
      snapshot.release();
    }
    more = chunk.more;
    chunk.entries.sort((a, b) => Buffer.compare(a.key, b.key));
    await writer.submit(() => putChunk(services, namespace, number, chunk, touched));
  }
}

interface Chunk {
  entries: { key: Buffer; recordId: number }[];
  /** Flags of the keys, with which the index has to be marked. */
  flags: Pick<ReturnType<typeof keysOf>, 'multikey' | 'multikeyFields' | 'truncated'>;
  more: boolean;
}

async function readChunk(scanner: Scanner, index: IndexState, timeSlice: BuildTimeSlice): Promise<Chunk> {
  const chunk: Chunk = {
    entries: [],
    flags: { multikey: false, multikeyFields: 0, truncated: false },
    more: false,
  };
  let bytes = 0;
  for (let entry = scanner.next(); entry; entry = scanner.next()) {
    const recordId = readRecordId(entry.key);
    const found = keysOf(index, new StoredDocument(recordId, verifyChecksum(entry.value)));
    chunk.flags.multikey ||= found.multikey;
    chunk.flags.truncated ||= found.truncated;
    chunk.flags.multikeyFields |= found.multikeyFields;
    for (const key of found.keys) {
      chunk.entries.push({ key, recordId });
      bytes += key.length + KEY_OVERHEAD;
    }
    if (bytes > CHUNK_BYTES) return { ...chunk, more: true };
    if (recordId % 64 === 0 && timeSlice.isOver) await timeSlice.next();
  }
  return chunk;
}

function* putChunk(
  services: BuildServices,
  namespace: { database: string; name: string },
  number: number,
  { entries, flags }: Chunk,
  touched: ReadonlySet<number>,
): WriteSteps<void> {
  const { records, writer } = services;
  records.markIndex(find(services, namespace, number), flags);
  let count = 0;
  for (const { key, recordId } of entries) {
    if (touched.has(recordId)) continue;
    const { collection, index } = find(services, namespace, number);
    records.putIndexEntry(collection, index, key, recordId);
    if (++count % 256 === 0 && writer.timeSliceIsOver) yield undefined;
  }
  // The writers of changed documents have added the entries that changed, but not the others.
  for (const recordId of touched) {
    const { collection, index } = find(services, namespace, number);
    const current = records.get(collection, recordId, {});
    if (current) records.addToIndex(collection, index, current);
  }
}
