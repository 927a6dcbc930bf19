import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MongoClient, type Db } from 'mongodb';
import { startEmbeddedStore, type EmbeddedStore } from '../src';

/** The commands that mongosh and Compass send when they connect and for `show dbs`, `db.c.stats()` and such. */
const dataDir = mkdtempSync(path.join(tmpdir(), 'parley-shell-'));
let store: EmbeddedStore;
let client: MongoClient;
let db: Db;
let admin: Db;

beforeAll(async () => {
  store = await startEmbeddedStore({ dataDir });
  client = await new MongoClient(store.uri).connect();
  db = client.db('shell');
  admin = client.db('admin');
  await db.collection<{ _id: number }>('c').insertMany(Array.from({ length: 60 }, (_, i) => ({ _id: i })));
});
afterAll(async () => {
  await client?.close();
  await store?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

test('what a shell asks when it connects', async () => {
  const build = await admin.command({ buildInfo: 1 });
  expect(build).toMatchObject({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    versionArray: expect.any(Array),
  });
  expect(await admin.command({ connectionStatus: 1, showPrivileges: true })).toMatchObject({
    authInfo: { authenticatedUsers: [], authenticatedUserRoles: [] },
  });
  expect(await admin.command({ getCmdLineOpts: 1 })).toMatchObject({ argv: expect.any(Array), parsed: {} });
  expect(await admin.command({ getLog: 'startupWarnings' })).toMatchObject({ totalLinesWritten: 0, log: [] });
  expect(await admin.command({ getLog: '*' })).toMatchObject({ names: expect.any(Array) });
  const parameter = await admin.command({ getParameter: 1, featureCompatibilityVersion: 1 });
  expect(build.version).toContain(parameter.featureCompatibilityVersion.version);
  await expect(admin.command({ getParameter: 1, noSuchParameter: 1 })).rejects.toMatchObject({ code: 72 });
  await expect(admin.command({ atlasVersion: 1 })).rejects.toMatchObject({ code: 59 });
  expect(await admin.command({ hostInfo: 1 })).toMatchObject({
    system: expect.any(Object),
    os: expect.any(Object),
  });
  expect(await admin.command({ isMaster: 1 })).toMatchObject({ ismaster: true });
});

test('show dbs, show collections', async () => {
  const { databases } = await admin.command({ listDatabases: 1 });
  expect(databases.find((database: { name: string }) => database.name === 'shell')).toMatchObject({
    empty: false,
  });
  const named = await admin.command({ listDatabases: 1, nameOnly: true, authorizedDatabases: true });
  expect(named.databases).toContainEqual({ name: 'shell' });
  const listed = await db.command({
    listCollections: 1,
    filter: {},
    cursor: {},
    nameOnly: true,
    authorizedCollections: true,
  });
  expect(listed.cursor.firstBatch).toContainEqual({ name: 'c', type: 'collection' });
});

test('db.c.find() in batches of 20', async () => {
  const first = await db.command({ find: 'c', filter: {}, batchSize: 20 }, { promoteLongs: false });
  expect(first.cursor.firstBatch).toHaveLength(20);
  const next = await db.command({ getMore: first.cursor.id, collection: 'c', batchSize: 20 });
  expect(next.cursor.nextBatch).toHaveLength(20);
  const killed = await db.command({ killCursors: 'c', cursors: [first.cursor.id] });
  expect(killed.cursorsKilled).toHaveLength(1);
});

test('db.stats(), db.c.stats(), db.serverStatus()', async () => {
  expect(await db.command({ dbStats: 1 })).toMatchObject({ db: 'shell', collections: 1, objects: 60 });
  expect(await db.command({ collStats: 'c' })).toMatchObject({ ns: 'shell.c', count: 60, nindexes: 1 });
  const [stats] = await db
    .collection('c')
    .aggregate([{ $collStats: { storageStats: { scale: 1 } } }])
    .toArray();
  expect(stats).toMatchObject({ ns: 'shell.c', storageStats: { count: 60, nindexes: 1 } });
  expect(await db.command({ serverStatus: 1 })).toMatchObject({
    mem: expect.any(Object),
    uptime: expect.any(Number),
  });
});

test('db.c.find().explain()', async () => {
  const plan = await db.collection<{ _id: number }>('c').find({ _id: 5 }).explain('executionStats');
  expect(plan).toMatchObject({
    queryPlanner: { winningPlan: expect.any(Object) },
    executionStats: { nReturned: 1 },
  });
});

test('db.currentOp(), rs.status(), show users, show profile', async () => {
  const [operation] = await admin.aggregate([{ $currentOp: { allUsers: true } }]).toArray();
  expect(operation).toMatchObject({ op: 'command', command: { aggregate: 1 } });
  await expect(
    db
      .collection('c')
      .aggregate([{ $currentOp: {} }])
      .toArray(),
  ).rejects.toMatchObject({ code: 73 });
  await expect(db.aggregate([{ $match: {} }]).toArray()).rejects.toMatchObject({ code: 73 });
  expect(await db.aggregate([{ $documents: [{ a: 1 }] }]).toArray()).toEqual([{ a: 1 }]);
  await expect(db.collection('c').watch().next()).rejects.toMatchObject({ code: 40324 });
  expect(await admin.command({ replSetGetStatus: 1 })).toMatchObject({
    myState: 1,
    members: [{ stateStr: 'PRIMARY' }],
  });
  expect(await db.command({ usersInfo: 1 })).toMatchObject({ users: [] });
  expect(await db.command({ profile: -1 })).toMatchObject({ was: 0 });
  await expect(db.command({ profile: 2 })).rejects.toMatchObject({ code: 115 });
});
