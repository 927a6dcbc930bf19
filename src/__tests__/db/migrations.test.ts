import { randomUUID } from 'node:crypto';
import { ObjectId, type Db, type Document } from 'mongodb';
import { pino } from 'pino';
import { nameKeys } from '../../db/migrations/0001-name-keys';
import type { Migration, MigrationRun } from '../../db/migrations/migration';
import { prepareDatabase, rehearseMigrations } from '../../db/migrations/runner';
import { connectDatabase, type Connection } from '../../db/mongodb';
import { PASSWORD } from '../fixtures/people';
import { cleanUp, runScript, temporaryFolder } from '../fixtures/process';
import { startTestServer } from '../fixtures/server';
import { createLogger } from '../../utils/logger';

const silent = createLogger('silent');
const COLLATION = { locale: 'en', strength: 2 };
/** bcrypt of PASSWORD at cost 4. */
let passwordHash: string;
let connection: Connection;
let db: Db;
let name: string;

beforeAll(async () => {
  const server = await startTestServer();
  const body = { username: 'hashed', email: 'hashed@example.org', password: PASSWORD };
  await server.api.post('/api/auth/register', body);
  passwordHash = (await server.context.database.collections.users.findOne({}))?.passwordHash ?? '';
  await server.close();
});

beforeEach(async () => {
  name = `test_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
  connection = await connectDatabase({ uri: process.env['TEST_MONGODB_URI'], name, dataDir: '' });
  db = connection.db;
});
afterAll(cleanUp);
afterEach(async () => {
  await db.dropDatabase();
  await connection.close();
});

const now = new Date();

/** A user as the previous version stored them. */
function user(username: string, more: Document = {}): Document {
  return {
    _id: new ObjectId(),
    username,
    searchName: username.toLowerCase(),
    email: `${username}@Example.org`,
    emailVerifiedAt: now,
    displayName: username,
    bio: '',
    statusText: '',
    timeZone: 'UTC',
    passwordHash,
    role: 'client',
    state: 'active',
    suspension: null,
    totp: null,
    createdAt: now,
    updatedAt: now,
    ...more,
  };
}

function group(groupName: string): Document {
  return { _id: new ObjectId(), name: groupName, visibility: 'private', archivedAt: null, memberCount: 0 };
}

function channel(groupId: ObjectId, channelName: string): Document {
  return { _id: new ObjectId(), kind: 'group', groupId, name: channelName, visibility: 'public', seq: 0 };
}

/** A database of the previous version, with names that look alike, which were not duplicates in it. */
async function fillAsBefore(): Promise<{ groups: Document[] }> {
  const users = db.collection('users');
  await users.createIndexes([
    { name: 'username_unique', key: { username: 1 }, unique: true, collation: COLLATION },
    {
      name: 'email_unique',
      key: { email: 1 },
      unique: true,
      collation: COLLATION,
      partialFilterExpression: { email: { $exists: true } },
    },
    { name: 'search', key: { searchName: 1 } },
    { name: 'display_name', key: { displayName: 1, _id: 1 }, collation: COLLATION },
  ]);
  await db
    .collection('groups')
    .createIndexes([{ name: 'name_unique', key: { name: 1 }, unique: true, collation: COLLATION }]);
  await db.collection('channels').createIndexes([
    {
      name: 'group_name_unique',
      key: { groupId: 1, name: 1 },
      unique: true,
      collation: COLLATION,
      partialFilterExpression: { kind: 'group' },
    },
    { name: 'name_order', key: { name: 1, _id: 1 }, collation: COLLATION },
  ]);
  const people = ['Ada1', 'adal', 'AdaI', 'bob'].map((username) => user(username));
  const deletedUser = user('deleted-1', { state: 'deleted', displayName: 'Deleted user' });
  for (const field of ['email', 'searchName', 'passwordHash']) delete deletedUser[field];
  await users.insertMany([...people, deletedUser]);
  const groups = [group('Café'), group('Cаfé'), group('Other')];
  await db.collection('groups').insertMany(groups);
  const [first, second] = groups as [Document, Document];
  await db.collection('channels').insertMany([
    ...Array.from({ length: 1200 }, (_, index) => channel(first._id, `room${index}`)),
    channel(first._id, 'r00m1'),
    channel(second._id, 'room1'),
    {
      _id: new ObjectId(),
      kind: 'direct',
      groupId: null,
      name: '',
      directKey: 'a b',
      visibility: 'private',
    },
  ]);
  return { groups };
}

/** The content of the whole database. */
async function dump(): Promise<unknown> {
  const names = (await db.listCollections().toArray()).map((each) => each.name).sort();
  return Promise.all(
    names.map(async (each) => [
      each,
      await db.collection(each).find().sort({ _id: 1 }).toArray(),
      await db.collection(each).indexes(),
    ]),
  );
}

const collatedIndexes = async (): Promise<unknown[]> => {
  const names = (await db.listCollections().toArray()).map((each) => each.name);
  const all = await Promise.all(names.map((each) => db.collection(each).indexes()));
  return all.flat().filter((index) => index['collation'] !== undefined);
};

/** The migration, which counts its runs and fails after some batches. */
function watched(failAfter = Infinity): { migrations: Migration[]; runs: () => number } {
  let runs = 0;
  let batches = 0;
  const up: Migration['up'] = (run) => {
    runs++;
    const checkpoint: MigrationRun['checkpoint'] = (progress) => {
      if (++batches > failAfter) throw new Error('The process was killed.');
      run.checkpoint(progress);
    };
    return nameKeys.up({ ...run, checkpoint });
  };
  return { migrations: [{ ...nameKeys, up }], runs: () => runs };
}

test('migrates a database of the previous version, which works afterwards', async () => {
  await fillAsBefore();
  const warnings: any[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => warnings.push(JSON.parse(line)) });
  await prepareDatabase(db, logger);
  expect(await collatedIndexes()).toEqual([]);
  for (const collection of ['users', 'groups', 'channels']) {
    const indexes = (await db.collection(collection).indexes()).map((index) => index.name);
    for (const old of nameKeys.obsoleteIndexes[collection]!) expect(indexes).not.toContain(old);
  }
  const users = await db.collection('users').find().sort({ _id: 1 }).toArray();
  expect(users.map(({ searchName }) => searchName)).toEqual(['ada1', 'adal', 'adai', 'bob', undefined]);
  expect(users[0]).toMatchObject({ emailKey: 'ada1@example.org', displayKey: 'ada1', displaySearch: 'ada1' });
  expect(users.map(({ nameLookalikes }) => nameLookalikes)).toEqual([
    ['adal'],
    [`adal#${users[1]!._id.toHexString()}`],
    ['adai', `adai#${users[2]!._id.toHexString()}`],
    ['bob'],
    undefined,
  ]);
  expect(warnings.map(({ collection, fields }) => [collection, fields])).toEqual([
    ['users', ['nameLookalikes']],
    ['users', ['nameLookalikes']],
    ['groups', ['nameLookalikes']],
    ['channels', ['nameLookalikes']],
  ]);
  expect(await db.collection('channels').countDocuments({ nameKey: { $exists: true } })).toBe(1202);

  const server = await startTestServer({ MONGODB_DATABASE: name });
  try {
    const logIn = (identifier: string) =>
      server.api.post('/api/auth/login', { identifier, password: PASSWORD });
    for (const username of ['Ada1', 'adal', 'AdaI', 'bob']) {
      const { status, body } = await logIn(username.toUpperCase());
      expect([status, body.user.username]).toEqual([200, username]);
      expect((await logIn(`${username}@EXAMPLE.org`)).body.user.username).toBe(username);
    }
    for (const username of ['ADA1', 'adal', 'ada1']) {
      const input = { username, email: 'new@example.org', password: PASSWORD };
      expect((await server.api.post('/api/auth/register', input)).body.error.code).toBe('username_taken');
    }
    // Names that look like the first one may still equal it once the first one is deleted.
    const { accessToken: token } = (await logIn('ada1')).body;
    await server.api.call('delete', '/api/users/me', { token, body: { password: PASSWORD } });
    const input = { username: 'ADAL', email: 'new@example.org', password: PASSWORD };
    expect((await server.api.post('/api/auth/register', input)).body.error.code).toBe('username_taken');
  } finally {
    await server.close();
  }
});

test('a stopped migration is finished by the next start, with the same keys', async () => {
  await fillAsBefore();
  const before = await dump();
  await prepareDatabase(db, silent);
  const whole = await db.collection('channels').find().sort({ _id: 1 }).toArray();
  await db.dropDatabase();
  for (const [collection, documents, indexes] of before as [string, Document[], Document[]][]) {
    const restored = indexes.filter((index) => index['name'] !== '_id_');
    await db.collection(collection).createIndexes(restored.map(({ v: _, ...index }) => index) as never);
    if (documents.length > 0) await db.collection(collection).insertMany(documents);
  }
  // Fails after the users, the groups and a part of the channels.
  const killed = watched(8);
  await expect(prepareDatabase(db, silent, killed)).rejects.toThrow('killed');
  const half = await db.collection('channels').countDocuments({ nameKey: { $exists: true } });
  expect(half).toBeGreaterThan(0);
  expect(half).toBeLessThan(1202);
  await prepareDatabase(db, silent);
  expect(await db.collection('channels').find().sort({ _id: 1 }).toArray()).toEqual(whole);
  expect(await collatedIndexes()).toEqual([]);
});

test('of several nodes that start at once, one migrates and the others wait', async () => {
  await fillAsBefore();
  const { migrations, runs } = watched();
  await Promise.all([1, 2, 3].map(() => prepareDatabase(db, silent, { migrations })));
  expect(runs()).toBe(1);
  expect(await db.collection('groups').countDocuments({ nameKey: { $exists: true } })).toBe(3);
});

test('the lock of a dead node expires', async () => {
  await fillAsBefore();
  const dead = { holder: 'dead', expiresAt: new Date(Date.now() + 1000) };
  await db.collection<Document & { _id: string }>('migrations').insertOne({ _id: 'lock', ...dead });
  await prepareDatabase(db, silent);
  expect(Date.now()).toBeGreaterThanOrEqual(dead.expiresAt.getTime());
  expect(await db.collection('groups').countDocuments({ nameKey: { $exists: true } })).toBe(3);
});

test('gives a distinct key to a name that is taken while the migration runs', async () => {
  const { groups } = await fillAsBefore();
  let raced = false;
  const up: Migration['up'] = (run) =>
    nameKeys.up({
      ...run,
      db: new Proxy(run.db, {
        get: (target, key) => {
          if (key !== 'collection') return Reflect.get(target, key, target) as unknown;
          return (collection: string) =>
            new Proxy(target.collection(collection), {
              get: (each, method) => {
                const value = Reflect.get(each, method, each) as unknown;
                if (method !== 'bulkWrite' || collection !== 'groups' || raced) {
                  return typeof value === 'function' ? (value.bind(each) as unknown) : value;
                }
                return async (writes: never) => {
                  raced = true;
                  const taken = { nameKey: 'other', nameLookalikes: ['other'] };
                  await target.collection('groups').insertOne({ ...group('Unrelated'), ...taken });
                  return each.bulkWrite(writes);
                };
              },
            });
        },
      }),
    });
  await prepareDatabase(db, silent, { migrations: [{ ...nameKeys, up }] });
  expect(raced).toBe(true);
  expect(await db.collection('groups').findOne({ _id: groups[2]!['_id'] })).toMatchObject({
    name: 'Other',
    nameKey: `other#${groups[2]!['_id'].toHexString()}`,
  });
});

test('a dry run reports what would be done and changes nothing', async () => {
  await fillAsBefore();
  const before = await dump();
  expect(await rehearseMigrations(db, silent)).toEqual([
    { number: 1, name: 'name-keys', counts: { users: 5, groups: 3, channels: 1202, alike: 4 } },
    { number: 2, name: 'first-release', counts: { emailChanges: 0, files: 0 } },
  ]);
  expect(await dump()).toEqual(before);

  const environment = { MONGODB_URI: process.env['TEST_MONGODB_URI']!, MONGODB_DATABASE: name };
  const folder = await temporaryFolder();
  const migrate = (parameters: string[]) => runScript('migrate', parameters, folder, environment);
  const dry = await migrate(['--dry-run']);
  expect([dry.code, dry.stdout]).toEqual([0, expect.stringContaining('channels 1202')]);
  expect(await dump()).toEqual(before);
  expect(await migrate([])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Migration 1 (name-keys) is done.'),
  });
  expect(await collatedIndexes()).toEqual([]);
  expect(await rehearseMigrations(db, silent)).toEqual([]);
}, 60_000);

test('does nothing on an empty database', async () => {
  const { migrations, runs } = watched();
  expect(await rehearseMigrations(db, silent)).toEqual([]);
  await prepareDatabase(db, silent, { migrations });
  await prepareDatabase(db, silent, { migrations });
  expect(runs()).toBe(0);
  expect(await db.collection('migrations').find().toArray()).toMatchObject([
    { _id: 1, name: 'name-keys' },
    { _id: 'schema', minimum: 1 },
  ]);
});

test('refuses a database of a newer version', async () => {
  await prepareDatabase(db, silent);
  const migrations = db.collection<Document & { _id: number | string }>('migrations');
  await migrations.insertOne({ _id: 99, name: 'later', kind: 'contract', version: '9.8.7' });
  await migrations.updateOne({ _id: 'schema' }, { $set: { minimum: 99 } });
  await expect(prepareDatabase(db, silent)).rejects.toThrow(/changed by Parley 9\.8\.7 \(migration 99\)/);
});

test('replaces an index whose definition has changed', async () => {
  await db.collection('groups').createIndex({ name: 1 }, { name: 'name_search', collation: COLLATION });
  await db.collection('groups').createIndex({ createdBy: 1 }, { name: 'made_by', sparse: true });
  await prepareDatabase(db, silent);
  const indexes = await db.collection('groups').indexes();
  expect(indexes.find((index) => index.name === 'name_search')?.key).toEqual({ searchName: 1, _id: 1 });
  expect(indexes.some((index) => index.name === 'creator')).toBe(true);
});
