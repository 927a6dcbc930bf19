import type { Db } from 'mongodb';
import type { Logger } from '../../utils/logger';

/** The input of a migration. */
export interface MigrationRun {
  db: Db;
  logger: Logger;
  /** Whether to change nothing and only count what would change. */
  dryRun: boolean;
  /** Call it between batches. @throws Error if another node has taken over the work */
  checkpoint(): void;
}

/** A change of stored data from the form of an older version to that of this one. */
export interface Migration {
  /** 1, 2, 3, … without gaps. */
  number: number;
  name: string;
  /**
   * Migrates the data, in batches in the order of `_id`. It may be stopped at any point and run again, and other nodes of
   * this version may read and write at the same time. All indexes exist already: a unique one is partial, so that it
   * could be created before the field was filled.
   * @returns the numbers of changed documents by name.
   */
  up: (run: MigrationRun) => Promise<Record<string, number>>;
  /** The names of indexes of older versions that are dropped afterwards, by collection. */
  obsoleteIndexes: Record<string, readonly string[]>;
}
