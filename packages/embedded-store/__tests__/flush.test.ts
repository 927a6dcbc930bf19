import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MongoClient } from 'mongodb';
import { serve } from '../src/serve';
import type { ServedStore } from '../src/serve';
import { DISK } from '../src/storage/disk';
import type { Disk } from '../src/storage/disk';
import { Random } from './support/random';

interface Thing {
  _id: number | string;
  text?: string;
}

const folders: string[] = [];
const closing: (() => Promise<unknown>)[] = [];

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-flush-'));
  folders.push(folder);
  return folder;
}

afterEach(async () => {
  // A store whose disk has failed says so again when it is closed.
  for (const close of closing.splice(0).reverse()) await close().catch(() => undefined);
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function open(dataDir: string, disk?: Disk, onFailure?: (error: Error) => void) {
  const store: ServedStore = await serve({ dataDir, disk, onFailure });
  closing.push(() => store.close());
  const client = await new MongoClient(store.uri).connect();
  closing.push(() => client.close());
  return { store, client, things: client.db('d').collection<Thing>('things') };
}

/** A disk that can be made to wait, and to fail. */
class TestDisk implements Disk {
  writes = 0;
  flushes = 0;
  failing: 'nothing' | 'writes' | 'all' = 'nothing';
  #gate: Promise<void> = Promise.resolve();
  #started: () => void = () => undefined;

  /** From now on, everything waits until the function is called that this returns. */
  hold(): () => void {
    let release: () => void = () => undefined;
    this.#gate = new Promise((resolve) => (release = resolve));
    return release;
  }

  /** Resolves when the next operation has begun. */
  started(): Promise<void> {
    return new Promise((resolve) => (this.#started = resolve));
  }

  async write(descriptor: number, bytes: Uint8Array, position: number): Promise<void> {
    this.writes++;
    this.#started();
    await this.#gate;
    if (this.failing !== 'nothing') throw new Error('EIO: i/o error, write');
    await DISK.write(descriptor, bytes, position);
  }

  async flush(descriptor: number): Promise<void> {
    this.flushes++;
    this.#started();
    await this.#gate;
    if (this.failing === 'all') throw new Error('EIO: i/o error, fdatasync');
    await DISK.flush(descriptor);
  }
}

describe('while a flush is running', () => {
  test('reads are answered, with what is durable, and writes wait for it', async () => {
    const disk = new TestDisk();
    const { things } = await open(temporaryFolder(), disk);
    await things.insertOne({ _id: 1 });
    const release = disk.hold();
    const started = disk.started();
    let acknowledged = false;
    const write = things.insertOne({ _id: 2 }).then(() => (acknowledged = true));
    await started;
    expect(await things.find().toArray()).toEqual([{ _id: 1 }]);
    expect(await things.countDocuments({ _id: 2 })).toBe(0);
    expect(acknowledged).toBe(false);
    release();
    await write;
    expect(await things.find().toArray()).toEqual([{ _id: 1 }, { _id: 2 }]);
  });

  test('an error that is due to an undurable write is not sent, nor is a write that changes nothing', async () => {
    const disk = new TestDisk();
    const { things, client } = await open(temporaryFolder(), disk);
    await things.insertOne({ _id: 1 });
    const release = disk.hold();
    const started = disk.started();
    const replies: string[] = [];
    const record = (name: string) => () => void replies.push(name);
    const write = things.insertOne({ _id: 2 }).then(record('write'));
    await started;
    const same = things.insertOne({ _id: 2 }).then(record('second'), record('duplicate'));
    const unchanged = things.updateOne({ _id: 2 }, { $unset: { text: 1 } }).then(record('unchanged'));
    const session = client.startSession();
    session.startTransaction();
    const inTransaction = things
      .insertOne({ _id: 2 }, { session })
      .then(record('second'), record('in transaction'));
    await things.findOne();
    expect(replies).toEqual([]);
    release();
    await Promise.all([write, same, unchanged, inTransaction]);
    expect(replies.sort()).toEqual(['duplicate', 'in transaction', 'unchanged', 'write']);
    await session.endSession();
  });

  test('a command waits for a change of the indexes that it would use', async () => {
    const disk = new TestDisk();
    const { things } = await open(temporaryFolder(), disk);
    await things.insertOne({ _id: 1, text: 'a' });
    const release = disk.hold();
    const started = disk.started();
    const build = things.createIndex({ text: 1 });
    await started;
    const read = things.find({ text: 'a' }).toArray();
    release();
    expect(await read).toEqual([{ _id: 1, text: 'a' }]);
    await build;
  });

  test('the writes that arrive share the next one', async () => {
    const disk = new TestDisk();
    const { things } = await open(temporaryFolder(), disk);
    await things.insertOne({ _id: 'first' });
    const release = disk.hold();
    const started = disk.started();
    const before = disk.writes;
    const writes = [things.insertOne({ _id: 'second' })];
    await started;
    for (let i = 0; i < 20; i++) writes.push(things.insertOne({ _id: i }));
    // Each of these reads is answered after the writes that came before it on its connection were queued.
    await Promise.all(Array.from({ length: 40 }, () => things.findOne()));
    release();
    await Promise.all(writes);
    expect(await things.countDocuments()).toBe(22);
    // One for the second, one for the batch that was committed meanwhile, one for the rest, and a margin.
    expect(disk.writes - before).toBeLessThanOrEqual(5);
  });
});

describe('when the disk fails', () => {
  test('the waiting write fails, no other succeeds, and the next start has what was acknowledged', async () => {
    const dataDir = temporaryFolder();
    const disk = new TestDisk();
    const failures: string[] = [];
    const { things } = await open(dataDir, disk, (error) => failures.push(error.message));
    await things.insertOne({ _id: 'acknowledged' });
    disk.failing = 'all';
    await expect(things.insertOne({ _id: 'lost' })).rejects.toThrow('EIO');
    disk.failing = 'nothing';
    await expect(things.insertOne({ _id: 'later' })).rejects.toThrow('EIO');
    expect(await things.find().toArray()).toEqual([{ _id: 'acknowledged' }]);
    expect(failures).toEqual([expect.stringContaining('EIO')]);
    for (const close of closing.splice(0).reverse()) await close().catch(() => undefined);
    const again = await open(dataDir);
    expect(await again.things.find().toArray()).toEqual([{ _id: 'acknowledged' }]);
    await again.things.insertOne({ _id: 'lost' });
  });

  test('only where the log is, the data file is flushed in its place', async () => {
    const dataDir = temporaryFolder();
    const disk = new TestDisk();
    const { things } = await open(dataDir, disk);
    await things.insertOne({ _id: 1 });
    const before = disk.flushes;
    const write = DISK.write.bind(DISK);
    let failed = 0;
    disk.write = (descriptor, bytes, position) =>
      failed++ === 0 ? Promise.reject(new Error('EIO')) : write(descriptor, bytes, position);
    await things.insertOne({ _id: 2 });
    expect(disk.flushes).toBe(before + 1);
    await things.insertOne({ _id: 3 });
    expect(await things.countDocuments()).toBe(3);
  });
});

const PAGE = 4096;
const SECTOR = 512;

/**
 * A disk on which the power fails at some operation. What was written and not flushed may be on the disk or not, page by
 * page, in any of the states that it had since the last flush.
 */
class FailingPower implements Disk {
  hasFailed = false;
  #operations = 0;
  /** States of the data file: the first is on the disk. */
  #states: Buffer[] = [];
  readonly #data: string;
  readonly #log: string;

  constructor(
    dataDir: string,
    private readonly failsAt: number,
    private readonly random: Random,
    private readonly into: string,
  ) {
    this.#data = path.join(dataDir, 'store.mdb');
    this.#log = path.join(dataDir, 'store.log');
  }

  /** To be called when the store is open: it has brought the data file to the disk. */
  opened(): void {
    this.#states = [readFileSync(this.#data)];
  }

  async write(descriptor: number, bytes: Uint8Array, position: number): Promise<void> {
    this.#begin(() => {
      const log = readFileSync(this.#log);
      for (let at = 0; at < bytes.length; at += SECTOR - ((position + at) % SECTOR)) {
        const end = Math.min(bytes.length, at + SECTOR - ((position + at) % SECTOR));
        if (this.random.chance(0.5)) log.set(bytes.subarray(at, end), position + at);
      }
      return log;
    });
    await DISK.write(descriptor, bytes, position);
  }

  async flush(descriptor: number): Promise<void> {
    const state = this.#begin(() => readFileSync(this.#log));
    await DISK.flush(descriptor);
    // What was written after the flush had begun is not certain to be on the disk.
    this.#states = [state, ...this.#states.slice(this.#states.indexOf(state) + 1)];
  }

  #begin(log: () => Buffer): Buffer {
    if (this.hasFailed) throw new Error('EIO: no power');
    const state = readFileSync(this.#data);
    // Some of the states in between are enough.
    if (this.#states.length > 4) this.#states.splice(1 + this.random.below(this.#states.length - 1), 1);
    this.#states.push(state);
    if (++this.#operations < this.failsAt) return state;
    this.hasFailed = true;
    const length = this.random.pick(this.#states).length;
    const data = Buffer.alloc(Math.max(length, this.#states[0]?.length ?? 0));
    for (let at = 0; at < data.length; at += PAGE)
      data.set(this.random.pick(this.#states).subarray(at, at + PAGE), at);
    writeFileSync(path.join(this.into, 'store.mdb'), data);
    writeFileSync(path.join(this.into, 'store.log'), log());
    throw new Error('EIO: the power has failed');
  }
}

test.each([3, 20, 45, 70, 95])(
  'a power failure at operation %d of the disk loses nothing acknowledged',
  async (failsAt) => {
    const random = new Random(failsAt);
    let dataDir = temporaryFolder();
    const acknowledged = new Set<string>();
    const removed = new Set<string>();
    const prepared = await open(dataDir);
    await prepared.things.createIndex({ text: 1 });
    for (const close of closing.splice(0).reverse()) await close();

    for (let round = 0; round < 2; round++) {
      const after = temporaryFolder();
      const disk = new FailingPower(dataDir, failsAt, random, after);
      const { client, things } = await open(dataDir, disk);
      disk.opened();
      const pairs = client.db('d').collection<Thing>('pairs');
      let number = 0;
      const load = async () => {
        for (;;) {
          const _id = `${round}-${number++}`;
          // Large documents, so that checkpoints are due, and removed ones, so that pages are used again.
          await client.withSession(async (session) => {
            session.startTransaction();
            await things.insertOne({ _id, text: _id.repeat(1 + random.below(6_000)) }, { session });
            await pairs.insertOne({ _id }, { session });
            await session.commitTransaction();
          });
          acknowledged.add(_id);
          const old = [...acknowledged][0];
          if (old === undefined || acknowledged.size < 8) continue;
          acknowledged.delete(old);
          removed.add(old);
          await things.deleteOne({ _id: old });
          await pairs.deleteOne({ _id: old });
        }
      };
      await Promise.all([load(), load(), load()].map((one) => one.catch(() => undefined)));
      expect(disk.hasFailed).toBe(true);
      for (const close of closing.splice(0).reverse()) await close().catch(() => undefined);

      dataDir = after;
      const again = await open(dataDir);
      const ids = async (name: string) =>
        new Set(
          (await again.client.db('d').collection<Thing>(name).find().toArray()).map(({ _id }) => String(_id)),
        );
      const [left, right] = [await ids('things'), await ids('pairs')];
      for (const id of acknowledged) expect(left.has(id) && right.has(id)).toBe(true);
      // Only a removal that was not acknowledged can have been executed in one of the two.
      for (const id of new Set([...left, ...right])) {
        expect(removed.has(id) || (left.has(id) && right.has(id))).toBe(true);
      }
      for (const name of ['things', 'pairs']) {
        expect(await again.client.db('d').command({ validate: name })).toMatchObject({
          valid: true,
          errors: [],
        });
      }
      for (const close of closing.splice(0).reverse()) await close();
    }
  },
);

test('a data file that was put in the place of another one is not changed by the log of that one', async () => {
  const dataDir = temporaryFolder();
  const first = await open(dataDir);
  await first.things.insertOne({ _id: 'backup' });
  for (const close of closing.splice(0).reverse()) await close();
  const backup = readFileSync(path.join(dataDir, 'store.mdb'));
  const second = await open(dataDir);
  await second.things.insertOne({ _id: 'later' });
  const log = readFileSync(path.join(dataDir, 'store.log'));
  const other = temporaryFolder();
  writeFileSync(path.join(other, 'store.mdb'), backup);
  writeFileSync(path.join(other, 'store.log'), log);
  const restored = await open(other);
  expect(await restored.things.find().toArray()).toEqual([{ _id: 'backup' }]);
});

test('a store that was closed has no log, and a damaged log is refused', async () => {
  const dataDir = temporaryFolder();
  const file = path.join(dataDir, 'store.log');
  const { things } = await open(dataDir);
  await things.insertOne({ _id: 1 });
  const log = readFileSync(file);
  for (const close of closing.splice(0).reverse()) await close();
  expect(existsSync(file)).toBe(false);
  writeFileSync(file, log.fill(0x5a, 0, 8192));
  await expect(serve({ dataDir })).rejects.toThrow('is damaged');
});
