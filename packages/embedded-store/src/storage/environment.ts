import { openSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { StoreError } from '../errors';
import { CommitLog, recover } from './commit-log';
import { DISK } from './disk';
import type { Disk } from './disk';
import { Durability } from './durability';
import { checkDataFile } from './file-check';
import { checkFormat, writeFormat } from './format';
import { changesOf } from './log-records';
import type { LogRecord } from './log-records';
import { latestSnapshot } from './snapshot';
import type { Snapshot, View } from './snapshot';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

/** One of the ordered maps of the data file: Buffer keys, Buffer values. */
export type Tree = Database<Buffer, Buffer>;

/** The overload of a fast read with a transaction; the published types lack it. */
interface FastTree {
  getBinaryFast(key: Buffer, view: View): Buffer | undefined;
}

/**
 * The value of a key, in memory that the next read of any tree overwrites. Its `length` is that of the value, but
 * its memory is longer: `subarray` needs an end. Saves the allocation that `get` makes for each value.
 */
export function getTransient(tree: Tree, key: Buffer, view: View): Buffer | undefined {
  return (tree as unknown as FastTree).getBinaryFast(key, view);
}

export type { Snapshot, View };

/** The data file: four ordered maps, snapshots to read from and one write transaction at a time. */
export interface Environment {
  /** Catalog, counters and the table of retryable writes. */
  readonly meta: Tree;
  /** Documents by collection and record id. */
  readonly documents: Tree;
  /** The entries of all indexes. */
  readonly entries: Tree;
  /** The change buffer of the text indexes. */
  readonly buffer: Tree;
  /** What is durable: a power failure cannot take it away. */
  snapshot(): Snapshot;
  /** What is committed. What is read from it must not leave the store before a `flush`. */
  latest(): Snapshot;
  /**
   * Runs `work` in a write transaction: committed when it returns, without effect when it throws. It is durable after the
   * next `flush`.
   */
  write(work: () => void): void;
  /**
   * Resolves when everything that is committed is durable. Rejects when the disk fails; then no write succeeds any more, and
   * the next start undoes those that were not durable.
   */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** How to open the data file. */
export interface EnvironmentOptions {
  /** Whether to make writes durable; without it `flush` does nothing. */
  flush: boolean;
  disk?: Disk | undefined;
  /** Called once when the disk has failed. */
  onFailure?: ((error: Error) => void) | undefined;
}

/**
 * Opens (or creates) the data file in `dataDir`, after the end of a crashed process too. Throws when it is not writable,
 * damaged, of another format version or not of this store; then it has written nothing to a file that was closed.
 */
export function openEnvironment(dataDir: string, options: EnvironmentOptions): Environment {
  const path = join(dataDir, 'store.mdb');
  const logPath = join(dataDir, 'store.log');
  const lost = recover(logPath, path);
  checkDataFile(path);
  if (!lost) prepareDataFile(path);
  const root: RootDatabase<Buffer, Buffer> = open({ path, maxDbs: 8, noSync: true, ...BINARY });
  const latest = () => latestSnapshot(root);
  // Until the log is replaced, the state of its checkpoint must not be overwritten.
  const recovered = latest();
  try {
    if (lost) checkFormat(root, path);
    const names = ['meta', 'documents', 'entries', 'buffer'] as const;
    const trees = names.map((name): Tree => root.openDB(name, BINARY));
    for (const record of lost ?? []) root.transactionSync(() => repeat(trees, record));
    const [meta, documents, entries, buffer] = trees as [Tree, Tree, Tree, Tree];
    const durability = openDurability(path, logPath, latest, options);
    recovered.release();
    if (durability) trees.forEach((tree, number) => recordChanges(tree, number, durability));
    return {
      meta,
      documents,
      entries,
      buffer,
      snapshot: durability ? () => durability.snapshot() : latest,
      latest,
      write(work) {
        durability?.check();
        durability?.records.begin();
        try {
          root.transactionSync(work);
        } catch (error) {
          durability?.records.abort();
          throw isDiskFull(error, dataDir)
            ? new StoreError(
                'OutOfDiskSpace',
                `no space is left for the data folder ${dataDir}; nothing was written`,
              )
            : error;
        }
        durability?.committed();
      },
      flush: durability ? () => durability.flush() : () => Promise.resolve(),
      async close() {
        try {
          await durability?.close();
        } finally {
          await root.close();
        }
      },
    };
  } catch (error) {
    recovered.release();
    void root.close();
    throw error;
  }
}

/** Checks the format of a data file that was closed. Creates the file and its trees if necessary, with LMDB's own flushes. */
function prepareDataFile(path: string): void {
  const root: RootDatabase<Buffer, Buffer> = open({ path, maxDbs: 8, overlappingSync: false, ...BINARY });
  try {
    if (checkFormat(root, path)) return;
    const meta = root.openDB<Buffer, Buffer>('meta', BINARY);
    // Before anything else is written, so that an older program refuses what it would not understand.
    writeFormat(meta);
    for (const name of ['documents', 'entries', 'buffer']) root.openDB(name, BINARY);
  } finally {
    void root.close();
  }
}

function openDurability(
  path: string,
  logPath: string,
  latest: () => Snapshot,
  { flush, disk = DISK, onFailure = () => undefined }: EnvironmentOptions,
): Durability | undefined {
  if (flush) return new Durability(new CommitLog(logPath, openSync(path, 'r+'), disk), latest, onFailure);
  rmSync(logPath, { force: true });
  return undefined;
}

/** Executes the changes of a batch again. */
function repeat(trees: readonly Tree[], record: LogRecord): void {
  for (const { tree, key, value } of changesOf(record)) {
    if (value) trees[tree]?.putSync(key, value);
    else trees[tree]?.removeSync(key);
  }
}

/** Makes a tree record its changes for the log. */
function recordChanges(tree: Tree, number: number, durability: Durability): void {
  const put: (key: Buffer, value: Buffer) => unknown = tree.putSync.bind(tree);
  const remove: (key: Buffer) => unknown = tree.removeSync.bind(tree);
  Object.assign(tree, {
    putSync(key: Buffer, value: Buffer) {
      durability.records.put(number, key, value);
      return put(key, value);
    },
    removeSync(key: Buffer) {
      durability.records.remove(number, key);
      return remove(key);
    },
  });
}

const EIO = 5;
const ENOSPC = 28;
/** Free bytes below which a disk counts as full: a write that does not fit fails with an input/output error. */
const FULL_BYTES = 1024 * 1024;

function isDiskFull(error: unknown, dataDir: string): boolean {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === ENOSPC) return true;
  if (code !== EIO) return false;
  const { bavail, bsize } = statfsSync(dataDir);
  return bavail * bsize < FULL_BYTES;
}
