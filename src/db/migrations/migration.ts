import type { Db } from 'mongodb';
import type { Logger } from '../../utils/logger';

/** The input of a migration. */
export interface MigrationRun {
  db: Db;
  logger: Logger;
  /** Whether to change nothing and only count what would change. */
  dryRun: boolean;
  /**
   * Call it before each batch.
   * @param progress what has been done so far, for the operator.
   * @throws Error if another node may have taken over the work
   */
  checkpoint(progress: Progress): void;
}

/** How far a migration has come. */
export interface Progress {
  collection: string;
  /** The number of documents that have been changed. */
  changed: number;
}

/**
 * Which nodes may run beside a migration and after it (docs/upgrade.md):
 * - `expand` adds to the data what this version needs, and nodes of older versions may go on reading and writing. It runs
 *   before the first node of this version listens. Older nodes leave out what it has added, so it runs again when the last
 *   one has ended; until then, this version must also read documents in the old form.
 * - `contract` removes from the data what only older versions need. It runs in the background when the last older node has
 *   ended. From then on older versions cannot start. This version must work before and after it.
 * - `exclusive` changes data so that only this version can read and write it. A node of this version waits for the last older
 *   node to end, runs the migration and then listens. From then on older versions cannot start.
 */
export type MigrationKind = 'expand' | 'contract' | 'exclusive';

/** A change of stored data from the form of an older version to that of this one. */
export interface Migration {
  /** 1, 2, 3, … without gaps. */
  number: number;
  name: string;
  kind: MigrationKind;
  /**
   * Migrates the data, in batches in the order of `_id`. It may be stopped at any point and run again, and nodes may read and
   * write at the same time: see MigrationKind. A document that is in the new form already is left as it is. All indexes exist
   * already: a unique one is partial, so that it could be created before the field was filled.
   * @returns the numbers of changed documents by name.
   */
  up: (run: MigrationRun) => Promise<Record<string, number>>;
  /** The names of indexes that only older versions need, by collection. They are dropped when the last older node has ended. */
  obsoleteIndexes: Record<string, readonly string[]>;
}
