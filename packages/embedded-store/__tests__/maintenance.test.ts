import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Int32 } from 'bson';
import { encode, fromPlain } from '../src/bson/codec';
import type { Document } from '../src/bson/types';
import { plainScope } from '../src/commands/run-write';
import { insertOne } from '../src/commands/writing';
import { Engine } from '../src/engine';
import { startBackground } from '../src/session/background';
import { validateCollection } from '../src/storage/validation';
import type { Collection } from '../src/storage/catalog';

const HOUR = 3_600_000;

describe('background work', () => {
  let dataDir: string;
  let engine: Engine;
  const errors: unknown[] = [];

  beforeEach(() => {
    dataDir = mkdtempSync(path.join(tmpdir(), 'parley-maintenance-'));
    engine = new Engine(dataDir, 'test');
  });
  afterEach(async () => {
    await engine.close();
    rmSync(dataDir, { recursive: true });
    expect(errors).toEqual([]);
  });

  function fill(documents: object[], index?: object): Promise<Collection> {
    return engine.writer.submit(function* () {
      const collection = engine.catalog.create('t', 'items', new Map());
      if (index) engine.catalog.addIndex(collection, fromPlain(index) as Document);
      for (const document of documents) {
        yield* insertOne(plainScope(engine), collection, encode(fromPlain(document) as Document));
      }
      return collection;
    });
  }

  function check(collection: Collection) {
    const snapshot = engine.environment.latest();
    const steps = validateCollection(engine.environment, collection, snapshot);
    let step = steps.next();
    while (!step.done) step = steps.next();
    snapshot.release();
    return step.value;
  }

  async function round(): Promise<void> {
    const background = startBackground(engine, (error) => errors.push(error));
    await background.round();
    await background.stop();
  }

  test('removes documents that have expired by a TTL index, and no others', async () => {
    const ago = (hours: number) => new Date(Date.now() - hours * HOUR);
    const collection = await fill(
      [
        { _id: 1, at: ago(2), kind: 'temporary' },
        { _id: 2, at: ago(0.5), kind: 'temporary' },
        { _id: 3, at: ago(2), kind: 'kept' },
        { _id: 4, at: [ago(0.1), ago(3)], kind: 'temporary' },
        { _id: 5, at: 'no date', kind: 'temporary' },
        { _id: 6, kind: 'temporary' },
      ],
      {
        v: new Int32(2),
        key: { at: new Int32(1) },
        name: 'at_1',
        expireAfterSeconds: new Int32(3600),
        partialFilterExpression: { kind: 'temporary' },
      },
    );
    await round();
    expect(collection.count).toBe(4);
    expect(check(collection)).toMatchObject({ records: 4, errors: [] });
  });

  test('removes the records of a dropped collection, whose number is not used again', async () => {
    const collection = await fill(Array.from({ length: 50 }, (_, i) => ({ _id: i })));
    const { number } = collection;
    await engine.writer.submit(function* () {
      engine.catalog.drop(collection);
      yield* [];
    });
    expect(engine.environment.documents.getCount({})).toBe(50);
    await round();
    expect(engine.environment.documents.getCount({})).toBe(0);
    expect(engine.environment.entries.getCount({})).toBe(0);
    expect(engine.catalog.dropped()).toEqual([]);
    expect((await fill([])).number).toBeGreaterThan(number);
  });

  test('a job that fails half-way changes nothing, and the others of its batch are executed', async () => {
    const collection = await fill([{ _id: 1 }]);
    const insert = (id: number) =>
      engine.writer.submit(function* () {
        const current = engine.catalog.find('t', 'items') ?? collection;
        yield* insertOne(plainScope(engine), current, encode(new Map([['_id', new Int32(id)]])));
        if (id === 3) throw new Error('on purpose');
      });
    const results = await Promise.allSettled([2, 3, 4].map(insert));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const current = engine.catalog.find('t', 'items') ?? collection;
    expect(check(current)).toMatchObject({ records: 3, errors: [] });
    expect(current.count).toBe(3);
  });
});
