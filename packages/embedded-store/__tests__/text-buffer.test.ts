import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MongoClient, type Collection, type Document, type FindOptions } from 'mongodb';
import { fromPlain } from '../src/bson/codec';
import type { Document as StoreDocument } from '../src/bson/types';
import { Engine } from '../src/engine';
import { sweepDropped } from '../src/storage/sweeper';
import { startBackground } from '../src/session/background';
import { moveTerms } from '../src/storage/text-merge';
import { textTerms } from '../src/text/entries';
import { matchText } from '../src/text/match';
import { parseTextQuery } from '../src/text/query';
import { compileTextIndex } from '../src/text/text-index';
import { listen } from '../src/wire/listener';
import { createHandler } from '../src/wire/dispatch';
import { Random } from './support/random';

interface Note {
  _id: number;
  ch: number | number[];
  body: string;
  hidden?: boolean;
}

/** The index has a field before the text part, two weighted fields and a partial filter, like that of a chat. */
const KEY = { ch: 1, body: 'text' } as const;
const OPTIONS = {
  name: 'text',
  default_language: 'none',
  partialFilterExpression: { hidden: false },
};
const INDEX = compileTextIndex({
  key: [
    ['ch', 1],
    ['body', 'text'],
  ],
  weights: fromPlain({ body: 1 }) as StoreDocument,
  default_language: 'none',
});
const SCORE = { $meta: 'textScore' } as const;

/** A store whose buffered terms move only when a test says so. */
class ManualStore {
  engine!: Engine;
  client!: MongoClient;
  notes!: Collection<Note>;
  #server!: Awaited<ReturnType<typeof listen>>;
  #after: Buffer | undefined;
  readonly #errors: unknown[] = [];
  readonly #dataDir = mkdtempSync(path.join(tmpdir(), 'parley-buffer-'));

  async open(): Promise<void> {
    this.engine = new Engine(this.#dataDir, 'test', { flush: false });
    const handler = createHandler(this.engine, (error) => this.#errors.push(error));
    this.#server = await listen({ port: 0, host: '127.0.0.1' }, handler);
    const { port } = (this.#server.server as Server).address() as { port: number };
    this.engine.address = `127.0.0.1:${port}`;
    this.client = await new MongoClient(`mongodb://127.0.0.1:${port}/`).connect();
    this.notes = this.client.db('t').collection<Note>('notes');
  }

  /** Moves the terms of up to `documents` documents into their indexes. */
  async move(documents = Infinity): Promise<void> {
    const step = () => {
      this.engine.writer.markChanged();
      return moveTerms(this.engine, { after: this.#after }, documents);
    };
    this.#after = await this.engine.writer.submit(function* () {
      yield* [];
      return step();
    });
  }

  async moveAll(): Promise<void> {
    while (this.engine.textBuffer.size > 0) await this.move();
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.#server.close();
    await this.engine.close();
    expect(this.#errors).toEqual([]);
  }

  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  remove(): void {
    rmSync(this.#dataDir, { recursive: true, force: true });
  }
}

/** What a search has to find: by descending score, then by `_id`. */
function expected(notes: Iterable<Note>, ch: number, search: string): { _id: number; s: number }[] {
  const query = parseTextQuery(new Map([['$search', search]]), INDEX.language);
  const found: { _id: number; s: number }[] = [];
  for (const note of notes) {
    if (note.ch !== ch || note.hidden !== false) continue;
    const document = fromPlain(note as unknown as Document) as StoreDocument;
    const terms = textTerms(INDEX, document);
    let sum: number | undefined;
    for (const term of query.lookupTerms) {
      const score = terms.get(term);
      if (score !== undefined) sum = (sum ?? 0) + score;
    }
    if (sum !== undefined && matchText(query, INDEX, document)) found.push({ _id: note._id, s: sum });
  }
  return found.sort((a, b) => b.s - a.s || a._id - b._id);
}

const WORDS = ['fox', 'dog', 'cat', 'run', 'café', 'a\u0000b', 'x'.repeat(300), `${'y'.repeat(400)}1`];
const QUERIES = ['fox', 'dog cat', '"fox dog"', 'cat -dog', `${'y'.repeat(400)}1`, 'nothing'];

describe('the change buffer of text indexes', () => {
  const store = new ManualStore();
  beforeAll(() => store.open());
  afterAll(async () => {
    await store.close();
    store.remove();
  });
  beforeEach(async () => {
    await store.client.db('t').dropDatabase();
    await store.notes.createIndex(KEY, OPTIONS);
  });

  const search = async (ch: number, words: string, options: FindOptions = {}) =>
    (
      await store.notes
        .find(
          { ch, hidden: false, $text: { $search: words } },
          { projection: { _id: 1, s: SCORE }, sort: { s: SCORE, _id: 1 }, ...options },
        )
        .toArray()
    ).map(({ _id, s }: Document) => ({ _id: _id as number, s: s as number }));
  const validate = async () =>
    expect(await store.client.db('t').command({ validate: 'notes' })).toMatchObject({
      valid: true,
      errors: [],
    });
  const note = (_id: number, body: string, ch = 0): Note => ({ _id, ch, body, hidden: false });

  test.each([1, 2, 3])(
    'gives the same answers as a plain index, whatever is written and moved (seed %d)',
    async (seed) => {
      const random = new Random(seed);
      const model = new Map<number, Note>();
      const body = () => Array.from({ length: random.below(6) }, () => random.pick(WORDS)).join(' ');
      const make = (_id: number): Note => {
        const hidden = random.below(6) === 0;
        return { _id, ch: hidden ? [1, 2] : random.below(3), body: body(), hidden };
      };
      for (let i = 0; i < 150; i++) {
        const _id = random.below(30);
        const old = model.get(_id);
        const kind = random.below(12);
        if (kind < 3) {
          const next = make(_id);
          await store.notes.replaceOne({ _id }, next, { upsert: true });
          model.set(_id, next);
        } else if (kind < 5) {
          const next = body();
          await store.notes.updateOne({ _id }, { $set: { body: next } });
          if (old) model.set(_id, { ...old, body: next });
        } else if (kind === 5) {
          await store.notes.deleteOne({ _id });
          model.delete(_id);
        } else if (kind < 8) {
          await store.client.withSession((session) =>
            session.withTransaction(async () => {
              const next = make(_id);
              await store.notes.deleteMany({ _id: { $in: [_id, _id + 1] } }, { session });
              await store.notes.insertOne(next, { session });
              model.delete(_id + 1);
              model.set(_id, next);
              const query = random.pick(QUERIES);
              expect(await search(0, query, { session })).toEqual(expected(model.values(), 0, query));
            }),
          );
        } else if (kind < 11) await store.move(1 + random.below(5));
        else if (random.below(8) === 0) await store.reopen();
        if (i % 5 > 0) continue;
        for (const query of QUERIES) {
          const ch = random.below(3);
          const all = expected(model.values(), ch, query);
          expect(await search(ch, query)).toEqual(all);
          expect(await search(ch, query, { skip: 1, limit: 3 })).toEqual(all.slice(1, 4));
        }
      }
      await validate();
      const { textBuffer, environment } = store.engine;
      expect(textBuffer.size).toBe(environment.buffer.getKeysCount({ start: Buffer.alloc(4) }));
      const buffered = await Promise.all(QUERIES.map((query) => search(1, query)));
      await store.moveAll();
      await validate();
      expect(await Promise.all(QUERIES.map((query) => search(1, query)))).toEqual(buffered);
    },
  );

  test('an open cursor returns each document once while they move into the index', async () => {
    for (let i = 0; i < 40; i++) {
      await store.notes.insertOne(note(i, `fox ${'dog '.repeat(i % 7)}`));
      if (i % 9 === 8) await store.move(5);
    }
    for (const sort of [undefined, { s: SCORE }]) {
      const options: FindOptions = { batchSize: 3, projection: { s: SCORE }, ...(sort && { sort }) };
      const cursor = store.notes.find({ ch: 0, hidden: false, $text: { $search: 'fox' } }, options);
      const scores: number[] = [];
      const ids = new Set<number>();
      for await (const found of cursor) {
        ids.add(found._id);
        scores.push((found as unknown as { s: number }).s);
        if (scores.length % 3 === 0) await store.move(4);
      }
      expect([ids.size, scores.length]).toEqual([40, 40]);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
      await store.notes.updateMany({}, { $set: { hidden: true } });
      await store.notes.updateMany({}, { $set: { hidden: false } });
    }
    await validate();
  });

  test('an open cursor does not return a document that has lost the term meanwhile', async () => {
    await store.notes.insertMany(Array.from({ length: 6 }, (_, i) => note(i, `fox${' dog'.repeat(i)}`)));
    const cursor = store.notes.find({ ch: 0, hidden: false, $text: { $search: 'fox' } }, { batchSize: 2 });
    const found = [await cursor.next(), await cursor.next()];
    await store.notes.updateOne({ _id: 4 }, { $set: { body: 'cat' } });
    await store.notes.deleteOne({ _id: 3 });
    for await (const item of cursor) found.push(item);
    expect(found.map((item) => item?._id)).toEqual([0, 1, 2, 5]);
  });

  test('a transaction searches its snapshot while terms move and documents change', async () => {
    await store.notes.insertMany([note(1, 'fox'), note(2, 'fox dog'), note(3, 'dog')]);
    await store.client.withSession(async (session) => {
      session.startTransaction();
      const before = await search(0, 'fox dog', { session });
      expect(before.map(({ _id }) => _id)).toEqual([2, 1, 3]);
      await store.move(2);
      await store.notes.updateOne({ _id: 1 }, { $set: { body: 'cat' } });
      await store.notes.updateOne({ _id: 3 }, { $set: { body: 'cat' } });
      await store.notes.deleteOne({ _id: 2 });
      await store.moveAll();
      expect(await search(0, 'fox dog', { session })).toEqual(before);
      await session.commitTransaction();
    });
    expect(await search(0, 'fox dog')).toEqual([]);
    expect((await search(0, 'cat')).map(({ _id }) => _id)).toEqual([1, 3]);
    await validate();
  });

  test('a step that is undone leaves the terms in the buffer', async () => {
    await store.notes.insertMany([note(1, 'fox'), note(2, 'fox')]);
    const { engine } = store;
    const failing = engine.writer.submit(function* () {
      yield* [];
      engine.writer.markChanged();
      moveTerms(engine);
      throw new Error('undone');
    });
    await expect(failing).rejects.toThrow('undone');
    expect(engine.textBuffer.size).toBe(2);
    await store.notes.deleteOne({ _id: 2 });
    await store.notes.insertOne(note(2, 'fox'));
    expect(engine.textBuffer.size).toBe(2);
    await validate();
    expect(await search(0, 'fox')).toHaveLength(2);
  });

  test('is emptied of a dropped index, and validate finds what is wrong in it', async () => {
    const { engine } = store;
    const { buffer } = engine.environment;
    await store.notes.insertMany([note(1, 'fox'), note(2, 'dog')]);
    const last = [...buffer.getRange({ start: Buffer.alloc(4) })].at(-1)!;
    await engine.writer.submit(function* () {
      yield* [];
      engine.writer.markChanged();
      buffer.putSync(last.key, Buffer.concat([last.value, last.value]));
    });
    expect(await store.client.db('t').command({ validate: 'notes' })).toMatchObject({ valid: false });
    await store.notes.dropIndex('text');
    await sweepDropped(engine);
    expect(engine.textBuffer.size).toBe(0);
    await store.notes.createIndex(KEY, OPTIONS);
    await store.notes.insertOne(note(3, 'cat'));
    await store.client.db('t').dropDatabase();
    const entries = () => [...engine.environment.entries.getKeys({ start: Buffer.alloc(4) })];
    const before = entries();
    await store.moveAll();
    expect(entries()).toEqual(before);
  });

  test('moves the documents of a prefix first when it has many of them, and does without the buffer when they are too many', async () => {
    const { engine } = store;
    const many = (from: number, count: number, ch: number) =>
      store.notes.insertMany(Array.from({ length: count }, (_, i) => note(from + i, `fox ${i % 9}`, ch)));
    await many(0, 10, 0);
    await many(10, 2_048, 1);
    expect(engine.textBuffer.pressure).toBe(0);
    await many(3_000, 1, 1);
    expect(engine.textBuffer.pressure).toBe(1);
    await many(4_000, 2_048, 1);
    expect(engine.textBuffer.pressure).toBe(2);
    await many(7_000, 2_500, 1);
    const { size } = engine.textBuffer;
    expect(size).toBe(10 + 3 * 2_048);
    await store.notes.updateMany({ _id: { $gte: 9_490 } }, { $set: { body: 'fox cat' } });
    await store.notes.updateMany({ _id: { $gte: 7_000, $lt: 7_010 } }, { $set: { body: 'fox cat' } });
    await store.notes.deleteOne({ _id: 9_499 });
    expect(await search(1, 'cat')).toHaveLength(19);
    await validate();
    while (engine.textBuffer.largePrefix) {
      await engine.writer.submit(function* () {
        yield* [];
        engine.writer.markChanged();
        moveTerms(engine, { prefix: engine.textBuffer.largePrefix });
      });
    }
    expect(engine.textBuffer.pressure).toBe(0);
    expect(engine.textBuffer.size).toBeLessThan(size - 5_000);
    expect(engine.textBuffer.size).toBeGreaterThan(10);
    expect(await search(0, 'fox', { limit: 20 })).toHaveLength(10);
    expect(await store.notes.countDocuments({ ch: 1, hidden: false, $text: { $search: 'fox' } })).toBe(6_596);
    await validate();
  });

  test('moves its documents when the store is left alone, and continues after a restart', async () => {
    await store.notes.insertMany(Array.from({ length: 20 }, (_, i) => note(i, 'fox dog')));
    const errors: unknown[] = [];
    const background = startBackground(store.engine, (error) => errors.push(error));
    while (store.engine.textBuffer.size > 0) await new Promise((resolve) => setImmediate(resolve));
    await store.notes.insertOne(note(20, 'fox'));
    await background.stop();
    expect(errors).toEqual([]);
    expect(store.engine.textBuffer.size).toBe(1);
    await store.reopen();
    expect(store.engine.textBuffer.size).toBe(1);
    expect(await search(0, 'fox')).toHaveLength(21);
    await validate();
  });
});
