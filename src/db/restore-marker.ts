import type { Collection, Db } from 'mongodb';

/** The collection of the marker. It exists only while a database is restored, and after a restore that was interrupted. */
export const RESTORE_COLLECTION = 'restore';

/** Marks a database as incomplete: written before a restore changes anything, and removed when all is restored. */
export interface RestoreMarkerDocument {
  _id: 'restore';
  /** The path of the archive. */
  archive: string;
  startedAt: Date;
  /** The id of the database, which the upload folder has as well. */
  databaseId: string;
}

export function restoreMarkers(db: Db): Collection<RestoreMarkerDocument> {
  return db.collection<RestoreMarkerDocument>(RESTORE_COLLECTION);
}

/** @throws Error when a restore of this database was interrupted, or is running */
export async function requireNoUnfinishedRestore(db: Db): Promise<void> {
  const marker = await restoreMarkers(db).findOne({ _id: 'restore' });
  if (!marker) return;
  throw new Error(
    `The database "${db.databaseName}" is incomplete: the restore of ${marker.archive}, begun at ` +
      `${marker.startedAt.toISOString()}, is running or was interrupted. Run the restore again; it starts from the beginning.`,
  );
}
