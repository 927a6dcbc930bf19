import type { Db } from 'mongodb';
import type { NodeDocument } from '../../models/kernel/node.model';
import { MIGRATIONS } from './index';
import type { LeaseDocument } from './lease';
import type { Migration } from './migration';
import { isEmpty } from './runner';
import { SchemaState, type MigrationDocument } from './schema-state';

/** The state of the migrations of a database. */
export interface MigrationStatus {
  /** The schema version of this program. */
  version: number;
  /** The lowest schema version that may open the database. */
  minimum: number;
  /** The migrations that were run, also those that this program does not know. */
  applied: MigrationDocument[];
  /** The migrations that will run when this version starts, or later (see Migration.kind). */
  pending: Pick<Migration, 'number' | 'name' | 'kind'>[];
  /** The lock, if a node holds it. */
  lock: LeaseDocument | null;
  /** The registered nodes, of which some may have died within the last hour. */
  nodes: NodeDocument[];
}

/** Reads the state of the migrations, and changes nothing. */
export async function migrationStatus(
  db: Db,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<MigrationStatus> {
  const state = new SchemaState(db, migrations);
  const applied = await state.records();
  const run = new Set(applied.map(({ _id }) => _id));
  const lock = await state.leases.findOne({ _id: 'lock', holder: { $ne: null } });
  return {
    version: state.version,
    minimum: await state.minimum(),
    applied,
    pending: (await isEmpty(db)) ? [] : migrations.filter(({ number }) => !run.has(number)),
    lock,
    nodes: await db.collection<NodeDocument>('nodes').find().sort({ startedAt: 1 }).toArray(),
  };
}

/** Describes the state for an operator, in lines. @param now milliseconds since 1970. */
export function describeStatus(status: MigrationStatus, now: number): string[] {
  const { version, minimum, applied, pending, lock, nodes } = status;
  const lines = [
    `This version knows ${version} migrations. The database requires at least ${minimum} of them.`,
  ];
  for (const record of applied) {
    const { _id, name, kind, doneAt, counts = {}, finalAt } = record;
    const by =
      record.version === undefined ? 'at the creation of the database' : `by Parley ${record.version}`;
    const changed = Object.entries(counts).map(([what, count]) => `${what} ${count}`);
    lines.push(
      `  ${_id} ${name}: done ${by}, ${doneAt.toISOString()}` +
        (changed.length > 0 ? ` (${changed.join(', ')})` : '') +
        (kind === 'expand' && !finalAt ? '; repeated when the last older node has ended' : '') +
        (_id > version ? '; of a newer version' : ''),
    );
  }
  for (const { number, name, kind } of pending) lines.push(`  ${number} ${name}: pending (${kind})`);
  if (lock) {
    const { process: holder = 'a node', expiresAt, work } = lock;
    const state = expiresAt.getTime() > now ? 'holds' : 'has died with';
    const doing = work ? `: migration ${work.migration}, ${work.collection}, ${work.changed} changed` : '';
    lines.push(`The lock: ${holder} ${state} it${doing}.`);
  }
  for (const { _id, version: parley = 'unknown', schemaVersion = 0, aliveUntil } of nodes) {
    const state = aliveUntil.getTime() > now ? 'alive' : `not seen since ${aliveUntil.toISOString()}`;
    lines.push(`Node ${_id}: Parley ${parley}, schema version ${schemaVersion}, ${state}.`);
  }
  return lines;
}
