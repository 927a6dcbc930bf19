import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as driver7 from 'mongodb';
import * as driver6 from 'mongodb6';
import { startEmbeddedStore, type EmbeddedStore } from '../src';
import { fromPlain } from '../src/bson/codec';
import { checkClientMetadata } from '../src/commands/client-metadata';
import { openTestStore } from './support/served-store';

/**
 * The same smoke test through both majors of the driver in use, over the Unix socket and over TCP. The
 * types of driver 6 are close enough to pass for those of driver 7 here.
 */
const drivers = [
  ['driver 6', driver6 as unknown as typeof driver7, {}],

  ['driver 7', driver7, {}],
] as const;

describe.each([
  ['a Unix socket', undefined],
  ['TCP', 0],
])('over %s', (_transport, port) => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'parley-drivers-'));
  let store: EmbeddedStore;

  beforeAll(async () => {
    store = await startEmbeddedStore({ dataDir, ...(port === undefined ? {} : { port }) });
  });
  afterAll(async () => {
    await store?.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  describe.each(drivers)('%s', (name, { MongoClient, ObjectId, Long }, options) => {
    let client: driver7.MongoClient;
    let db: driver7.Db;

    beforeAll(async () => {
      client = await new MongoClient(store.uri, options).connect();
      db = client.db(name.replace(' ', '_'));
    });
    afterAll(() => client?.close());

    test('sees a primary of a replica set', async () => {
      const hello = await db.command({ hello: 1 });
      expect(hello).toMatchObject({ isWritablePrimary: true, ok: 1, setName: expect.any(String) });
      expect(hello.hosts).toContain(hello.me);
      expect(await db.command({ ping: 1 })).toMatchObject({ ok: 1 });
    });

    test('writes and reads', async () => {
      const people = db.collection<{ _id: number; n: number; tags?: string[] }>('people');
      const docs = Array.from({ length: 250 }, (_, i) => ({ _id: i, n: i % 7 }));
      expect((await people.insertMany(docs)).insertedCount).toBe(250);
      const found = await people
        .find({ n: { $lt: 3 } }, { batchSize: 20 })
        .sort({ _id: -1 })
        .toArray();
      expect(found).toHaveLength(108);
      expect(found[0]).toEqual({ _id: 247, n: 2 });
      expect(await people.updateOne({ _id: 1 }, { $push: { tags: 'x' } })).toMatchObject({
        matchedCount: 1,
        modifiedCount: 1,
      });
      expect(await people.updateMany({ n: 6 }, { $inc: { n: 1 } })).toMatchObject({ modifiedCount: 35 });
      expect(await people.replaceOne({ _id: 2 }, { n: 99 })).toMatchObject({ modifiedCount: 1 });
      expect(await people.updateOne({ _id: 999 }, { $set: { n: 1 } }, { upsert: true })).toMatchObject({
        upsertedId: 999,
        matchedCount: 0,
      });
      const changed = await people.findOneAndUpdate(
        { _id: 2 },
        { $inc: { n: 1 } },
        { returnDocument: 'after' },
      );
      expect(changed).toEqual({ _id: 2, n: 100 });
      expect(await people.findOneAndDelete({ _id: 3 })).toEqual({ _id: 3, n: 3 });
      expect((await people.deleteMany({ n: 0 })).deletedCount).toBe(36);
      expect(await people.countDocuments()).toBe(214);
      expect(await people.estimatedDocumentCount()).toBe(214);
      const distinct = await people.distinct('n', { _id: { $lt: 20 } });
      expect(distinct.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 7, 100]);
      const [group] = await people.aggregate([{ $group: { _id: null, sum: { $sum: '$n' } } }]).toArray();
      expect(group?.sum).toEqual(expect.any(Number));
    });

    test('keeps the types of values', async () => {
      const values = db.collection('values');
      const value = {
        _id: new ObjectId(),
        long: Long.fromString('9007199254740993'),
        when: new Date(0),
        bytes: Buffer.from('hi'),
        pattern: /a.b/i,
        nothing: null,
        nested: { a: [1, 2.5, 'x', { b: true }] },
      };
      await values.insertOne(value);
      const read = await values.findOne({ _id: value._id }, { promoteLongs: false, promoteBuffers: true });
      expect(String(read?.long)).toBe('9007199254740993');
      expect(read).toMatchObject({
        when: value.when,
        pattern: value.pattern,
        nothing: null,
        nested: value.nested,
      });
      expect(Buffer.from(read?.bytes).toString()).toBe('hi');
    });

    test('bulk writes, and reports which of them failed', async () => {
      const bulk = db.collection<{ _id: number; n?: number }>('bulk');
      await bulk.insertOne({ _id: 1 });
      const run = bulk.bulkWrite(
        [
          { insertOne: { document: { _id: 2 } } },
          { insertOne: { document: { _id: 1 } } },
          { updateOne: { filter: { _id: 2 }, update: { $set: { n: 1 } } } },
          { deleteOne: { filter: { _id: 1 } } },
        ],
        { ordered: false },
      );
      await expect(run).rejects.toMatchObject({ code: 11000 });
      expect(await bulk.find().toArray()).toEqual([{ _id: 2, n: 1 }]);
    });

    test('indexes', async () => {
      const indexed = db.collection('indexed');
      await indexed.createIndex({ email: 1 }, { unique: true, collation: { locale: 'en', strength: 2 } });
      await indexed.insertOne({ email: 'Ann' });
      await expect(indexed.insertOne({ email: 'ann' })).rejects.toMatchObject({ code: 11000 });
      expect((await indexed.indexes()).map((index) => index.name)).toEqual(['_id_', 'email_1']);
      await indexed.dropIndex('email_1');
      await indexed.insertOne({ email: 'ann' });
    });

    test('runs transactions', async () => {
      const accounts = db.collection<{ _id: string; n: number }>('accounts');
      await accounts.insertMany([
        { _id: 'a', n: 10 },
        { _id: 'b', n: 0 },
      ]);
      await client.withSession((session) =>
        session.withTransaction(async () => {
          await accounts.updateOne({ _id: 'a' }, { $inc: { n: -5 } }, { session });
          await accounts.updateOne({ _id: 'b' }, { $inc: { n: 5 } }, { session });
          expect(await accounts.findOne({ _id: 'b' })).toEqual({ _id: 'b', n: 0 });
        }),
      );
      await client.withSession(async (session) => {
        session.startTransaction();
        await accounts.deleteMany({}, { session });
        await session.abortTransaction();
      });
      expect(await accounts.find().toArray()).toEqual([
        { _id: 'a', n: 5 },
        { _id: 'b', n: 5 },
      ]);
    });

    test('counts exactly under concurrent updates', async () => {
      const counters = db.collection<{ _id: string; n: number }>('counters');
      const next = () =>
        counters.findOneAndUpdate(
          { _id: 'seq' },
          { $inc: { n: 1 } },
          { upsert: true, returnDocument: 'after' },
        );
      await next();
      const seen = await Promise.all(Array.from({ length: 40 }, next));
      expect(seen.map((counter) => counter?.n).sort((a, b) => Number(a) - Number(b))).toEqual(
        Array.from({ length: 40 }, (_, i) => i + 2),
      );
    });

    test('lists and drops', async () => {
      const { databases } = await db.admin().listDatabases({ nameOnly: true });
      expect(databases.map((database) => database.name)).toContain(db.databaseName);
      const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map((c) => c.name);
      expect(names).toEqual(expect.arrayContaining(['people', 'bulk', 'accounts']));
      expect(await db.collection('bulk').drop()).toBe(true);
      expect(await db.dropDatabase()).toBe(true);
      expect(await db.listCollections().toArray()).toEqual([]);
    });
  });
});

describe('how a client describes itself', () => {
  const driver = { name: 'nodejs', version: '7' };
  const described = { driver, os: { type: 'Linux' } };
  const connection = () => ({
    id: 1,
    remote: 'local',
    isClosed: false,
    saidHello: false,
    whenClosed: new Set<() => void>(),
  });

  test('is refused when it is empty, and when it comes a second time', async () => {
    const store = await openTestStore();
    // A driver that cannot find out about its machine sends an empty document.
    const unloadable = new Proxy({} as driver7.OsAdapter, {
      get: () => {
        throw new Error('This module cannot be loaded.');
      },
    });
    const options = { serverSelectionTimeoutMS: 500, runtimeAdapters: { os: unloadable } };
    const client = new driver7.MongoClient(store.uri, options);
    try {
      await expect(client.connect()).rejects.toThrow(
        "Missing required sub-document 'driver' in the client metadata document",
      );
      // Parley's own client has sent one, with its first hello.
      const admin = store.client.db('admin');
      await expect(admin.command({ hello: 1, client: described })).rejects.toMatchObject({ code: 186 });
      expect(await admin.command({ hello: 1 })).toMatchObject({ ok: 1 });
    } finally {
      await client.close();
      await store.close();
    }
  });

  test.each<[string, unknown, string]>([
    ['no document', 'x', 'TypeMismatch'],
    ['null', null, 'TypeMismatch'],
    ['without os', { driver }, 'ClientMetadataMissingField'],
    ['with no name of the driver', { ...described, driver: { version: '7' } }, 'ClientMetadataMissingField'],
    ['with no version of the driver', { ...described, driver: { name: 'n' } }, 'ClientMetadataMissingField'],
    ['with no type of os', { driver, os: { name: 'linux' } }, 'ClientMetadataMissingField'],
    ['with a driver that is no document', { ...described, driver: 'nodejs' }, 'TypeMismatch'],
    ['with a type that is no text', { driver, os: { type: 1 } }, 'TypeMismatch'],
    ['with an application name that is no text', { ...described, application: { name: 1 } }, 'TypeMismatch'],
    [
      'with a long application name',
      { ...described, application: { name: 'é'.repeat(65) } },
      'ClientMetadataAppNameTooLarge',
    ],
    ['that is long', { ...described, platform: 'x'.repeat(500) }, 'ClientMetadataDocumentTooLarge'],
  ])('is refused as MongoDB refuses one %s', (_, metadata, codeName) => {
    expect(() => checkClientMetadata(fromPlain(metadata), connection())).toThrow(
      expect.objectContaining({ codeName }),
    );
  });

  test.each<[string, unknown]>([
    ['left out', undefined],
    ['with more than is asked for', { ...described, platform: 'x', application: { name: 'é'.repeat(64) } }],
  ])('is taken when it is %s', (_, metadata) => {
    const first = connection();
    checkClientMetadata(metadata === undefined ? undefined : fromPlain(metadata), first);
    expect(first.saidHello).toBe(true);
  });
});
