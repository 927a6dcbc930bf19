import { MongoServerError, type Collection, type Db } from 'mongodb';
import type { Logger } from '../../utils/logger';
import { createIndexes, dropIndexes } from '../indexes';
import { MIGRATIONS } from './index';
import { withLease, type LeaseDocument } from './lease';
import type { Migration } from './migration';

/** The record of a migration that is done. */
interface MigrationDocument {
  /** Its number. */
  _id: number;
  name: string;
  doneAt: Date;
}

const COLLECTION = 'migrations';

/**
 * Prepares a database for this version: creates the indexes and runs the pending migrations, on one node at a time. An
 * empty database needs no migration.
 * @throws Error if a newer version has changed the database: this version would write documents in the old form
 */
export async function prepareDatabase(
  db: Db,
  logger: Logger,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  if (await isEmpty(db)) await recordAll(db, migrations);
  if ((await pendingMigrations(db, migrations)).length === 0) {
    await createIndexes(db);
    return;
  }
  await withLease(
    db.collection<LeaseDocument>(COLLECTION),
    async () => (await pendingMigrations(db, migrations)).length === 0,
    async (lease) => {
      await createIndexes(db);
      for (const migration of await pendingMigrations(db, migrations)) {
        const { number, name } = migration;
        logger.info({ migration: number, name }, 'migration starts');
        const counts = await migration.up({ db, logger, dryRun: false, checkpoint: () => lease.check() });
        await dropIndexes(db, migration.obsoleteIndexes);
        lease.check();
        await record(db, migration);
        logger.info({ migration: number, name, ...counts }, 'migration done');
      }
    },
  );
}

/** The migrations that a database still needs. @throws Error if a newer version has changed it */
export async function pendingMigrations(
  db: Db,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<Migration[]> {
  const done = await records(db)
    .find({ _id: { $gte: 0 } })
    .toArray();
  const newest = Math.max(0, ...done.map(({ _id }) => _id));
  if (newest > migrations.length) {
    throw new Error(
      `The database was changed by a newer version of Parley (migration ${newest}). Start that version.`,
    );
  }
  const numbers = new Set(done.map(({ _id }) => _id));
  return migrations.filter(({ number }) => !numbers.has(number));
}

/** Counts what the pending migrations would change, without changing it. */
export async function rehearseMigrations(
  db: Db,
  logger: Logger,
): Promise<{ number: number; name: string; counts: Record<string, number> }[]> {
  const rehearsed = [];
  for (const { number, name, up } of (await isEmpty(db)) ? [] : await pendingMigrations(db)) {
    rehearsed.push({ number, name, counts: await up({ db, logger, dryRun: true, checkpoint: () => {} }) });
  }
  return rehearsed;
}

async function isEmpty(db: Db): Promise<boolean> {
  return !(await db.listCollections({}, { nameOnly: true }).hasNext());
}

async function recordAll(db: Db, migrations: readonly Migration[]): Promise<void> {
  for (const migration of migrations) await record(db, migration);
}

async function record(db: Db, { number, name }: Migration): Promise<void> {
  try {
    const fields = { $setOnInsert: { name, doneAt: new Date() } };
    await records(db).updateOne({ _id: number }, fields, { upsert: true });
  } catch (error) {
    // Another node has started with the same empty database at the same moment.
    if (!(error instanceof MongoServerError) || error.code !== 11000) throw error;
  }
}

function records(db: Db): Collection<MigrationDocument> {
  return db.collection<MigrationDocument>(COLLECTION);
}
