import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Long, MongoClient, type Db } from 'mongodb';
import { findRunningStore } from '../src';
import { serve } from '../src/serve';
import { openTestStore } from './support/served-store';

const COMMAND = path.join(__dirname, '../dist/command-line.js');
const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 2);

function temporaryFolder(): string {
  return mkdtempSync(path.join(tmpdir(), 'parley-durable-'));
}

describe('what was acknowledged', () => {
  test('is still there after the store was closed and opened', async () => {
    const store = await openTestStore();
    const things = store.client.db('d').collection<{ _id: number; tags?: string[] }>('things');
    await things.createIndex({ tags: 1 });
    await things.insertMany([{ _id: 1, tags: ['a', 'b'] }, { _id: 2 }]);
    await store.client.db('d').createCollection('checked', { validator: { n: { $type: 'number' } } });
    await store.reopen();
    const again = store.client.db('d').collection<{ _id: number }>('things');
    expect(await again.find({ tags: { $all: ['a', 'b'] } }).toArray()).toEqual([
      { _id: 1, tags: ['a', 'b'] },
    ]);
    expect((await again.indexes()).map(({ name }) => name)).toEqual(['_id_', 'tags_1']);
    const invalid = store.client.db('d').collection('checked').insertOne({ n: 'text' });
    await expect(invalid).rejects.toMatchObject({ code: 121 });
    await store.close();
  });

  test('is still there without flushes, and with flushes from then on', async () => {
    const dataDir = temporaryFolder();
    for (const flush of [false, true]) {
      const store = await serve({ dataDir, flush });
      const client = await new MongoClient(store.uri).connect();
      const things = client.db('d').collection<{ _id: boolean }>('things');
      await things.insertOne({ _id: flush });
      expect(await things.countDocuments()).toBe(flush ? 2 : 1);
      await client.close();
      await store.close();
    }
    rmSync(dataDir, { recursive: true });
  });

  test('is not executed again when a write is retried, even after a restart', async () => {
    const store = await openTestStore();
    const session = store.client.startSession();
    const { id } = session.serverSession;
    const write = { update: 'c', updates: [{ q: { _id: 1 }, u: { $inc: { n: 1 } }, upsert: true }] };
    const retryable = { ...write, txnNumber: Long.fromNumber(7) };
    const first = await store.client.db('d').command(retryable, { session });
    expect(await store.client.db('d').command(retryable, { session })).toEqual(first);
    await store.reopen();
    const again = store.client.startSession();
    again.serverSession.id = id;
    expect(await store.client.db('d').command(retryable, { session: again })).toEqual(first);
    expect(await store.client.db('d').collection('c').findOne()).toMatchObject({ n: 1 });
    const older = store.client
      .db('d')
      .command({ ...retryable, txnNumber: Long.fromNumber(6) }, { session: again });
    await expect(older).rejects.toMatchObject({ code: 225 });
    await again.endSession();
    await store.close();
  });
});

describe('the data folder', () => {
  test('can be opened by one store at a time, and the error names its process', async () => {
    const dataDir = temporaryFolder();
    const first = await serve({ dataDir });
    await expect(serve({ dataDir })).rejects.toThrow(`${dataDir} is in use by process ${process.pid}`);
    await first.close();
    const second = await serve({ dataDir });
    await second.close();
    rmSync(dataDir, { recursive: true });
  });

  test('says how to connect to the store that serves it now, and to no other', async () => {
    const dataDir = temporaryFolder();
    expect(findRunningStore(dataDir)).toBeUndefined();
    const store = await serve({ dataDir });
    expect(findRunningStore(dataDir)).toBe(store.uri);
    const other = await new MongoClient(findRunningStore(dataDir) ?? '').connect();
    expect(await other.db('admin').command({ ping: 1 })).toMatchObject({ ok: 1 });
    await other.close();
    const lock = readFileSync(path.join(dataDir, 'store.lock'), 'utf8');
    const address = readFileSync(path.join(dataDir, 'store.address'), 'utf8');
    await store.close();
    expect(readdirSync(dataDir)).not.toContain('store.address');
    // After the death of a process, both files are left; and another store may have just locked the folder.
    writeFileSync(path.join(dataDir, 'store.address'), address);
    writeFileSync(path.join(dataDir, 'store.lock'), JSON.stringify({ ...JSON.parse(lock), token: 'y' }));
    expect(findRunningStore(dataDir)).toBeUndefined();
    writeFileSync(path.join(dataDir, 'store.lock'), JSON.stringify({ ...JSON.parse(lock), startedAt: '1' }));
    expect(findRunningStore(dataDir)).toBeUndefined();
    rmSync(dataDir, { recursive: true });
  });

  test('is taken over from a process that has ended', async () => {
    const dataDir = temporaryFolder();
    writeFileSync(
      path.join(dataDir, 'store.lock'),
      JSON.stringify({ pid: 2 ** 22 + 1, startedAt: '1', token: 'x' }),
    );
    const store = await serve({ dataDir });
    await store.close();
    rmSync(dataDir, { recursive: true });
  });

  test('is not served when its file is damaged', async () => {
    const dataDir = temporaryFolder();
    const file = path.join(dataDir, 'store.mdb');
    const store = await serve({ dataDir });
    const client = await new MongoClient(store.uri).connect();
    await client
      .db('d')
      .collection('c')
      .insertMany(Array.from({ length: 500 }, (_, i) => ({ i, text: 'x'.repeat(200) })));
    await client.close();
    await store.close();
    const whole = readFileSync(file);
    truncateSync(file, whole.length / 2);
    await expect(serve({ dataDir })).rejects.toThrow('is damaged');
    writeFileSync(file, whole.fill(0x5a, 0, 4096));
    await expect(serve({ dataDir })).rejects.toThrow('is damaged');
    rmSync(dataDir, { recursive: true });
  });

  test('reports a changed byte in a document', async () => {
    const store = await openTestStore();
    await store.client.db('d').collection('c').insertOne({ text: 'needle-in-the-file' });
    const { dataDir } = store;
    await store.client.close();
    const file = path.join(dataDir, 'store.mdb');
    const bytes = readFileSync(file);
    await store.close();
    const folder = temporaryFolder();
    for (let at = bytes.indexOf('needle'); at >= 0; at = bytes.indexOf('needle', at + 1)) bytes[at] = 0x4e;
    writeFileSync(path.join(folder, 'store.mdb'), bytes);
    const damaged = await serve({ dataDir: folder });
    const client = await new MongoClient(damaged.uri).connect();
    await expect(client.db('d').collection('c').findOne()).rejects.toMatchObject({ code: 328 });
    expect(await client.db('d').command({ validate: 'c' })).toMatchObject({ valid: false });
    await client.close();
    await damaged.close();
    rmSync(folder, { recursive: true });
  });
});

describe('kill -9 under a mixed load', () => {
  const dataDir = temporaryFolder();
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  async function start(): Promise<{ child: ChildProcess; uri: string }> {
    const child = spawn(process.execPath, [COMMAND, '--port', '0', '--data', dataDir]);
    const uri = await new Promise<string>((resolve, reject) => {
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
        if (out.includes('\n')) resolve(out.trim());
      });
      child.stderr.on('data', (chunk: Buffer) => reject(new Error(chunk.toString())));
      child.on('exit', (code) => reject(new Error(`ended with ${code}`)));
    });
    return { child, uri };
  }

  test(
    'loses nothing that was acknowledged and keeps every index right',
    async () => {
      const known = new Acknowledged();
      for (let round = 0; round <= ROUNDS; round++) {
        const { child, uri } = await start();
        const client = await new MongoClient(uri, { serverSelectionTimeoutMS: 500 }).connect();
        await known.verify(client.db('crash'));
        const load = round < ROUNDS ? known.load(client, round) : undefined;
        if (load) await known.writes(100 + round * 50);
        child.kill('SIGKILL');
        await load?.stop();
        await client.close(true);
      }
    },
    60_000 + ROUNDS * 20_000,
  );
});

/** Records which writes a store under load has acknowledged. */
class Acknowledged {
  #inserted = new Set<string>();
  #paired = new Set<string>();
  #dropped = new Set<string>();
  #noted = new Set<string>();
  #counted = 0;
  #tried = 0;
  #sequence = 0;
  #waiting: { count: number; resolve: () => void } | undefined;

  /** Resolves when so many more writes were acknowledged. */
  writes(count: number): Promise<void> {
    return new Promise((resolve) => (this.#waiting = { count, resolve }));
  }

  async verify(db: Db): Promise<void> {
    await db.collection('notes').createIndex({ text: 'text' }, { default_language: 'none' });
    const ids = async (name: string) =>
      new Set((await db.collection<{ _id: string }>(name).find().toArray()).map(({ _id }) => _id));
    const inserted = await ids('inserted');
    expect([...this.#inserted].filter((id) => !inserted.has(id))).toEqual([]);
    const [left, right] = [await ids('left'), await ids('right')];
    expect([...this.#paired].filter((id) => !left.has(id))).toEqual([]);
    expect(left).toEqual(right);
    const found = await db
      .collection<{ _id: string }>('notes')
      .find({ $text: { $search: 'all' } })
      .toArray();
    const noted = new Set(found.map(({ _id }) => _id));
    expect(noted.size).toBe(found.length);
    expect([...this.#noted].filter((id) => !noted.has(id))).toEqual([]);
    const counter = await db.collection('counter').findOne();
    expect(Number(counter?.n ?? 0)).toBeGreaterThanOrEqual(this.#counted);
    expect(Number(counter?.n ?? 0)).toBeLessThanOrEqual(this.#tried);
    for (const { name } of await db.listCollections().toArray()) {
      expect(this.#dropped.has(name)).toBe(false);
      expect(await db.command({ validate: name })).toMatchObject({ valid: true, errors: [] });
    }
  }

  /** Writes of all kinds until the server has ended. */
  load(client: MongoClient, round: number): { stop(): Promise<unknown> } {
    const db = client.db('crash');
    const next = () => `${round}-${this.#sequence++}`;
    const forever = async (work: () => Promise<void>) => {
      try {
        for (;;) {
          await work();
          if (this.#waiting && --this.#waiting.count <= 0) this.#waiting.resolve();
        }
      } catch {
        // The server was killed: whether this write was executed is unknown, and it was not acknowledged.
      }
    };
    const insert = async () => {
      const _id = next();
      await db
        .collection<{ _id: string; v: number; tags: string[] }>('inserted')
        .insertOne({ _id, v: Math.random(), tags: [_id, 'all'] });
      this.#inserted.add(_id);
    };
    const count = async () => {
      this.#tried++;
      await db.collection('counter').updateOne({}, { $inc: { n: 1 } }, { upsert: true });
      this.#counted++;
    };
    const pair = async () => {
      const _id = next();
      await client.withSession(async (session) => {
        session.startTransaction();
        await db.collection<{ _id: string }>('left').insertOne({ _id }, { session });
        await db.collection<{ _id: string }>('right').insertOne({ _id }, { session });
        await session.commitTransaction();
      });
      this.#paired.add(_id);
    };
    const build = async () => {
      const field = next();
      await db.collection('inserted').createIndex({ v: 1, [field]: 1, tags: 1 });
      await db.collection('inserted').dropIndex(`v_1_${field}_1_tags_1`);
    };
    const drop = async () => {
      const name = `dropped-${next()}`;
      await db.collection(name).insertMany(Array.from({ length: 20 }, (_, i) => ({ i })));
      await db.collection(name).drop();
      this.#dropped.add(name);
    };
    // Bursts with pauses, so that the store moves the terms of one from its change buffer before the next.
    const note = async () => {
      const notes = db.collection<{ _id: string; text: string }>('notes');
      const words = Array.from({ length: 40 }, (_, i) => `word${(this.#sequence * 7 + i * i) % 500}`).join(
        ' ',
      );
      const burst = Array.from({ length: 60 }, () => ({ _id: next(), text: `all ${words}` }));
      await notes.insertMany(burst);
      for (const { _id } of burst) this.#noted.add(_id);
      await notes.updateOne({ _id: burst[1]!._id }, { $set: { text: 'all is changed' } });
      const gone = burst[0]!._id;
      this.#noted.delete(gone);
      await notes.deleteOne({ _id: gone });
      await new Promise((resolve) => setTimeout(resolve, 400));
    };
    const all = Promise.all([insert, insert, insert, count, pair, pair, build, drop, note].map(forever));
    return { stop: () => all };
  }
}
