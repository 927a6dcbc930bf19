import { setTimeout as delay } from 'node:timers/promises';
import type { Db } from 'mongodb';
import type { Logger } from '../../utils/logger';
import { createIndexes, createMissingIndexes, dropIndexes } from '../indexes';
import { MIGRATIONS } from './index';
import { tryLease, withLease, type Lease } from './lease';
import type { Migration, Progress } from './migration';
import { SchemaState } from './schema-state';

/** The interval at which a node that waits for older nodes to end looks for them. */
const WAIT_MS = 1000;
/** The interval of log records about a long wait or run. */
const LOG_MS = 30_000;

/** How a database is prepared. */
export interface MigrationOptions {
  migrations?: readonly Migration[];
  /** Whether no other process can use the database: then a lock that is held belongs to a process that has died. */
  isOnlyProcess?: boolean;
}

/**
 * Prepares a database for this version: creates the indexes and runs the pending migrations, on one node at a time. Waits for
 * nodes of older versions to end if a migration requires it. An empty database needs no migration.
 * @throws DatabaseTooNewError if a newer version has changed the database so that this one cannot read it
 */
export async function prepareDatabase(
  db: Db,
  logger: Logger,
  { migrations = MIGRATIONS, isOnlyProcess = false }: MigrationOptions = {},
): Promise<void> {
  const state = new SchemaState(db, migrations);
  if (await isEmpty(db)) await state.recordAll();
  const newer = await state.admit();
  if (newer.length > 0) {
    const facts = { schemaVersion: state.version, newer: newer.map(({ _id, name }) => `${_id} ${name}`) };
    logger.warn(facts, 'the database was prepared for a newer version, beside which this version may run');
  }
  // An index that differs is replaced, unless it belongs to a newer version.
  const isPrepared = async () =>
    (await state.isReady()) && ((await createMissingIndexes(db)) || newer.length > 0);
  const run = new Run(db, logger, state, migrations);
  if (!(await isPrepared())) {
    await withLease(state.leases, isPrepared, (lease) => run.prepare(lease), isOnlyProcess);
  }
  if (!(await state.isFinal())) await tryLease(state.leases, (lease) => run.finish(lease), isOnlyProcess);
}

/**
 * Does what waits for the last node of an older version to end: repeats expanding migrations for what it has written, and runs
 * contracting ones. Does nothing if there is nothing to do, an older node is alive, or another node does it.
 */
export async function finishMigrations(
  db: Db,
  logger: Logger,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  const state = new SchemaState(db, migrations);
  if (await state.isFinal()) return;
  const run = new Run(db, logger, state, migrations);
  await tryLease(state.leases, (lease) => run.finish(lease));
}

/** Returns the migrations that have not been run. @throws DatabaseTooNewError */
export async function pendingMigrations(
  db: Db,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<Migration[]> {
  const state = new SchemaState(db, migrations);
  await state.assertSupported();
  const run = new Set((await state.records()).map(({ _id }) => _id));
  return migrations.filter(({ number }) => !run.has(number));
}

/** A dry run of one migration. */
export interface Rehearsal {
  number: number;
  name: string;
  /** How many documents would be changed, by name. */
  counts: Record<string, number>;
}

/** Counts what the pending migrations would change, without changing it. @throws DatabaseTooNewError */
export async function rehearseMigrations(
  db: Db,
  logger: Logger,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<Rehearsal[]> {
  if (await isEmpty(db)) return [];
  const rehearsed: Rehearsal[] = [];
  for (const { number, name, up } of await pendingMigrations(db, migrations)) {
    rehearsed.push({ number, name, counts: await up({ db, logger, dryRun: true, checkpoint: () => {} }) });
  }
  return rehearsed;
}

/** Whether a database has no collections. */
export async function isEmpty(db: Db): Promise<boolean> {
  return !(await db.listCollections({}, { nameOnly: true }).hasNext());
}

/** Runs migrations while this node holds the lock. */
class Run {
  constructor(
    private readonly db: Db,
    private readonly logger: Logger,
    private readonly state: SchemaState,
    private readonly migrations: readonly Migration[],
  ) {}

  /** Creates the indexes and runs what this version cannot work without. */
  async prepare(lease: Lease): Promise<void> {
    await createIndexes(this.db);
    const done = new Set((await this.state.records()).map(({ _id }) => _id));
    for (const migration of this.migrations) {
      if (done.has(migration.number) || migration.kind === 'contract') continue;
      if (migration.kind === 'exclusive') {
        await this.waitForOlder(migration, lease);
        await this.finish(lease, migration.number - 1);
      }
      await this.first(migration, lease);
    }
  }

  /** Does what no older node may be alive for, as far as that is so, in the order of the numbers. */
  async finish(lease: Lease, through = this.migrations.length): Promise<void> {
    for (const migration of this.migrations) {
      const { number, kind } = migration;
      if (number > through) return;
      if (await this.state.isFinal(number)) continue;
      if (kind === 'expand') {
        if ((await this.state.olderNodes(number)).length > 0) return;
        await this.up(migration, lease);
        await dropIndexes(this.db, migration.obsoleteIndexes);
        lease.check();
        await this.state.recordFinal(number);
      } else {
        if ((await this.state.excludeOlder(migration)).length > 0) return;
        await this.first(migration, lease);
      }
    }
  }

  /** Runs a migration for the first time, and records it. */
  private async first(migration: Migration, lease: Lease): Promise<void> {
    const { number, name, kind } = migration;
    const startedAt = new Date();
    // Otherwise it is repeated when the last older node has ended.
    const isAlone = (await this.state.olderNodes(number)).length === 0;
    this.logger.info({ migration: number, name, kind }, 'migration starts');
    const counts = await this.up(migration, lease);
    if (isAlone) await dropIndexes(this.db, migration.obsoleteIndexes);
    lease.check();
    await this.state.recordRun(migration, startedAt, counts);
    if (isAlone && kind === 'expand') await this.state.recordFinal(number);
    this.logger.info({ migration: number, name, ...counts }, 'migration done');
  }

  private up({ number, up }: Migration, lease: Lease): Promise<Record<string, number>> {
    const { db, logger } = this;
    let logAt = performance.now() + LOG_MS;
    const checkpoint = (progress: Progress) => {
      lease.check();
      lease.report({ migration: number, ...progress });
      if (performance.now() < logAt) return;
      logAt = performance.now() + LOG_MS;
      logger.info({ migration: number, ...progress }, 'migration in progress');
    };
    return up({ db, logger, dryRun: false, checkpoint });
  }

  private async waitForOlder(migration: Migration, lease: Lease): Promise<void> {
    let logAt = performance.now();
    for (;;) {
      const older = await this.state.excludeOlder(migration);
      if (older.length === 0) return;
      lease.check();
      if (performance.now() >= logAt) {
        logAt = performance.now() + LOG_MS;
        const nodes = older.map(({ _id, version, aliveUntil }) => ({ id: _id, version, aliveUntil }));
        const message = 'waiting for the nodes of older versions to end: stop them';
        this.logger.warn({ migration: migration.number, nodes }, message);
      }
      await delay(WAIT_MS);
    }
  }
}
