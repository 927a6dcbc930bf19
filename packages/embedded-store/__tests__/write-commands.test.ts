import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Long, type Document } from 'bson';
import { MongoClient, MongoServerError, type Db } from 'mongodb';
import { startEmbeddedStore, type EmbeddedStore } from '../src';

/** The write commands beyond the recorded cases: validators, upserts, positions, errors, concerns. */
const dataDir = mkdtempSync(path.join(tmpdir(), 'parley-writes-'));
let store: EmbeddedStore;
let client: MongoClient;
let db: Db;
let databases = 0;

beforeAll(async () => {
  store = await startEmbeddedStore({ dataDir });
  client = await new MongoClient(store.uri, { retryWrites: false }).connect();
});
beforeEach(() => {
  db = client.db(`writes_${databases++}`);
});
afterAll(async () => {
  await client?.close();
  await store?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** The reply without `ok`; the code of an error, or of the first write error. */
async function run(command: Document): Promise<unknown> {
  try {
    const { ok: _ok, ...reply } = await db.command(command);
    return reply.writeErrors?.[0] ? { n: reply.n, code: reply.writeErrors[0].code } : reply;
  } catch (error) {
    if (error instanceof MongoServerError) return error.code;
    throw error;
  }
}

const insert = (...documents: Document[]) => run({ insert: 'c', documents });
const update = (q: Document, u: unknown, more: Document = {}) =>
  run({ update: 'c', updates: [{ q, u, ...more }] });
const modify = (query: Document, more: Document) => run({ findAndModify: 'c', query, ...more });
const documents = () => db.collection('c').find().sort({ _id: 1 }).toArray();

describe('validators', () => {
  const validator = { $jsonSchema: { required: ['n'], properties: { n: { bsonType: 'int' } } } };

  test('judge inserts, updates and upserts', async () => {
    await run({ create: 'c', validator });
    expect(await insert({ _id: 1, n: 1 })).toEqual({ n: 1 });
    expect(await insert({ _id: 2, n: 'x' })).toEqual({ n: 0, code: 121 });
    expect(await update({ _id: 1 }, { $set: { n: 'x' } })).toEqual({ n: 0, code: 121 });
    expect(await update({ _id: 9 }, { $set: { a: 1 } }, { upsert: true })).toEqual({ n: 0, code: 121 });
    expect(await modify({ _id: 1 }, { update: { $unset: { n: 1 } } })).toBe(121);
    expect(await documents()).toEqual([{ _id: 1, n: 1 }]);
  });

  test('can be passed by, and at level moderate leave what was not valid', async () => {
    await run({ create: 'c', validator });
    expect(await run({ insert: 'c', documents: [{ _id: 1 }], bypassDocumentValidation: true })).toEqual({
      n: 1,
    });
    expect(await update({ _id: 1 }, { $set: { a: 1 } })).toEqual({ n: 0, code: 121 });
    await run({ collMod: 'c', validationLevel: 'moderate' });
    expect(await update({ _id: 1 }, { $set: { a: 1 } })).toEqual({ n: 1, nModified: 1 });
    expect(await insert({ _id: 2 })).toEqual({ n: 0, code: 121 });
    await run({ collMod: 'c', validationLevel: 'off' });
    expect(await insert({ _id: 2 })).toEqual({ n: 1 });
  });

  test.each([
    [2, { $frob: 1 }],
    [2, { $text: { $search: 'x' } }],
    [9, { $jsonSchema: { frob: 1 } }],
  ])('refuses with %i the validator %j', async (code, bad) => {
    expect(await run({ create: 'c', validator: bad })).toBe(code);
  });
});

describe('upserts', () => {
  test('say what they inserted, and update it the next time', async () => {
    expect(await update({ _id: 1, k: 'x' }, { $inc: { n: 1 } }, { upsert: true })).toEqual({
      n: 1,
      nModified: 0,
      upserted: [{ index: 0, _id: 1 }],
    });
    expect(await update({ _id: 1, k: 'x' }, { $inc: { n: 1 } }, { upsert: true })).toEqual({
      n: 1,
      nModified: 1,
    });
    expect(await update({ _id: 1, k: 'y' }, { $inc: { n: 1 } }, { upsert: true })).toEqual({
      n: 0,
      code: 11000,
    });
    expect(await update({ $expr: { $eq: ['$k', 'x'] } }, { $set: { n: 1 } }, { upsert: true })).toEqual({
      n: 0,
      code: 224,
    });
    expect(await documents()).toEqual([{ _id: 1, k: 'x', n: 2 }]);
  });

  test('add an _id to a document without one', async () => {
    const reply = (await update({ k: 1 }, [{ $set: { n: { $add: ['$k', 1] } } }], {
      upsert: true,
    })) as Document;
    expect(await documents()).toEqual([{ _id: reply.upserted[0]._id, k: 1, n: 2 }]);
  });
});

describe('findAndModify', () => {
  test.each<[number, Document]>([
    [9, {}],
    [9, { remove: true, update: { $set: { a: 1 } } }],
    [9, { remove: true, upsert: true }],
    [9, { remove: true, new: true }],
    [9, { update: { $frob: { a: 1 } } }],
    [2, { update: { $set: { a: 1 } }, sort: { a: 2 } }],
    [2, { update: { $set: { a: 1 } }, fields: { a: 1, b: 0 } }],
  ])('refuses with %i: %j', async (code, command) => expect(await modify({}, command)).toBe(code));

  test('projects the element that the query matched, as it is afterwards', async () => {
    await insert({ _id: 1, d: [{ k: 1 }, { k: 2 }] });
    const command = { update: { $set: { 'd.$.v': 1 } }, new: true, fields: { 'd.$': 1 } };
    expect(await modify({ 'd.k': 2 }, command)).toMatchObject({ value: { _id: 1, d: [{ k: 2, v: 1 }] } });
  });
});

describe('statements', () => {
  test('that fail do not keep the others of an unordered command', async () => {
    await insert({ _id: 1, n: 'x' }, { _id: 2, n: 1 });
    const updates = [1, 2].map((_id) => ({ q: { _id }, u: { $inc: { n: 1 } } }));
    expect(await run({ update: 'c', updates })).toEqual({ n: 0, code: 14 });
    expect(await run({ update: 'c', updates, ordered: false })).toEqual({ n: 1, code: 14 });
    expect(await documents()).toEqual([
      { _id: 1, n: 'x' },
      { _id: 2, n: 2 },
    ]);
  });

  test('take the collation for the filter and for the values', async () => {
    const collation = { locale: 'en', strength: 2 };
    await insert({ _id: 1, s: 'Ann', t: ['a', 'b'] });
    expect(await update({ s: 'ANN' }, { $addToSet: { t: 'A' } }, { collation })).toEqual({
      n: 1,
      nModified: 0,
    });
    expect(await update({ s: 'ANN' }, { $pull: { t: 'A' } }, { collation })).toEqual({ n: 1, nModified: 1 });
    expect(await documents()).toEqual([{ _id: 1, s: 'Ann', t: ['b'] }]);
  });

  test('refuse documents that may not be stored', async () => {
    const deep = (levels: number) =>
      Array.from({ length: levels }).reduce<Document>((inner) => ({ a: inner }), {});
    expect(await insert({ _id: 1, a: deep(178) })).toEqual({ n: 1 });
    expect(await insert({ _id: 2, a: deep(190) })).toEqual({ n: 0, code: 15 });
    expect(await insert({ _id: 3, b: 'x'.repeat(16 * 1024 * 1024) })).toEqual({ n: 0, code: 2 });
    expect(await update({ _id: 1 }, { $set: { b: 'x'.repeat(16 * 1024 * 1024) } })).toEqual({
      n: 0,
      code: 10334,
    });
    expect(await insert({ _id: { $x: 1 } })).toEqual({ n: 0, code: 52 });
    expect(await insert({ _id: Long.fromNumber(1) })).toEqual({ n: 0, code: 11000 });
  });
});

test.each<[unknown, Document]>([
  [100, { writeConcern: { w: 3 } }],
  [79, { writeConcern: { w: 'nearby' } }],
  [9, { writeConcern: { frob: 1 } }],
  [9, { writeConcern: { w: 51 } }],
  [9, { readConcern: { level: 'frob' } }],
  [{ n: 1 }, { writeConcern: { w: 'majority', j: true, wtimeout: 5 } }],
  [{ n: 1 }, { writeConcern: { w: 1 } }],
])('answers %j to the concern %j', async (answer, concern) => {
  expect(await run({ insert: 'c', documents: [{}], ...concern })).toEqual(answer);
});
