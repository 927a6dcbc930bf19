import { Long, type Document } from 'bson';
import {
  MongoClientBulkWriteError,
  type AnyClientBulkWriteModel,
  type ClientSession,
  type Db,
} from 'mongodb';
import * as driver6 from 'mongodb6';
import { openTestStore, type TestStore } from './support/served-store';

/** The `bulkWrite` command of MongoDB 8.0: writes to several collections. */
const errors: unknown[] = [];
let store: TestStore;
let db: Db;
let databases = 0;

beforeAll(async () => {
  store = await openTestStore(errors);
});
beforeEach(() => {
  db = store.client.db(`bulk_${databases++}`);
});
afterAll(async () => {
  await store?.close();
  expect(errors).toEqual([]);
});

const ns = (name: string) => `${db.databaseName}.${name}`;
const all = (name: string) => db.collection(name).find().sort({ _id: 1 }).toArray();

/** Sends the command itself; the reply without what is the same in each. */
async function run(ops: Document[], more: Document = {}, namespaces = ['a', 'b']): Promise<Document> {
  const nsInfo = namespaces.map((name) => ({ ns: ns(name) }));
  const { session, ...fields } = more;
  return store.client
    .db('admin')
    .command({ bulkWrite: 1, ops, nsInfo, ...fields }, { session: session as ClientSession });
}

const insert = (index: number, document: Document) => ({ insert: index, document });
const update = (index: number, filter: Document, updateMods: unknown, more: Document = {}) => ({
  update: index,
  filter,
  updateMods,
  ...more,
});

describe('the driver', () => {
  const models = (): AnyClientBulkWriteModel<any>[] => [
    { name: 'insertOne', namespace: ns('a'), document: { _id: 1, n: 1 } },
    { name: 'insertOne', namespace: ns('b'), document: { _id: 1, n: 1, list: [1, 5] } },
    { name: 'insertOne', namespace: ns('a'), document: { _id: 2, n: 2 } },
    { name: 'updateOne', namespace: ns('a'), filter: { _id: 1 }, update: { $inc: { n: 10 } } },
    { name: 'updateMany', namespace: ns('a'), filter: {}, update: [{ $set: { m: '$n' } }] },
    {
      name: 'updateOne',
      namespace: ns('b'),
      filter: { _id: 1 },
      update: { $set: { 'list.$[big]': 0 } },
      arrayFilters: [{ big: { $gt: 2 } }],
    },
    { name: 'updateOne', namespace: ns('b'), filter: { _id: 7 }, update: { $set: { k: 1 } }, upsert: true },
    { name: 'replaceOne', namespace: ns('b'), filter: { k: 1 }, replacement: { k: 2 } },
    { name: 'deleteOne', namespace: ns('a'), filter: { n: 2 } },
    { name: 'deleteMany', namespace: ns('c'), filter: {} },
  ];
  const counts = {
    acknowledged: true,
    insertedCount: 3,
    matchedCount: 5,
    modifiedCount: 5,
    upsertedCount: 1,
    deletedCount: 1,
  };

  test('writes to several collections with one command, and returns what each operation did', async () => {
    const result = await store.client.bulkWrite(models(), { verboseResults: true });
    expect(result).toMatchObject(counts);
    expect([...result.insertResults!]).toEqual(
      [0, 1, 2].map((at) => [at, { insertedId: expect.any(Number) }]),
    );
    expect(Object.fromEntries(result.updateResults!)).toEqual({
      3: { matchedCount: 1, modifiedCount: 1, didUpsert: false },
      4: { matchedCount: 2, modifiedCount: 2, didUpsert: false },
      5: { matchedCount: 1, modifiedCount: 1, didUpsert: false },
      6: { matchedCount: 1, modifiedCount: 0, didUpsert: true, upsertedId: 7 },
      7: { matchedCount: 1, modifiedCount: 1, didUpsert: false },
    });
    expect(Object.fromEntries(result.deleteResults!)).toEqual({
      8: { deletedCount: 1 },
      9: { deletedCount: 0 },
    });
    expect(await all('a')).toEqual([{ _id: 1, n: 11, m: 11 }]);
    expect(await all('b')).toEqual([
      { _id: 1, n: 1, list: [1, 0] },
      { _id: 7, k: 2 },
    ]);
    expect(await db.listCollections({}, { nameOnly: true }).toArray()).toHaveLength(2);
  });

  test('returns the counts alone by default, also with driver 6', async () => {
    expect(await store.client.bulkWrite(models())).toEqual({ ...counts });
    await db.dropDatabase();
    const other = await new driver6.MongoClient(store.uri).connect();
    try {
      expect(await other.bulkWrite(models() as never)).toMatchObject(counts);
    } finally {
      await other.close();
    }
  });

  test('splits more operations than a message may have', async () => {
    const body = 'x'.repeat(3_000_000);
    const result = await store.client.bulkWrite(
      Array.from({ length: 20 }, (_, _id) => ({
        name: 'insertOne' as const,
        namespace: ns(_id % 2 ? 'a' : 'b'),
        document: { _id, body } as Document,
      })),
      { verboseResults: true },
    );
    expect([...result.insertResults!.keys()]).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(await db.collection('a').countDocuments()).toBe(10);
  });
});

describe('errors of operations', () => {
  const models = (): AnyClientBulkWriteModel<any>[] =>
    [1, 2, 2, 3].map((_id) => ({ name: 'insertOne', namespace: ns(_id < 3 ? 'a' : 'b'), document: { _id } }));

  test.each([true, false])('end the others if these are ordered: %s', async (ordered) => {
    const failure = await store.client.bulkWrite(models(), { ordered }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MongoClientBulkWriteError);
    const { writeErrors, partialResult } = failure as MongoClientBulkWriteError;
    expect([...writeErrors].map(([index, { code }]) => [index, code])).toEqual([[2, 11000]]);
    expect(partialResult?.insertedCount).toBe(ordered ? 2 : 3);
    expect(await all('b')).toHaveLength(ordered ? 0 : 1);
  });

  test('are items of the reply, in order, with their details', async () => {
    await db.createCollection('b', { validator: { n: { $type: 'int' } } });
    const ops = [
      insert(0, { _id: 1 }),
      insert(0, { _id: 1 }),
      update(0, { _id: 1 }, { $frob: 1 }),
      { delete: 0, filter: { $frob: 1 } },
      insert(1, { _id: 1, n: 'x' }),
      update(0, {}, { $set: { x: 1 } }, { multi: true, sort: { _id: 1 } }),
      { delete: 0, filter: { _id: 1 } },
    ];
    const { cursor, ...reply } = await run(ops, { ordered: false });
    expect(cursor.ns).toBe('admin.$cmd.bulkWrite');
    const shown = (cursor.firstBatch as Document[]).map(({ errmsg, errInfo: _errInfo, ...item }) => {
      expect(typeof errmsg).toBe(item.ok === 1 ? 'undefined' : 'string');
      return item;
    });
    expect(shown).toEqual([
      { ok: 1, idx: 0, n: 1 },
      { ok: 0, idx: 1, code: 11000, keyPattern: { _id: 1 }, keyValue: { _id: 1 }, n: 0 },
      { ok: 0, idx: 2, code: 9, n: 0, nModified: 0 },
      { ok: 0, idx: 3, code: 2, n: 0 },
      { ok: 0, idx: 4, code: 121, n: 0 },
      { ok: 0, idx: 5, code: 9, n: 0, nModified: 0 },
      { ok: 1, idx: 6, n: 1 },
    ]);
    expect(reply).toMatchObject({
      nErrors: 5,
      nInserted: 1,
      nMatched: 0,
      nModified: 0,
      nUpserted: 0,
      nDeleted: 1,
    });
    const bypass = await run([insert(1, { _id: 2 })], { bypassDocumentValidation: true, errorsOnly: true });
    expect(bypass).toMatchObject({ nErrors: 0, nInserted: 1, cursor: { firstBatch: [] } });
  });

  test.each<[number, Document[], Document?]>([
    [16, []],
    [2, [insert(2, {})]],
    [51024, [insert(-1, {})]],
    [14, [{ insert: 'a', document: {} }]],
    [14, [{ insert: 0, document: 1 }]],
    [40414, [{ insert: 0 }]],
    [40415, [{ insert: 0, document: {}, frob: 1 }]],
    [40415, [{ frob: 0 }]],
    [40414, [{ update: 0, updateMods: {} }]],
    [9, [{ update: 0, filter: {} }]],
    [40415, [{ update: 0, filter: {}, updateMods: {}, frob: 1 }]],
    [40415, [{ delete: 0, filter: {}, limit: 1 }]],
    [40415, [insert(0, {})], { frob: 1 }],
    [51024, [insert(0, {})], { cursor: { batchSize: -1 } }],
    [40415, [insert(0, {})], { nsInfo: [{ ns: 'a.b', frob: 1 }] }],
    [73, [insert(0, {})], { nsInfo: [{ ns: 'nodot' }] }],
    [73, [insert(0, {})], { nsInfo: [{ ns: 'a.$b' }] }],
    [40414, [insert(0, {})], { nsInfo: null }],
  ])('that are badly formed refuse the whole command with %i: %j', async (code, ops, more = {}) => {
    await expect(
      run([insert(0, { _id: 1 }), ...ops].slice(ops.length === 0 ? 1 : 0), more),
    ).rejects.toMatchObject({
      code,
    });
    expect(await all('a')).toEqual([]);
  });

  test('is refused on another database, and for more than 100,000 operations', async () => {
    const command = { bulkWrite: 1, ops: [insert(0, {})], nsInfo: [{ ns: ns('a') }] };
    await expect(db.command(command)).rejects.toMatchObject({ code: 13 });
    const many = Array.from({ length: 100_001 }, () => ({ delete: 0, filter: {} }));
    await expect(run(many)).rejects.toMatchObject({ code: 16 });
  });
});

describe('operations', () => {
  test('take variables, constants, collations, hints and sorts', async () => {
    await db.collection('a').createIndex({ s: 1 });
    const collation = { locale: 'en', strength: 2 };
    const equals = (name: string) => ({ $expr: { $eq: ['$_id', name] } });
    const ops = [
      ...[1, 2, 3].map((_id) => insert(0, { _id, s: 'Ann' })),
      update(0, equals('$$two'), [{ $set: { v: '$$own', w: '$$two' } }], { constants: { own: 5 } }),
      update(0, { s: 'ANN' }, { $set: { c: 1 } }, { collation, multi: true, hint: 's_1' }),
      update(0, {}, { $set: { last: true } }, { sort: { _id: -1 } }),
      { delete: 0, filter: { s: 'aNN', _id: 1 }, collation },
      update(0, {}, { $set: { x: 1 } }, { hint: 'none' }),
    ];
    const { nErrors, cursor } = await run(ops, { let: { two: 2 } });
    expect(cursor.firstBatch.at(-1)).toMatchObject({ ok: 0, idx: 7, code: 2 });
    expect(nErrors).toBe(1);
    expect(await all('a')).toEqual([
      { _id: 2, s: 'Ann', v: 5, w: 2, c: 1 },
      { _id: 3, s: 'Ann', c: 1, last: true },
    ]);
    expect(await db.collection('a').updateOne({}, { $set: { y: 1 } }, { sort: { _id: -1 } })).toMatchObject({
      modifiedCount: 1,
    });
    expect((await all('a'))[1]).toMatchObject({ _id: 3, y: 1 });
  });

  test('return their results by a cursor where the client wants it', async () => {
    const ops = Array.from({ length: 10 }, (_, _id) => insert(_id % 2, { _id }));
    const { cursor } = await run(ops, { cursor: { batchSize: 4 } });
    expect(cursor.firstBatch).toHaveLength(4);
    const { cursor: rest } = await store.client
      .db('admin')
      .command({ getMore: Long.fromNumber(cursor.id), collection: '$cmd.bulkWrite' });
    expect(rest.nextBatch.map(({ idx }: Document) => Number(idx))).toEqual([4, 5, 6, 7, 8, 9]);
    expect(Number(rest.id)).toBe(0);
  });
});

describe('retryable', () => {
  test('commands are executed once, and their replies are remembered', async () => {
    const session = store.client.startSession();
    const ops = [insert(0, { _id: 1 }), insert(1, { _id: 1 }), update(1, { _id: 1 }, { $inc: { n: 1 } })];
    const more = { txnNumber: Long.fromNumber(1000), session };
    const first = await run(ops, more);
    expect(await run(ops, more)).toEqual(first);
    expect(await all('b')).toEqual([{ _id: 1, n: 1 }]);
    await session.endSession();
    await store.reopen();
    db = store.client.db(db.databaseName);
  });

  test('operations change one document each', async () => {
    const session = store.client.startSession();
    const ops = [
      insert(0, { _id: 1 }),
      update(0, {}, { $set: { n: 1 } }, { multi: true }),
      { delete: 0, filter: {}, multi: true },
    ];
    const { cursor } = await run(ops, { txnNumber: Long.fromNumber(1000), session, ordered: false });
    expect(cursor.firstBatch.map(({ ok, code }: Document) => [ok, code])).toEqual([
      [1, undefined],
      [0, 72],
      [0, 72],
    ]);
    await session.endSession();
    // The driver knows that, and sends such a command without a number.
    const many = { name: 'deleteMany' as const, namespace: ns('a'), filter: {} };
    expect(await store.client.bulkWrite([many])).toMatchObject({ deletedCount: 1 });
  });
});

describe('in a transaction', () => {
  const models = (_id: number): AnyClientBulkWriteModel<any>[] => [
    { name: 'insertOne', namespace: ns('a'), document: { _id } },
    { name: 'updateOne', namespace: ns('b'), filter: { _id }, update: { $inc: { n: 1 } }, upsert: true },
  ];

  test('it is visible after the commit, to the collections that it creates, too', async () => {
    await store.client.withSession((session) =>
      session.withTransaction(async () => {
        expect(await store.client.bulkWrite(models(1), { session })).toMatchObject({
          insertedCount: 1,
          upsertedCount: 1,
        });
        expect(await all('a')).toEqual([]);
        expect(await db.collection('b').findOne({}, { session })).toEqual({ _id: 1, n: 1 });
      }),
    );
    expect([await all('a'), await all('b')]).toEqual([[{ _id: 1 }], [{ _id: 1, n: 1 }]]);
  });

  test('an error of an operation ends the transaction', async () => {
    await store.client.bulkWrite(models(1));
    const session = store.client.startSession();
    session.startTransaction();
    await db.collection('a').insertOne({ _id: 5 } as Document, { session });
    const failure = await store.client
      .bulkWrite([...models(2).reverse(), ...models(1)], { session, ordered: false })
      .catch((error: unknown) => error);
    expect([...(failure as MongoClientBulkWriteError).writeErrors.keys()]).toEqual([2]);
    await expect(session.commitTransaction()).rejects.toMatchObject({ code: 251 });
    await session.endSession();
    expect([await all('a'), await all('b')]).toEqual([[{ _id: 1 }], [{ _id: 1, n: 1 }]]);
  });

  test('a conflict is an error of the command, which a transaction can try again', async () => {
    await store.client.bulkWrite(models(1));
    const [one, other] = [store.client.startSession(), store.client.startSession()];
    one.startTransaction();
    other.startTransaction();
    await db.collection('b').updateOne({ _id: 1 } as Document, { $inc: { n: 1 } }, { session: one });
    const failure = await store.client
      .bulkWrite(models(1).slice(1), { session: other })
      .catch((error: Error) => error);
    expect((failure as Error).cause).toMatchObject({
      code: 112,
      errorLabels: expect.arrayContaining(['TransientTransactionError']),
    });
    await one.commitTransaction();
    await one.endSession();
    await other.endSession();
    expect(await all('b')).toEqual([{ _id: 1, n: 2 }]);
  });
});
