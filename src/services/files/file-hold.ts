import type { ExclusiveLease } from '../../db/exclusive-lease';
import { isHeld, withExclusiveLease } from '../../db/exclusive-lease';
import type { Collections } from '../../db/collections';
import type { FileStorage } from './file-storage';

const LEASE = 'file_hold';

/**
 * Keeps all nodes from deleting files while a backup runs. The documents of its snapshot refer to files that may be deleted
 * meanwhile. A file is deleted after the commit of what removes the last reference to it: if that commit is not part of the
 * snapshot, the hold, which was made before the snapshot, is visible to whoever deletes the file.
 */
export class FileHold {
  constructor(private readonly collections: Pick<Collections, 'leases'>) {}

  /**
   * Runs work, such as a backup, while no file is deleted.
   * @param isSole whether no other process can use the database.
   * @throws LeaseTaken when another process does the same.
   */
  during<Result>(work: (lease: ExclusiveLease) => Promise<Result>, isSole = false): Promise<Result> {
    return withExclusiveLease(this.collections.leases, LEASE, work, isSole);
  }

  isHeld(): Promise<boolean> {
    return isHeld(this.collections.leases, LEASE);
  }
}

/** Returns a storage that deletes nothing during a hold: the regular clean-up deletes those files later. */
export function withHold<Storage extends FileStorage>(
  storage: Storage,
  hold: Pick<FileHold, 'isHeld'>,
): Storage {
  const held = Object.create(storage) as Storage;
  held.delete = async (key) => {
    if (!(await hold.isHeld())) await storage.delete(key);
  };
  return held;
}
