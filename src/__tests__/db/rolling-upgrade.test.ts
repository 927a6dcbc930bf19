import { randomUUID } from 'node:crypto';
import { ObjectId, type Db, type Document } from 'mongodb';
import { pino } from 'pino';
import { MIGRATIONS } from '../../db/migrations';
import { inBatches } from '../../db/migrations/batches';
import type { Migration, MigrationKind } from '../../db/migrations/migration';
import { finishMigrations, prepareDatabase } from '../../db/migrations/runner';
import { DatabaseTooNewError, SchemaState } from '../../db/migrations/schema-state';
import { describeStatus, migrationStatus } from '../../db/migrations/status';
import { openDatabase, type Database } from '../../db/mongodb';
import { NodeRegistry } from '../../services/kernel/node-registry';
import { createLogger } from '../../utils/logger';
import { until } from '../fixtures/until';

const silent = createLogger('silent');
const uri = process.env['TEST_MONGODB_URI'];
const NOTES = 'notes';
let database: Database;
let db: Db;

beforeEach(async () => {
  const name = `test_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
  database = await openDatabase({ uri, name, dataDir: '' });
  db = database.db;
  await db.collection(NOTES).createIndex({ text: 1 }, { name: 'old_text' });
  await write('first');
});
afterEach(async () => {
  await db.dropDatabase();
  await database.close();
});

/** Writes a note as a version before the next one does. */
const write = (text: string) => db.collection(NOTES).insertOne({ _id: new ObjectId(), text });
const notes = () =>
  db
    .collection(NOTES)
    .find({}, { projection: { _id: 0 } })
    .sort({ _id: 1 })
    .toArray();
const hasOldIndex = async () =>
  (await db.collection(NOTES).indexes()).some((index) => index.name === 'old_text');
const recordOf = async (number: number) =>
  (await migrationStatus(db)).applied.find(({ _id }) => _id === number);

/** The migrations of the next version: it stores the length of each note. */
function nextVersion(kind: MigrationKind, runs: string[] = []): Migration[] {
  const number = MIGRATIONS.length + 1;
  const up: Migration['up'] = async (run) => {
    runs.push(kind);
    const changed = await inBatches(run, NOTES, { length: { $exists: false } }, (batch, target) =>
      target.bulkWrite(
        batch.map(({ _id, ...note }) => ({
          updateOne: { filter: { _id }, update: { $set: { length: String(note['text']).length } } },
        })),
      ),
    );
    return { notes: changed };
  };
  const obsoleteIndexes = { [NOTES]: ['old_text'] };
  return [...MIGRATIONS, { number, name: 'note-lengths', kind, up, obsoleteIndexes }];
}

const NEXT = MIGRATIONS.length + 1;

/** A node of this version, which is older than the next one. */
function olderNode(now = Date.now): NodeRegistry {
  const { collections } = database;
  return new NodeRegistry({ collections, schema: database, clock: { now }, logger: silent });
}

/** A node of this version that was killed a moment ago, or some time ago. */
const killedNode = (endedMsAgo: number) =>
  database.collections.nodes.insertOne({
    _id: randomUUID(),
    startedAt: new Date(),
    version: '0.0.1',
    schemaVersion: MIGRATIONS.length,
    aliveUntil: new Date(Date.now() - endedMsAgo),
  });

describe('an expanding migration', () => {
  it('runs beside older nodes, and again for what they have written', async () => {
    const migrations = nextVersion('expand');
    const older = olderNode();
    await older.start();
    await prepareDatabase(db, silent, { migrations });
    expect(await notes()).toEqual([{ text: 'first', length: 5 }]);
    await write('second one');
    await finishMigrations(db, silent, migrations);
    expect((await notes())[1]).toEqual({ text: 'second one' });
    expect(await hasOldIndex()).toBe(true);
    expect(await recordOf(NEXT)).toMatchObject({ kind: 'expand', counts: { notes: 1 }, finalAt: null });
    await older.stop();
    await finishMigrations(db, silent, migrations);
    expect(await notes()).toEqual([
      { text: 'first', length: 5 },
      { text: 'second one', length: 10 },
    ]);
    expect(await hasOldIndex()).toBe(false);
    expect(await recordOf(NEXT)).toMatchObject({ finalAt: expect.any(Date) });
  });

  it('is final at once when no older node is alive, and then not repeated', async () => {
    const runs: string[] = [];
    const migrations = nextVersion('expand', runs);
    await prepareDatabase(db, silent, { migrations });
    expect(await hasOldIndex()).toBe(false);
    await prepareDatabase(db, silent, { migrations });
    await finishMigrations(db, silent, migrations);
    expect(runs).toEqual(['expand']);
  });

  it('is repeated for a node that opened the database before it, and registers after it', async () => {
    const migrations = nextVersion('expand');
    await prepareDatabase(db, silent, { migrations });
    const older = olderNode();
    await older.start();
    await write('second');
    await older.stop();
    await finishMigrations(db, silent, migrations);
    expect((await notes())[1]).toEqual({ text: 'second', length: 6 });
  });

  it('is repeated for a node that was considered dead, and resumes', async () => {
    const migrations = nextVersion('expand');
    let now = Date.now() - 3600_000;
    const resumed = olderNode(() => now);
    await resumed.start();
    await prepareDatabase(db, silent, { migrations });
    expect(await recordOf(NEXT)).toMatchObject({ finalAt: expect.any(Date) });
    now = Date.now();
    await resumed.renew();
    expect(await recordOf(NEXT)).toMatchObject({ finalAt: null });
    await write('second');
    await resumed.stop();
    await finishMigrations(db, silent, migrations);
    expect((await notes())[1]).toEqual({ text: 'second', length: 6 });
  });

  it('waits for a minute after an older node was killed', async () => {
    const migrations = nextVersion('expand');
    await killedNode(59_000);
    await prepareDatabase(db, silent, { migrations });
    expect(await hasOldIndex()).toBe(true);
    await database.collections.nodes.updateMany({}, { $set: { aliveUntil: new Date(Date.now() - 60_001) } });
    await finishMigrations(db, silent, migrations);
    expect(await hasOldIndex()).toBe(false);
  });

  it('lets an older version start again, and is repeated after it', async () => {
    const migrations = nextVersion('expand');
    await prepareDatabase(db, silent, { migrations });
    await db.collection('users').dropIndex('display_search');
    await db.collection('groups').dropIndex('creator');
    await db.collection('groups').createIndex({ createdBy: 1 }, { name: 'creator', sparse: true });
    // The older version: it creates the indexes that it misses, and replaces none of the newer one.
    const warnings: any[] = [];
    await prepareDatabase(db, pino({}, { write: (line: string) => warnings.push(JSON.parse(line)) }));
    expect(warnings).toMatchObject([{ newer: [`${NEXT} note-lengths`], schemaVersion: MIGRATIONS.length }]);
    const names = async (collection: string) =>
      (await db.collection(collection).indexes()).map(({ name }) => name);
    expect(await names('users')).toContain('display_search');
    const creator = (await db.collection('groups').indexes()).find((index) => index.name === 'creator');
    expect(creator).toMatchObject({ sparse: true });
    await write('of the older version');
    await finishMigrations(db, silent, migrations);
    expect((await notes())[1]).toMatchObject({ length: 20 });
  });
});

describe('a contracting migration', () => {
  it('waits for older nodes to end, and then keeps older versions from starting', async () => {
    const migrations = nextVersion('contract');
    const older = olderNode();
    await older.start();
    await prepareDatabase(db, silent, { migrations });
    await finishMigrations(db, silent, migrations);
    expect(await notes()).toEqual([{ text: 'first' }]);
    expect((await migrationStatus(db, migrations)).pending).toMatchObject([{ number: NEXT }]);
    // The older version may still be started.
    await prepareDatabase(db, silent);
    await older.stop();
    await finishMigrations(db, silent, migrations);
    expect(await notes()).toEqual([{ text: 'first', length: 5 }]);
    await expect(prepareDatabase(db, silent)).rejects.toThrow(DatabaseTooNewError);
    await expect(olderNode().start()).rejects.toThrow(
      /changed by Parley \d+\.\d+\.\d+ \(migration 3\).*Start the newer version, or restore a backup/,
    );
    await prepareDatabase(db, silent, { migrations });
  });

  it('follows the earlier migrations, which are repeated before it', async () => {
    const runs: string[] = [];
    const [expand] = nextVersion('expand', runs).slice(-1) as [Migration];
    const up: Migration['up'] = async (run) => {
      runs.push('contract');
      await run.db.collection(NOTES).updateMany({}, { $unset: { text: true } });
      return {};
    };
    const contract: Migration = {
      number: NEXT + 1,
      name: 'texts',
      kind: 'contract',
      up,
      obsoleteIndexes: {},
    };
    const migrations = [...MIGRATIONS, expand, contract];
    const older = olderNode();
    await older.start();
    await prepareDatabase(db, silent, { migrations });
    await write('second');
    expect(runs).toEqual(['expand']);
    await older.stop();
    await finishMigrations(db, silent, migrations);
    expect(runs).toEqual(['expand', 'expand', 'contract']);
    expect(await notes()).toEqual([{ length: 5 }, { length: 6 }]);
  });
});

describe('an exclusive migration', () => {
  it('lets the new node wait until the last older one has ended', async () => {
    const migrations = nextVersion('exclusive');
    const older = olderNode();
    await older.start();
    const warnings: any[] = [];
    const logger = pino({}, { write: (line: string) => warnings.push(JSON.parse(line)) });
    const prepared = prepareDatabase(db, logger, { migrations });
    await until(() => warnings.length > 0);
    expect(warnings[0]).toMatchObject({ migration: NEXT, nodes: [{ id: older.id }] });
    expect(await notes()).toEqual([{ text: 'first' }]);
    await older.renew();
    await older.stop();
    await prepared;
    expect(await notes()).toEqual([{ text: 'first', length: 5 }]);
    await expect(olderNode().start()).rejects.toThrow(DatabaseTooNewError);
  });

  it('notices an older node that starts at the same moment', async () => {
    const [exclusive] = nextVersion('exclusive').slice(-1) as [Migration];
    const older = olderNode();
    let looks = 0;
    class Racing extends SchemaState {
      override async olderNodes(number: number) {
        const found = await super.olderNodes(number);
        // It has passed its first check, and registers after it was looked for.
        if (++looks === 1) await older.start();
        return found;
      }
    }
    const state = new Racing(db, nextVersion('exclusive'));
    expect(await state.excludeOlder(exclusive)).toMatchObject([{ _id: older.id }]);
    expect(await state.minimum()).toBeLessThan(NEXT);
    await older.stop();
    expect(await state.excludeOlder(exclusive)).toEqual([]);
    expect(await state.minimum()).toBe(NEXT);
  });
});

test('a node that was suspended while a newer version migrated the database learns of it', async () => {
  const suspended = olderNode();
  const errors: Error[] = [];
  suspended.onOutdated((error) => errors.push(error));
  await suspended.start();
  await suspended.renew();
  expect(errors).toEqual([]);
  await database.collections.nodes.updateMany({}, { $set: { aliveUntil: new Date(0) } });
  await prepareDatabase(db, silent, { migrations: nextVersion('exclusive') });
  await suspended.renew();
  expect(errors).toEqual([expect.any(DatabaseTooNewError)]);
  await suspended.stop();
});

test('a node whose lock may have expired writes nothing more', async () => {
  const migrations = nextVersion('exclusive');
  const [exclusive] = migrations.slice(-1) as [Migration];
  let resume = () => {};
  const suspended = new Promise<void>((resolve) => (resume = resolve));
  const up: Migration['up'] = async (run) => {
    await suspended;
    return exclusive.up(run);
  };
  const first = prepareDatabase(db, silent, { migrations: [...MIGRATIONS, { ...exclusive, up }] });
  const failed = expect(first).rejects.toThrow(/may have taken over/);
  await until(async () => (await migrationStatus(db)).lock !== null);
  // 30 seconds pass without a renewal, as in a process that is suspended.
  const now = performance.now.bind(performance);
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + 30_001);
  resume();
  await failed;
  clock.mockRestore();
  expect(await notes()).toEqual([{ text: 'first' }]);
});

test('the status tells what was run, what is pending, who holds the lock and which nodes there are', async () => {
  const migrations = nextVersion('expand');
  const older = olderNode();
  await older.start();
  await killedNode(1000);
  await prepareDatabase(db, silent, { migrations });
  const lock: Document = {
    holder: 'x',
    process: 'host (process 7)',
    expiresAt: new Date(Date.now() + 1e6),
    work: { migration: 3, collection: NOTES, changed: 500 },
  };
  await db
    .collection<Document & { _id: string }>('migrations')
    .updateOne({ _id: 'lock' }, { $set: lock }, { upsert: true });
  const later = [
    ...migrations,
    { ...migrations.at(-1)!, number: NEXT + 1, name: 'more', kind: 'contract' as const },
  ];
  const lines = describeStatus(await migrationStatus(db, later), Date.now());
  expect(lines).toEqual([
    'This version knows 4 migrations. The database requires at least 1 of them.',
    expect.stringMatching(/^ {2}1 name-keys: done at the creation of the database, 20\S+Z$/),
    expect.stringMatching(/^ {2}2 first-release: done at the creation of the database, 20\S+Z$/),
    expect.stringMatching(
      /^ {2}3 note-lengths: done by Parley \S+, 20\S+Z \(notes 1\); repeated when the last older node has ended$/,
    ),
    '  4 more: pending (contract)',
    'The lock: host (process 7) holds it: migration 3, notes, 500 changed.',
    expect.stringMatching(`^Node ${older.id}: Parley \\S+, schema version 2, alive\\.$`),
    expect.stringMatching(/^Node \S+: Parley 0\.0\.1, schema version 2, not seen since 20\S+Z\.$/),
  ]);
  expect(describeStatus(await migrationStatus(db), Date.now())[3]).toMatch(/; of a newer version$/);
  await older.stop();
});
