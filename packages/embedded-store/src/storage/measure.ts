import type { Environment, Tree } from './environment';
import type { Collection } from './catalog';

/** Size of LMDB's pages of a tree, in bytes. */
function treeBytes(tree: Tree): number {
  const stats = tree.getStats() as Record<string, number>;
  const pages =
    (stats.treeBranchPageCount ?? 0) + (stats.treeLeafPageCount ?? 0) + (stats.overflowPages ?? 0);
  return pages * (stats.pageSize ?? 4096);
}

/** Size of the documents and index entries of all collections in the data file, in bytes. */
export function storageBytes(environment: Environment): { documents: number; entries: number } {
  return {
    documents: treeBytes(environment.documents),
    entries: treeBytes(environment.entries) + treeBytes(environment.buffer),
  };
}

/** The estimated share of a collection in the document storage, by the size of its documents. */
export function shareOf(collection: Collection, all: readonly Collection[], bytes: number): number {
  const total = all.reduce((sum, { size }) => sum + size, 0);
  return total === 0 ? 0 : Math.round((collection.size / total) * bytes);
}
