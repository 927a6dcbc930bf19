import type { Database, RootDatabase } from 'lmdb';
import { StoreError } from '../errors';

/**
 * The version of the layout of the data file, as the README and storage/keys.ts describe it. A change of the layout
 * takes the next number, and the changelog says how older data is converted.
 */
export const FORMAT_VERSION = 4;
/**
 * Format 3 has no log beside the data file, and format 2 no change buffer either. Otherwise they are the same: a file of
 * format 3 is one of format 4 that was closed.
 */
const CONVERTIBLE_VERSIONS: readonly (number | undefined)[] = [2, 3];
const FORMAT_KEY = Buffer.from('format');
/** As lmdb-js writes the name of a tree into the tree of trees: with a zero byte at the end. */
const META_NAME = Buffer.from('meta\0');

/**
 * Checks that this program may write to the data file, without writing to it. An empty file may be used.
 * @returns whether the file has the current format; when it is empty, or of a format that is converted by the first
 * write, `writeFormat` has to be called
 * @throws OperationFailed when the file was not written by this store, or in another format
 */
export function checkFormat(root: RootDatabase<Buffer, Buffer>, path: string): boolean {
  const trees = [...root.getKeys()];
  if (trees.length === 0) return false;
  // Opening a missing tree would create it.
  const meta = trees.some((name) => META_NAME.equals(name))
    ? root.openDB<Buffer, Buffer>('meta', { encoding: 'binary', keyEncoding: 'binary' })
    : undefined;
  const found = meta?.get(FORMAT_KEY)?.[0];
  if (found === FORMAT_VERSION) return true;
  if (CONVERTIBLE_VERSIONS.includes(found)) return false;
  // A store that was killed while it created its file leaves an empty tree.
  if (meta && found === undefined && trees.length === 1 && meta.getKeysCount({ limit: 1 }) === 0)
    return false;
  throw new StoreError('OperationFailed', `${describe(found, path)} The file was left as it is.`);
}

function describe(found: number | undefined, path: string): string {
  if (found === undefined) {
    return `the data file ${path} was not written by this store: it has no format version.`;
  }
  const versions = `the data file ${path} has format version ${found}, and this program reads version ${FORMAT_VERSION}.`;
  return found > FORMAT_VERSION
    ? `${versions} It was written by a newer program: start that one.`
    : `${versions} It was written by an older program: start that one and copy the data with mongodump.`;
}

/** Writes the format version into a data file, durably and before anything else. */
export function writeFormat(meta: Database<Buffer, Buffer>): void {
  meta.putSync(FORMAT_KEY, Buffer.from([FORMAT_VERSION]));
}
