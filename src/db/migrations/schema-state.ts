import { MongoServerError, type Collection, type Db } from 'mongodb';
import type { NodeDocument } from '../../models/kernel/node.model';
import { VERSION } from '../../utils/version';
import type { LeaseDocument } from './lease';
import type { Migration, MigrationKind } from './migration';

/** The record of a migration that has been run. */
export interface MigrationDocument {
  /** Its number. */
  _id: number;
  name: string;
  /** The version of Parley that ran it; missing if no run was needed, because the database was empty. */
  version?: string;
  kind?: MigrationKind;
  startedAt?: Date;
  /** When it had run for the first time. */
  doneAt: Date;
  /** How many documents the first run has changed, by name. */
  counts?: Record<string, number>;
  /**
   * When no older node was left whose documents would need another run. Null as long as there may be such documents. Missing in
   * records of versions that allowed no older nodes.
   */
  finalAt?: Date | null;
}

/** Which versions may open the database. */
interface SchemaDocument {
  _id: 'schema';
  /** The lowest schema version that may open it. */
  minimum: number;
}

const COLLECTION = 'migrations';
/**
 * How long after the end of its lease an older node may still be writing: it may have been suspended, or unable to reach the
 * database, and learns that it is outdated when it renews its lease.
 */
const GRACE_MS = 60_000;

/** The database requires a newer version of Parley. */
export class DatabaseTooNewError extends Error {
  override readonly name = 'DatabaseTooNewError';
}

/** Reads and writes the records of migrations in a database. */
export class SchemaState {
  constructor(
    private readonly db: Db,
    private readonly migrations: readonly Migration[],
  ) {}

  /** The schema version of this program. */
  get version(): number {
    return this.migrations.length;
  }

  get leases(): Collection<LeaseDocument> {
    return this.db.collection<LeaseDocument>(COLLECTION);
  }

  /** The records of all migrations that have been run, also by newer versions, in the order of their numbers. */
  records(): Promise<MigrationDocument[]> {
    return this.collection
      .find({ _id: { $gte: 0 } })
      .sort({ _id: 1 })
      .toArray();
  }

  /** Returns the lowest schema version that may open the database. */
  async minimum(): Promise<number> {
    const document = await this.schema.findOne({ _id: 'schema' });
    return document?.minimum ?? 0;
  }

  /** @throws DatabaseTooNewError if this version may not open the database */
  async assertSupported(): Promise<void> {
    const minimum = await this.minimum();
    if (minimum <= this.version) return;
    const record = await this.collection.findOne({ _id: minimum });
    const by = record?.version === undefined ? 'a newer version of Parley' : `Parley ${record.version}`;
    throw new DatabaseTooNewError(
      `The database was changed by ${by} (migration ${minimum}), and this is Parley ${VERSION}, which cannot read it. ` +
        'Start the newer version, or restore a backup from before the upgrade.',
    );
  }

  /** Whether a migration and all before it are final. */
  async isFinal(through = this.version): Promise<boolean> {
    const final = new Set((await this.records()).filter(isFinal).map(({ _id }) => _id));
    return this.migrations.every(({ number }) => number > through || final.has(number));
  }

  /** Whether nodes of this version can work with the database: only contracting migrations may be pending. */
  async isReady(): Promise<boolean> {
    const run = new Set((await this.records()).map(({ _id }) => _id));
    return this.migrations.every(({ number, kind }) => kind === 'contract' || run.has(number));
  }

  /**
   * Admits a program of this version to the database. If a newer version has migrated it, notes that documents in the old form
   * may be written from now on, so that the newer version repeats its migrations.
   * @returns the newer migrations.
   * @throws DatabaseTooNewError if this version may not open the database
   */
  async admit(): Promise<MigrationDocument[]> {
    await this.assertSupported();
    const newer = (await this.records()).filter(({ _id }) => _id > this.version);
    if (newer.length > 0) {
      await this.collection.updateMany(
        { _id: { $gt: this.version }, kind: 'expand' },
        { $set: { finalAt: null } },
      );
    }
    return newer;
  }

  /** Returns the nodes of versions before a migration that may be alive. */
  async olderNodes(number: number): Promise<NodeDocument[]> {
    const nodes = await this.db.collection<NodeDocument>('nodes').find().toArray();
    const since = Date.now() - GRACE_MS;
    return nodes.filter(
      ({ schemaVersion = 0, aliveUntil }) => schemaVersion < number && aliveUntil.getTime() > since,
    );
  }

  /**
   * Prevents programs of versions before a migration from starting, if none is running. A node registers itself before it checks
   * the minimum, and the minimum is raised here before the nodes are read, so one of both notices the other.
   * @returns the older nodes that may be alive: if there are any, nothing was changed.
   */
  async excludeOlder({ number }: Pick<Migration, 'number'>): Promise<NodeDocument[]> {
    const before = await this.olderNodes(number);
    if (before.length > 0) return before;
    const former = await this.minimum();
    if (former < number) await this.setMinimum(number);
    const after = await this.olderNodes(number);
    if (after.length > 0 && former < number) await this.setMinimum(former);
    return after;
  }

  /** Records the first run of a migration. */
  async recordRun(migration: Migration, startedAt: Date, counts: Record<string, number>): Promise<void> {
    const { number, name, kind } = migration;
    const finalAt = kind === 'expand' ? null : new Date();
    const fields = { name, kind, version: VERSION, startedAt, doneAt: new Date(), counts, finalAt };
    await this.collection.updateOne({ _id: number }, { $set: fields }, { upsert: true });
  }

  /** Records that an expanding migration needs no further run, unless an older node has appeared. */
  async recordFinal(number: number): Promise<void> {
    await this.collection.updateOne({ _id: number }, { $set: { finalAt: new Date() } });
    if ((await this.olderNodes(number)).length > 0) {
      await this.collection.updateOne({ _id: number }, { $set: { finalAt: null } });
    }
  }

  /** Records that an empty database needs no migration. */
  async recordAll(): Promise<void> {
    for (const { number, name, kind } of this.migrations) {
      const doneAt = new Date();
      await ignoreDuplicate(
        this.collection.updateOne(
          { _id: number },
          { $setOnInsert: { name, kind, doneAt, finalAt: doneAt } },
          { upsert: true },
        ),
      );
    }
    const closing = this.migrations.filter(({ kind }) => kind !== 'expand').map(({ number }) => number);
    await ignoreDuplicate(this.setMinimum(Math.max(0, ...closing)));
  }

  private async setMinimum(minimum: number): Promise<void> {
    await this.schema.updateOne({ _id: 'schema' }, { $set: { minimum } }, { upsert: true });
  }

  private get collection(): Collection<MigrationDocument> {
    return this.db.collection<MigrationDocument>(COLLECTION);
  }

  private get schema(): Collection<SchemaDocument> {
    return this.db.collection<SchemaDocument>(COLLECTION);
  }
}

function isFinal({ kind, finalAt }: MigrationDocument): boolean {
  return kind === undefined || (finalAt !== undefined && finalAt !== null);
}

/** Another node may create the same document at the same moment. */
async function ignoreDuplicate(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!(error instanceof MongoServerError) || error.code !== 11000) throw error;
  }
}
