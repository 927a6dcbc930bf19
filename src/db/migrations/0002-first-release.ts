import { displayName } from '../../utils/file-name';
import { inBatches, type OldDocument } from './batches';
import type { Migration, MigrationRun } from './migration';

/** Characters that change the writing direction. Version 0.1.0 left U+061C in the names of files. */
const DIRECTION = '[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]';

/** Changes what version 0.1.0 has stored and later versions store in another form. */
export const firstRelease: Migration = {
  number: 2,
  name: 'first-release',
  kind: 'expand',
  obsoleteIndexes: { notifications: ['group_kind'] },
  up: async (run) => ({ emailChanges: await moveEmailChanges(run), files: await cleanFileNames(run) }),
};

/** The new address of an account was stored in the field for the unconfirmed address of a new account. */
function moveEmailChanges(run: MigrationRun): Promise<number> {
  const old = { email: { $exists: true }, pendingEmail: { $exists: true } };
  return inBatches(run, 'users', old, (batch, users) =>
    users.bulkWrite(
      batch.map(({ _id, pendingEmail, updatedAt }) => ({
        updateOne: {
          // The condition is checked again: the change may have been confirmed or withdrawn since.
          filter: { _id, ...old, pendingEmail: pendingEmail as string },
          update: {
            $set: { emailChange: { email: pendingEmail as string, requestedAt: updatedAt as Date } },
            $unset: { pendingEmail: true },
          },
        },
      })),
    ),
  );
}

/**
 * Removes characters that change the writing direction from the names of files. Messages contain copies of the name: they are
 * changed before the upload itself, by which they are found, so that an interrupted run is resumed with the same upload.
 */
function cleanFileNames(run: MigrationRun): Promise<number> {
  const { db } = run;
  return inBatches(run, 'uploads', { name: { $regex: DIRECTION } }, async (batch, uploads) => {
    const nameOf = ({ name }: OldDocument) => displayName(String(name));
    const copies = batch.map((upload) => ({
      $set: { 'attachments.$[file].name': nameOf(upload) },
      id: upload._id,
      reservedFor: upload['reservedFor'] as unknown,
    }));
    await db.collection('messages').bulkWrite(
      copies.map(({ id, $set }) => ({
        updateMany: {
          filter: { 'attachments.uploadId': id },
          update: { $set },
          arrayFilters: [{ 'file.uploadId': id }],
        },
      })),
    );
    const scheduled = copies.filter(({ reservedFor }) => reservedFor);
    if (scheduled.length > 0) {
      await db.collection<OldDocument>('scheduled_messages').bulkWrite(
        scheduled.map(({ id, reservedFor, $set }) => ({
          updateOne: {
            filter: { _id: reservedFor as OldDocument['_id'] },
            update: { $set },
            arrayFilters: [{ 'file.uploadId': id }],
          },
        })),
      );
    }
    await uploads.bulkWrite(
      batch.map((upload) => ({
        updateOne: { filter: { _id: upload._id }, update: { $set: { name: nameOf(upload) } } },
      })),
    );
  });
}
