import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import type { Database, RootDatabase, Transaction } from 'lmdb';
import { StoreError } from '../errors';
import { checkDataFile } from './file-check';
import { checkFormat, writeFormat } from './format';

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

/** What a read sees: a snapshot, or (without one) the running write transaction. */
export interface View {
  transaction?: Transaction;
}

/** A snapshot of the data file. It must be released, because its pages cannot be reused before. */
export interface Snapshot extends View {
  transaction: Transaction;
  release(): void;
}

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
  snapshot(): Snapshot;
  /** Runs `work` in a write transaction: durable when it returns, without effect when it throws. */
  write(work: () => void): void;
  close(): Promise<void>;
}

/**
 * Opens (or creates) the data file in `dataDir`. Throws when it is not writable, damaged, of another format version or
 * not of this store; then it has written nothing.
 */
export function openEnvironment(dataDir: string, flush: boolean): Environment {
  const path = join(dataDir, 'store.mdb');
  checkDataFile(path);
  const root: RootDatabase<Buffer, Buffer> = open({ path, maxDbs: 8, noSync: !flush, ...BINARY });
  let isCurrent: boolean;
  try {
    isCurrent = checkFormat(root, path);
  } catch (error) {
    void root.close();
    throw error;
  }
  const meta: Tree = root.openDB('meta', BINARY);
  // Before anything else is written, so that an older program refuses what it would not understand.
  if (!isCurrent) writeFormat(meta);
  const documents: Tree = root.openDB('documents', BINARY);
  const entries: Tree = root.openDB('entries', BINARY);
  const buffer: Tree = root.openDB('buffer', BINARY);
  return {
    meta,
    documents,
    entries,
    buffer,
    snapshot() {
      const transaction = root.useReadTransaction();
      let open = true;
      return {
        transaction,
        release() {
          if (open) transaction.done();
          open = false;
        },
      };
    },
    write(work) {
      try {
        root.transactionSync(work);
      } catch (error) {
        throw isDiskFull(error, dataDir)
          ? new StoreError(
              'OutOfDiskSpace',
              `no space is left for the data folder ${dataDir}; nothing was written`,
            )
          : error;
      }
    },
    close: () => root.close(),
  };
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
