import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MongoClient, type Collection, type Document } from 'mongodb';
import { startEmbeddedStore } from '../src';

interface Note {
  _id: number;
  ch: number;
  text: string;
  s?: number;
}

const WORDS = [
  'fox',
  'foxes',
  'dog',
  'run',
  'running',
  'the',
  'quick',
  'brown',
  'café',
  'Cafe',
  "don't",
  'x-ray',
];

/** Numbers that are the same in each run. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return Math.floor((state / 0x8000_0000) * below);
  };
}

describe('text search in the store', () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'parley-text-'));
  let store: Awaited<ReturnType<typeof startEmbeddedStore>>;
  let client: MongoClient;
  let notes: Collection<Note>;

  beforeAll(async () => {
    store = await startEmbeddedStore({ dataDir });
    client = await new MongoClient(store.uri).connect();
  });
  beforeEach(async () => {
    await client.db('t').dropDatabase();
    notes = client.db('t').collection<Note>('notes');
  });
  afterAll(async () => {
    await client.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const found = async (filter: Document): Promise<number[]> =>
    (await notes.find(filter, { projection: { _id: 1 } }).toArray())
      .map(({ _id }) => _id)
      .sort((a, b) => a - b);
  const search = (words: string): Document => ({ $text: { $search: words } });
  const scoreSort = { s: { $meta: 'textScore' } } as const;

  it('finds after inserts, updates and deletes what is there, like an index built at the end', async () => {
    const random = randomFrom(7);
    const words = (): string =>
      Array.from({ length: 1 + random(5) }, () => WORDS[random(WORDS.length)]).join(' ');
    await notes.createIndex({ text: 'text' });
    for (let i = 0; i < 150; i++) {
      const _id = random(40);
      const kind = random(3);
      if (kind === 0) await notes.deleteOne({ _id });
      else if (kind === 1)
        await notes.replaceOne({ _id }, { ch: random(3), text: words() }, { upsert: true });
      else await notes.updateOne({ _id }, { $set: { text: words() } });
    }
    const queries = ['fox', 'running dog', '"brown fox"', 'quick -dog', 'cafe', '"don\'t"', 'ray', 'the'];
    const answers = async (): Promise<unknown[]> => {
      const all: unknown[] = [];
      for (const query of queries) {
        const scored = await notes
          .find(search(query), { projection: { s: scoreSort.s }, sort: { ...scoreSort, _id: 1 } })
          .toArray();
        all.push(scored);
        // A page is found without all of that being read.
        for (const sort of [scoreSort, { ...scoreSort, _id: 1 as const }]) {
          const options = { projection: { s: scoreSort.s }, sort, skip: 2, limit: 5 };
          const page = await notes.find(search(query), options).toArray();
          const part = scored.slice(2, 7);
          if ('_id' in sort) expect(page).toEqual(part);
          else expect(page.map(({ s }) => s)).toEqual(part.map(({ s }) => s));
        }
      }
      return all;
    };
    const before = await answers();
    await notes.dropIndexes();
    await notes.createIndex({ text: 'text' });
    expect(await answers()).toEqual(before);
    expect(before.flat().length).toBeGreaterThan(20);
  });

  it('pages by score without reading more than the page', async () => {
    await notes.createIndex({ text: 'text' });
    await notes.insertMany(
      Array.from({ length: 500 }, (_, i) => ({ _id: i, ch: 0, text: `fox ${'fox '.repeat(i % 3)}${i}` })),
    );
    const all = await notes
      .find(search('fox'), { projection: { s: scoreSort.s }, sort: scoreSort })
      .toArray();
    const page = await notes
      .find(search('fox'), { projection: { s: scoreSort.s }, sort: scoreSort, limit: 50 })
      .toArray();
    const scores = all.map((note) => note.s ?? 0);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(page.map((note) => note.s ?? 0)).toEqual(scores.slice(0, 50));
  });

  it('searches within a compound prefix, for which it requires a value', async () => {
    await notes.createIndex({ ch: 1, text: 'text' });
    await notes.insertMany([
      { _id: 1, ch: 1, text: 'fox' },
      { _id: 2, ch: 2, text: 'fox' },
      { _id: 3, ch: 1, text: 'dog' },
    ]);
    expect(await found({ ch: 1, ...search('fox') })).toEqual([1]);
    expect(await found({ ch: 2, ...search('fox dog') })).toEqual([2]);
    await expect(notes.find(search('fox')).toArray()).rejects.toThrow(/text index/);
    await expect(notes.insertOne({ _id: 4, ch: [1] as unknown as number, text: 'x' })).rejects.toMatchObject({
      code: 16675,
    });
  });

  it('sees the writes of its own transaction, and others when they are committed', async () => {
    await notes.createIndex({ text: 'text' });
    await notes.insertMany([
      { _id: 1, ch: 1, text: 'quick fox' },
      { _id: 2, ch: 1, text: 'dog' },
    ]);
    await client.withSession(async (session) => {
      await session.withTransaction(async () => {
        await notes.insertOne({ _id: 3, ch: 1, text: 'fox fox' }, { session });
        await notes.updateOne({ _id: 1 }, { $set: { text: 'cat' } }, { session });
        const inside = await notes
          .find(search('fox'), { session, projection: { s: scoreSort.s }, sort: scoreSort })
          .toArray();
        expect(inside).toEqual([{ _id: 3, ch: 1, text: 'fox fox', s: 1.5 }]);
        expect(await found(search('fox'))).toEqual([1]);
      });
    });
    expect(await found(search('fox'))).toEqual([3]);
  });

  it('is there for aggregate, with its score', async () => {
    await notes.createIndex({ text: 'text' }, { weights: { text: 2 } });
    await notes.insertMany([
      { _id: 1, ch: 1, text: 'fox' },
      { _id: 2, ch: 1, text: 'fox and dog' },
    ]);
    const stages = [
      { $match: search('fox') },
      { $sort: scoreSort },
      { $project: { _id: 1, s: { $meta: 'textScore' } } },
      { $addFields: { double: { $multiply: ['$s', 2] } } },
    ];
    expect(await notes.aggregate(stages).toArray()).toEqual([
      { _id: 1, s: 2.2, double: 4.4 },
      { _id: 2, s: 1.5, double: 3 },
    ]);
    expect(await notes.countDocuments(search('fox'))).toBe(2);
  });

  it('lists the index in its completed form, and allows one alone', async () => {
    await notes.createIndex({ ch: 1, text: 'text' }, { name: 'search', default_language: 'german' });
    const [, index] = await notes.listIndexes().toArray();
    expect(index).toEqual({
      v: 2,
      key: { ch: 1, _fts: 'text', _ftsx: 1 },
      name: 'search',
      weights: { text: 1 },
      default_language: 'german',
      language_override: 'language',
      textIndexVersion: 3,
    });
    await notes.createIndex({ ch: 1, text: 'text' }, { name: 'search', default_language: 'german' });
    await expect(notes.createIndex({ other: 'text' })).rejects.toMatchObject({ code: 67 });
  });

  it('refuses $text where the index can not answer it', async () => {
    await notes.insertOne({ _id: 1, ch: 1, text: 'fox' });
    await expect(notes.find(search('fox')).toArray()).rejects.toMatchObject({ code: 27 });
    await notes.createIndex({ text: 'text' });
    await expect(notes.find({ $or: [search('fox'), { ch: 1 }] }).toArray()).rejects.toMatchObject({
      code: 2,
    });
    await expect(notes.find({ $nor: [search('fox')] }).toArray()).rejects.toMatchObject({ code: 2 });
    await expect(notes.find(search('fox'), { hint: { _id: 1 } }).toArray()).rejects.toMatchObject({
      code: 2,
    });
    await expect(notes.aggregate([{ $limit: 1 }, { $match: search('fox') }]).toArray()).rejects.toMatchObject(
      {
        code: 17313,
      },
    );
  });
});
