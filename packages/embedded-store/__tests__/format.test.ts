import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { open, type Database } from 'lmdb';
import { MongoClient } from 'mongodb';
import { inspectStore } from '../src/inspect';
import { serve } from '../src/serve';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const FORMAT_KEY = Buffer.from('format');

let dataDir: string;
let file: string;

beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'parley-format-'));
  file = path.join(dataDir, 'store.mdb');
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

/** Opens the data file as another program would, and leaves it closed. */
async function edit(change: (meta: Database<Buffer, Buffer>) => void, tree = 'meta'): Promise<void> {
  const root = open({ path: file, maxDbs: 8, ...BINARY });
  change(root.openDB<Buffer, Buffer>(tree, BINARY));
  await root.close();
}

async function openAndClose(): Promise<void> {
  await (await serve({ dataDir })).close();
}

/** What the store says when it refuses the folder. */
async function refusal(): Promise<string> {
  const opened = await serve({ dataDir }).catch((error: Error) => error);
  if (opened instanceof Error) return opened.message;
  await opened.close();
  return 'it was opened';
}

async function formatOf(): Promise<number | undefined> {
  let found: number | undefined;
  await edit((meta) => (found = meta.get(FORMAT_KEY)?.[0]));
  return found;
}

test('a new data file has the number of its format', async () => {
  await openAndClose();
  expect(await formatOf()).toBe(4);
  await openAndClose();
});

test.each([
  [5, 'has format version 5, and this program reads version 4. It was written by a newer program'],
  [1, 'has format version 1, and this program reads version 4. It was written by an older program'],
])('format %d is refused, and nothing is written', async (version, message) => {
  await openAndClose();
  await edit((meta) => meta.putSync(FORMAT_KEY, Buffer.from([version])));
  const before = readFileSync(file);
  expect(await refusal()).toContain(message);
  expect(readFileSync(file).equals(before)).toBe(true);
  // The refusal leaves neither the folder locked nor the file open.
  await edit((meta) => meta.putSync(FORMAT_KEY, Buffer.from([4])));
  await openAndClose();
});

test.each([
  [
    'without a format version',
    'meta',
    (tree: Database<Buffer, Buffer>) => tree.putSync(Buffer.from('c'), FORMAT_KEY),
  ],
  ['with trees of other names', 'others', () => undefined],
])('an LMDB file %s is refused, and nothing is written', async (_, tree, change) => {
  mkdirSync(dataDir, { recursive: true });
  await edit(change, tree);
  const before = readFileSync(file);
  expect(await refusal()).toContain('was not written by this store');
  expect(readFileSync(file).equals(before)).toBe(true);
});

test('a file whose creation was interrupted is completed', async () => {
  await edit(() => undefined);
  expect(await formatOf()).toBeUndefined();
  await openAndClose();
  expect(await formatOf()).toBe(4);
});

/** The files were written by older versions of the store; see golden/README.md. */
test.each([2, 3])('a data file of format %d opens with all its data and indexes', async (format) => {
  writeFileSync(file, gunzipSync(readFileSync(path.join(__dirname, `golden/format-${format}.mdb.gz`))));
  expect(await formatOf()).toBe(format);
  const store = await serve({ dataDir });
  const client = await new MongoClient(store.uri).connect();
  const db = client.db('chat');
  const messages = db.collection<{ _id: number; seq: number; channel: number }>('messages');
  const ids = async (filter: object, options: object = {}) =>
    (await messages.find(filter, { sort: { _id: 1 }, ...options }).toArray()).map(({ _id }) => _id);

  expect(await ids({})).toEqual(Array.from({ length: 30 }, (_, i) => i).filter((i) => i !== 7));
  expect(await ids({ channel: 1, seq: { $gt: 20 } })).toEqual([22, 25, 28]);
  expect(await ids({ tags: 'n9' })).toEqual([9]);
  expect(await ids({ name: 'Bruno', _id: { $lt: 5 } }, { collation: { locale: 'en', strength: 2 } })).toEqual(
    [0, 2, 4],
  );
  expect(await ids({ $text: { $search: '"number 12"' } })).toEqual([12]);
  expect((await messages.indexes()).map(({ name }) => name)).toEqual([
    '_id_',
    'channel_1_seq_-1',
    'body_text',
    'tags_1',
    'at_1',
    'name_1',
  ]);
  await expect(messages.insertOne({ _id: 99, channel: 2, seq: 8 })).rejects.toMatchObject({ code: 11000 });
  await expect(db.collection('checked').insertOne({ n: 'text' })).rejects.toMatchObject({ code: 121 });
  expect((await db.collection('large').findOne())?.['text']).toHaveLength(20_000);
  for (const name of ['messages', 'checked', 'large']) {
    expect(await db.command({ validate: name })).toMatchObject({ valid: true, errors: [] });
  }
  await client.close();
  await store.close();
  expect(await formatOf()).toBe(4);
});

test('a data folder can be inspected without a change to it', async () => {
  expect(inspectStore(path.join(dataDir, 'missing'))).toEqual({ kind: 'empty' });
  expect(inspectStore(dataDir)).toEqual({ kind: 'empty' });
  const store = await serve({ dataDir });
  expect(inspectStore(dataDir)).toEqual({ kind: 'in_use', pid: process.pid });
  await store.close();
  const kindOf = () => {
    const before = readFileSync(file);
    const state = inspectStore(dataDir);
    expect(readFileSync(file).equals(before)).toBe(true);
    return state;
  };
  expect(kindOf()).toEqual({ kind: 'current' });
  for (const [version, expected] of [
    [3, { kind: 'older' }],
    [5, { kind: 'unusable', reason: expect.stringContaining('It was written by a newer program') }],
  ] as const) {
    await edit((meta) => meta.putSync(FORMAT_KEY, Buffer.from([version])));
    expect(kindOf()).toEqual(expected);
  }
  // A killed process leaves its log.
  writeFileSync(path.join(dataDir, 'store.log'), '');
  expect(kindOf()).toEqual({ kind: 'not_closed' });
  rmSync(path.join(dataDir, 'store.log'));
  writeFileSync(file, 'not a data file');
  expect(kindOf()).toMatchObject({ kind: 'unusable' });
  // A store opens it afterwards: the inspection has left nothing open.
  rmSync(file);
  await openAndClose();
});
