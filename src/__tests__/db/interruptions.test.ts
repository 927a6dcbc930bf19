import { randomUUID } from 'node:crypto';
import { ObjectId, type Db, type Document } from 'mongodb';
import { MIGRATIONS } from '../../db/migrations';
import type { Migration, MigrationRun } from '../../db/migrations/migration';
import { openDatabase, type Database } from '../../db/mongodb';
import { createLogger } from '../../utils/logger';
import { lookalikesOf, nameKeysOf } from '../../utils/name-keys';
import { firstReleaseLines } from '../fixtures/release-010';

const logger = createLogger('silent');
const COLLECTIONS = ['users', 'groups', 'channels', 'uploads', 'messages', 'scheduled_messages'];
const old = new Map<string, Document[]>(
  COLLECTIONS.map((name) => [
    name,
    firstReleaseLines().flatMap(({ collection, document }) =>
      // Of the messages only those with files are of interest.
      collection === name && document && (name !== 'messages' || document['attachments']) ? document : [],
    ),
  ]),
);
let database: Database;
let db: Db;

beforeAll(async () => {
  const name = `test_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
  database = await openDatabase({ uri: process.env['TEST_MONGODB_URI'], name, dataDir: '' });
  db = database.db;
});
afterAll(async () => {
  await db.dropDatabase();
  await database.close();
});

/** Restores the documents of 0.1.0. */
async function reset(): Promise<void> {
  for (const [name, documents] of old) {
    await db.collection(name).deleteMany({});
    await db.collection(name).insertMany(documents.map((document) => ({ ...document })));
  }
}

/** The documents that 0.1.0 had written, as they are now, and the others. */
async function stored(): Promise<{ known: Document[][]; others: Document[] }> {
  const known: Document[][] = [];
  const others: Document[] = [];
  for (const [name, documents] of old) {
    const ids = new Set(documents.map(({ _id }) => String(_id)));
    const all = await db.collection(name).find().sort({ _id: 1 }).toArray();
    known.push(all.filter(({ _id }) => ids.has(String(_id))));
    others.push(...all.filter(({ _id }) => !ids.has(String(_id))));
  }
  return { known, others };
}

/** A database whose writes call `beforeWrite` and `afterWrite`. */
function observed(beforeWrite: () => void, afterWrite: () => void): Db {
  return new Proxy(db, {
    get: (target, key) => {
      if (key !== 'collection') return Reflect.get(target, key, target) as unknown;
      return (name: string) =>
        new Proxy(target.collection(name), {
          get: (collection, method) => {
            const value = Reflect.get(collection, method, collection) as unknown;
            if (typeof value !== 'function') return value;
            if (/^(find|countDocuments)$/.test(String(method))) return value.bind(collection) as unknown;
            return async (...parameters: unknown[]) => {
              beforeWrite();
              const result = (await Reflect.apply(value, collection, parameters)) as unknown;
              afterWrite();
              return result;
            };
          },
        });
    },
  });
}

const run = (migration: Migration, on: Db = db, checkpoint: MigrationRun['checkpoint'] = () => {}) =>
  migration.up({ db: on, logger, dryRun: false, checkpoint });

/** Throws at the nth call. */
function failingAt(n: number): () => void {
  let calls = 0;
  return () => {
    if (++calls === n) throw new Error('The process was killed.');
  };
}

/** What nodes of this version write while the migration is interrupted. */
async function writeNewForms(): Promise<Document[]> {
  const documents: [string, Document][] = [
    [
      'users',
      {
        username: 'zoe',
        searchName: 'zoe',
        nameLookalikes: lookalikesOf('zoe'),
        email: 'zoe@example.org',
        emailKey: 'zoe@example.org',
        emailChange: { email: 'other@example.org', requestedAt: new Date(0) },
        displayName: 'Zoe',
      },
    ],
    [
      'users',
      {
        username: 'yan',
        searchName: 'yan',
        nameLookalikes: lookalikesOf('yan'),
        pendingEmail: 'y@example.org',
      },
    ],
    ['groups', { name: 'Zoo', ...nameKeysOf('Zoo') }],
    ['uploads', { name: 'photo.jpg', userId: new ObjectId(), uses: 0, reservedFor: null }],
  ];
  for (const [name, document] of documents) await db.collection(name).insertOne(document);
  return documents.map(([, document]) => document);
}

for (const migration of MIGRATIONS) {
  test(`migration ${migration.number} gives the same result wherever it is interrupted`, async () => {
    const prepare = async () => {
      await reset();
      for (const earlier of MIGRATIONS) if (earlier.number < migration.number) await run(earlier);
    };
    await prepare();
    const before = await stored();
    let writes = 0;
    let checkpoints = 0;
    const counts = await run(
      migration,
      observed(
        () => writes++,
        () => {},
      ),
      () => checkpoints++,
    );
    const { known: expected } = await stored();
    expect(expected).not.toEqual(before.known);
    expect(writes).toBeGreaterThan(1);

    const interruptions: (() => [Db, () => void])[] = [];
    for (let n = 1; n <= writes; n++) {
      interruptions.push(() => [observed(failingAt(n), () => {}), () => {}]);
      interruptions.push(() => [observed(() => {}, failingAt(n)), () => {}]);
    }
    for (let n = 1; n <= checkpoints; n++) interruptions.push(() => [db, failingAt(n)]);
    for (const interruption of interruptions) {
      await prepare();
      await expect(run(migration, ...interruption())).rejects.toThrow('The process was killed.');
      const written = await writeNewForms();
      await run(migration);
      const { known, others } = await stored();
      expect(known).toEqual(expected);
      expect(others).toEqual(expect.arrayContaining(written));
    }
    // Once more: there is nothing left to do.
    const again = await run(
      migration,
      observed(failingAt(1), () => {}),
    );
    expect(again).toEqual(Object.fromEntries(Object.keys(counts).map((each) => [each, 0])));
  });
}
