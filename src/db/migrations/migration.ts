import type { Db } from 'mongodb';
import type { Logger } from '../../utils/logger';

/** What a migration is given. */
export interface MigrationRun {
  db: Db;
  logger: Logger;
  /** True: change nothing and report what would be done. */
  dryRun: boolean;
  /** To be called between batches. @throws if another node has taken the work over, or this one is to end */
  checkpoint(): void;
}

/** A change of the data that an older version has written. */
export interface Migration {
  /** 1, 2, 3, … without gaps. */
  number: number;
  name: string;
  /**
   * Does it, in batches in the order of `_id`. It may be stopped at any point and run again, and other nodes of this
   * version may read and write meanwhile. All indexes exist already: one that is unique is partial, so that it
   * could be made before the field was filled.
   * @returns what was done, or would be, in counts by name.
   */
  up: (run: MigrationRun) => Promise<Record<string, number>>;
  /** Indexes of older versions that are dropped afterwards: their names by collection. */
  obsoleteIndexes: Record<string, readonly string[]>;
}
