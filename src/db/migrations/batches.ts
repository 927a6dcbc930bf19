import type { Collection, Document, Filter, ObjectId } from 'mongodb';
import type { MigrationRun } from './migration';

const BATCH = 500;

/** A document that an older version has written. */
export interface OldDocument extends Document {
  _id: ObjectId;
}

/**
 * Reads the documents in an old form in batches in the order of `_id`, and lets `change` write each batch. In a dry run it only
 * counts.
 * @param old matches documents in the old form only.
 * @returns the number of documents.
 */
export async function inBatches(
  run: MigrationRun,
  collection: string,
  old: Filter<OldDocument>,
  change: (batch: OldDocument[], target: Collection<OldDocument>) => Promise<unknown>,
): Promise<number> {
  const target = run.db.collection<OldDocument>(collection);
  let last: ObjectId | undefined;
  let changed = 0;
  for (;;) {
    run.checkpoint({ collection, changed });
    const batch = await target
      .find({ ...old, ...(last && { _id: { $gt: last } }) })
      .sort({ _id: 1 })
      .limit(BATCH)
      .toArray();
    if (batch.length === 0) return changed;
    if (!run.dryRun) await change(batch, target);
    changed += batch.length;
    last = batch.at(-1)?._id;
  }
}
