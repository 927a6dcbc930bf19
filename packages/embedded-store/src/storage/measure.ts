import type { Environment, Tree } from './environment';
import type { Collection } from './catalog';

/** Bytes that LMDB's pages of a tree take. */
function treeBytes(tree: Tree): number {
  const stats = tree.getStats() as Record<string, number>;
  const pages =
    (stats.treeBranchPageCount ?? 0) + (stats.treeLeafPageCount ?? 0) + (stats.overflowPages ?? 0);
  return pages * (stats.pageSize ?? 4096);
}

/** Bytes of the data file that documents and index entries take, all collections together. */
export function storageBytes(environment: Environment): { documents: number; entries: number } {
  return { documents: treeBytes(environment.documents), entries: treeBytes(environment.entries) };
}

/** The share of the document storage that a collection takes, by the size of its documents. */
export function shareOf(collection: Collection, all: readonly Collection[], bytes: number): number {
  const total = all.reduce((sum, { size }) => sum + size, 0);
  return total === 0 ? 0 : Math.round((collection.size / total) * bytes);
}
