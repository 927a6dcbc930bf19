import { MongoClient, type ClientSession, type Collection } from 'mongodb';
import { openTestStore } from './support/served-store';
import type { TestStore } from './support/served-store';

interface Item {
  _id: string | number;
  n?: number;
  k?: string;
}

describe('transactions', () => {
  const errors: unknown[] = [];
  let store: TestStore;
  let items: Collection<Item>;
  let sessions: ClientSession[];

  beforeAll(async () => {
    store = await openTestStore(errors);
  });
  afterAll(async () => {
    await store.close();
    expect(errors).toEqual([]);
  });
  beforeEach(async () => {
    sessions = [];
    items = store.client.db('t').collection<Item>('items');
    await items.drop().catch(() => undefined);
    await items.createIndex({ k: 1 }, { unique: true, sparse: true });
    await items.insertMany([
      { _id: 1, n: 1, k: 'a' },
      { _id: 2, n: 2, k: 'b' },
      { _id: 3, n: 3 },
    ]);
  });
  afterEach(async () => {
    for (const session of sessions) await session.endSession();
  });

  function begin(): ClientSession {
    const session = store.client.startSession();
    sessions.push(session);
    session.startTransaction();
    return session;
  }
  const labelled = (code: number) =>
    expect.objectContaining({ code, errorLabels: expect.arrayContaining(['TransientTransactionError']) });

  test('are invisible before the commit, and complete after it', async () => {
    const session = begin();
    await items.insertOne({ _id: 4 }, { session });
    await items.updateOne({ _id: 1 }, { $inc: { n: 10 } }, { session });
    await items.deleteOne({ _id: 2 }, { session });
    expect(await items.countDocuments({}, { session })).toBe(3);
    expect((await items.find({}, { session }).sort({ n: -1 }).toArray()).map(({ _id }) => _id)).toEqual([
      1, 3, 4,
    ]);
    expect(await items.find().sort({ _id: 1 }).toArray()).toMatchObject([
      { _id: 1, n: 1 },
      { _id: 2 },
      { _id: 3 },
    ]);
    await session.commitTransaction();
    expect(await items.find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: 1, n: 11, k: 'a' },
      { _id: 3, n: 3 },
      { _id: 4 },
    ]);
    expect(await items.db.command({ validate: 'items' })).toMatchObject({ valid: true });
  });

  test('find by a unique key what they have changed themselves', async () => {
    const at = (n: number) => ({ k: ['a', 'b', 'c', 'd', 'e', 'f'][n % 6] as string });
    let state = 5;
    const random = (below: number) =>
      (state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff) % below;
    const session = begin();
    const model = new Map<string | number, Item>(
      (await items.find({}, { session }).toArray()).map((i) => [i._id, i]),
    );
    for (let i = 0; i < 60; i++) {
      const key = at(random(600) >> 3);
      const holder = [...model.values()].find(({ k }) => k === key.k);
      const _id = random(800) >> 7;
      const old = model.get(_id);
      if (old && random(300) < 80) {
        await items.deleteOne(random(64) < 32 && old.k !== undefined ? { k: old.k } : { _id }, { session });
        model.delete(_id);
      } else if (holder) {
        await items.updateOne(key, { $inc: { n: 1 } }, { session });
        holder.n = (holder.n ?? 0) + 1;
      } else if (old) {
        await items.updateOne({ _id }, { $set: key }, { session });
        model.set(_id, { ...old, ...key });
      } else {
        await items.updateOne(key, { $setOnInsert: { _id } }, { session, upsert: true });
        model.set(_id, { _id, ...key });
      }
      for (let n = 0; n < 6; n++) {
        const expected = [...model.values()].filter(({ k }) => k === at(n).k);
        expect(await items.find(at(n), { session }).toArray()).toEqual(
          expected.map((item) => expect.objectContaining(item)),
        );
      }
      const few = ['a', 'c', 'e'];
      const found = await items.find({ k: { $in: few } }, { session }).toArray();
      expect(found.map(({ k }) => k).sort()).toEqual(
        [...model.values()]
          .map(({ k }) => k)
          .filter((k) => k !== undefined && few.includes(k))
          .sort(),
      );
      expect((await items.findOne({ _id }, { session }))?._id).toBe(model.has(_id) ? _id : undefined);
    }
    await session.commitTransaction();
    expect(await items.countDocuments()).toBe(model.size);
    expect(await items.db.command({ validate: 'items' })).toMatchObject({ valid: true });
  });

  test('read the state of their beginning, whatever others write', async () => {
    const session = begin();
    await items.findOne({ _id: 1 }, { session });
    await items.updateOne({ _id: 1 }, { $set: { n: 100 } });
    await items.insertOne({ _id: 5 });
    await items.deleteOne({ _id: 3 });
    expect(await items.find({}, { session }).sort({ _id: 1 }).toArray()).toMatchObject([
      { n: 1 },
      { n: 2 },
      { n: 3 },
    ]);
    await session.commitTransaction();
  });

  test('meet a write conflict on what another changed since', async () => {
    const session = begin();
    await items.findOne({ _id: 1 }, { session });
    await items.updateOne({ _id: 1 }, { $set: { n: 100 } });
    await expect(items.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session })).rejects.toEqual(labelled(112));
    await expect(items.findOne({ _id: 2 }, { session })).rejects.toEqual(labelled(251));
    await session.abortTransaction();
  });

  test('meet a write conflict on what another open transaction changed', async () => {
    const [first, second] = [begin(), begin()];
    await items.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session: first });
    await expect(items.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session: second })).rejects.toEqual(
      labelled(112),
    );
    await first.commitTransaction();
    await second.abortTransaction();
    expect(await items.findOne({ _id: 1 })).toMatchObject({ n: 2 });
  });

  test('make plain writers wait for their end', async () => {
    const session = begin();
    await items.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session });
    let done = false;
    const plain = items.updateOne({ _id: 1 }, { $inc: { n: 5 } }).then(() => (done = true));
    await items.findOne({ _id: 2 });
    expect(done).toBe(false);
    await session.commitTransaction();
    await plain;
    expect(await items.findOne({ _id: 1 })).toMatchObject({ n: 7 });
  });

  test('keep unique keys apart, among each other and from plain writes', async () => {
    const [first, second] = [begin(), begin()];
    await items.insertOne({ _id: 10, k: 'new' }, { session: first });
    await expect(items.insertOne({ _id: 11, k: 'new' }, { session: second })).rejects.toEqual(labelled(112));
    const plain = items.insertOne({ _id: 12, k: 'new' });
    await first.commitTransaction();
    await expect(plain).rejects.toMatchObject({ code: 11000 });
    await second.abortTransaction();
  });

  test('may move a unique key from one document to another', async () => {
    const session = begin();
    await items.updateOne({ _id: 1 }, { $set: { k: 'c' } }, { session });
    await items.updateOne({ _id: 2 }, { $set: { k: 'a' } }, { session });
    await items.updateOne({ _id: 1 }, { $set: { k: 'b' } }, { session });
    await expect(session.commitTransaction()).resolves.toBeUndefined();
    expect(await items.findOne({ k: 'a' })).toMatchObject({ _id: 2 });
    expect(await items.findOne({ k: 'b' })).toMatchObject({ _id: 1 });
    expect(await items.db.command({ validate: 'items' })).toMatchObject({ valid: true });
  });

  test('are aborted by an error in them', async () => {
    const session = begin();
    await items.insertOne({ _id: 20 }, { session });
    await expect(items.insertOne({ _id: 21, k: 'a' }, { session })).rejects.toMatchObject({ code: 11000 });
    await expect(session.commitTransaction()).rejects.toMatchObject({ code: 251 });
    expect(await items.findOne({ _id: 20 })).toBeNull();
  });

  test('remove a collection that only they created, when they abort', async () => {
    const session = begin();
    const fresh = store.client.db('t').collection<Item>('fresh');
    await fresh.insertOne({ _id: 1 }, { session });
    await session.abortTransaction();
    await items.insertOne({ _id: 30 });
    expect(await store.client.db('t').listCollections({ name: 'fresh' }).toArray()).toEqual([]);
  });

  test('refuse what can be no part of them', async () => {
    const session = begin();
    await items.findOne({}, { session });
    const listed = store.client.db('t').command({ listIndexes: 'items' }, { session });
    await expect(listed).rejects.toMatchObject({ code: 263 });
    await session.abortTransaction();
  });

  test('end with the last connection of their client', async () => {
    const other = await new MongoClient(store.uri).connect();
    const session = other.startSession();
    session.startTransaction();
    await other
      .db('t')
      .collection<Item>('items')
      .updateOne({ _id: 1 }, { $set: { n: 50 } }, { session });
    await other.close(true);
    await items.updateOne({ _id: 1 }, { $inc: { n: 1 } });
    expect(await items.findOne({ _id: 1 })).toMatchObject({ n: 2 });
  });

  test('see a commit that is tried again as the one that it was', async () => {
    const session = begin();
    await items.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session });
    await session.commitTransaction();
    await session.commitTransaction();
    expect(await items.findOne({ _id: 1 })).toMatchObject({ n: 2 });
  });

  test('a randomized bank keeps its sum, in every snapshot', async () => {
    const accounts = store.client.db('t').collection<{ _id: number; balance: number }>('accounts');
    const count = 8;
    await accounts.drop().catch(() => undefined);
    await accounts.insertMany(Array.from({ length: count }, (_, i) => ({ _id: i, balance: 100 })));
    let running = true;
    const transfer = async (seed: number) => {
      await store.client.withSession(async (session) => {
        for (let i = 0; i < 12; i++) {
          const from = (seed * 7 + i * 3) % count;
          const to = (from + 1 + ((seed + i) % (count - 1))) % count;
          await session.withTransaction(async () => {
            const account = await accounts.findOne({ _id: from }, { session });
            const amount = Math.min(account?.balance ?? 0, 1 + ((seed * i) % 30));
            await accounts.updateOne({ _id: from }, { $inc: { balance: -amount } }, { session });
            await accounts.updateOne({ _id: to }, { $inc: { balance: amount } }, { session });
          });
        }
      });
    };
    const audit = async () => {
      await store.client.withSession(async (session) => {
        while (running) {
          session.startTransaction();
          const all = await accounts.find({}, { session, batchSize: 3 }).toArray();
          expect(all.reduce((sum, { balance }) => sum + balance, 0)).toBe(count * 100);
          expect(all.every(({ balance }) => balance >= 0)).toBe(true);
          await session.commitTransaction();
        }
      });
    };
    const transfers = Promise.all([1, 2, 3, 4, 5].map(transfer)).finally(() => (running = false));
    await Promise.all([transfers, audit()]);
    const all = await accounts.find().toArray();
    expect(all.reduce((sum, { balance }) => sum + balance, 0)).toBe(count * 100);
  });
});

describe('snapshot sessions', () => {
  const errors: unknown[] = [];
  let store: TestStore;

  beforeAll(async () => {
    store = await openTestStore(errors);
  });
  afterAll(async () => {
    await store.close();
    expect(errors).toEqual([]);
  });

  const notes = (name: string) => store.client.db('t').collection<Item>(name);
  const tooOld = expect.objectContaining({ code: 239, codeName: 'SnapshotTooOld' });

  test('read all collections as they were at the first read, with every command', async () => {
    const [first, second] = [notes('first'), notes('second')];
    await first.insertMany(Array.from({ length: 300 }, (_, n) => ({ _id: n, n })));
    await second.insertOne({ _id: 'kept', n: 1 });
    const session = store.client.startSession({ snapshot: true });
    const cursor = first.find({}, { session, batchSize: 100 });
    expect(await cursor.next()).toEqual({ _id: 0, n: 0 });
    await first.deleteMany({});
    await second.updateOne({ _id: 'kept' }, { $set: { n: 2 } });
    await second.insertOne({ _id: 'new', n: 3 });
    expect(await cursor.toArray()).toHaveLength(299);
    expect(await second.find({}, { session }).toArray()).toEqual([{ _id: 'kept', n: 1 }]);
    expect(await second.findOne({ _id: 'kept' }, { session })).toEqual({ _id: 'kept', n: 1 });
    expect(await first.countDocuments({}, { session })).toBe(300);
    expect(await second.distinct('n', {}, { session })).toEqual([1]);
    expect(await notes('absent').find({}, { session }).toArray()).toEqual([]);
    await session.endSession();
    expect(await first.countDocuments()).toBe(0);
  });

  test('take their snapshot with any of these commands', async () => {
    const items = notes('any');
    await items.insertOne({ _id: 1, n: 1 });
    const reads: ((session: ClientSession) => Promise<unknown>)[] = [
      (session) => items.findOne({ _id: 1 }, { session }),
      (session) => items.countDocuments({}, { session }),
      (session) => items.distinct('n', {}, { session }),
      (session) => notes('absent').find({}, { session }).toArray(),
    ];
    for (const [n, read] of reads.entries()) {
      const session = store.client.startSession({ snapshot: true });
      await read(session);
      await items.insertOne({ _id: `later ${n}` });
      expect(await items.countDocuments({}, { session })).toBe(1 + n);
      await session.endSession();
    }
  });

  test('are refused after their end, and after their collection was dropped or made anew', async () => {
    const items = notes('dropped');
    await items.insertMany(Array.from({ length: 300 }, (_, n) => ({ _id: n })));
    const session = store.client.startSession({ snapshot: true });
    const cursor = items.find({}, { session, batchSize: 10 });
    await cursor.next();
    await items.drop();
    // The start of a transaction must not make the store forget the drop.
    await store.client.withSession((other) =>
      other.withTransaction(() => notes('other').insertOne({ _id: 1 }, { session: other })),
    );
    await expect(items.find({}, { session }).toArray()).rejects.toMatchObject({ code: 246 });
    await items.insertOne({ _id: 'new' });
    await expect(items.find({}, { session }).toArray()).rejects.toMatchObject({ code: 246 });
    await store.client.db('admin').command({ killSessions: [session.id] });
    await expect(notes('other').find({}, { session }).toArray()).rejects.toEqual(tooOld);
    await session.endSession();
  });

  test('lose their snapshot with their connections, and too many of them are refused', async () => {
    const items = notes('many');
    await items.insertMany([{ _id: 1 }, { _id: 2 }]);
    const other = await new MongoClient(store.uri).connect();
    const theirs = other.db('t').collection('many');
    const mine = store.client.startSession({ snapshot: true });
    const refused = expect.objectContaining({ code: 246, message: 'clients already hold 16 snapshots' });
    const fill = async () => {
      for (let n = 0; n < 17; n++)
        await theirs.findOne({}, { session: other.startSession({ snapshot: true }) });
    };
    await expect(fill()).rejects.toEqual(refused);
    await expect(items.findOne({}, { session: mine })).rejects.toEqual(refused);
    await other.close();
    for (let found; !found;) found = await items.findOne({}, { session: mine }).catch(() => undefined);
    await mine.endSession();
  });
});
