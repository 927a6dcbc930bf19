import { ObjectId, type Collection } from 'mongodb';
import { createTransactions, inTransactions, type Transactions } from '../../db/transaction';
import { WriteList, WriteRefused } from '../../db/write-list';
import { KeyedQueue } from '../../services/kernel/keyed-queue';
import { startTestServer, type TestServer } from '../fixtures/server';

interface Item {
  _id: number;
  n: number;
}

let server: TestServer;
let transactions: Transactions;
/** The collection that services use. */
let items: Collection<Item>;
/** The same collection outside of any transaction. */
let seen: Collection<Item>;

beforeAll(async () => {
  server = await startTestServer();
  ({ transactions } = server.context.database);
  seen = server.context.database.db.collection<Item>('items');
  items = inTransactions(seen);
});
afterAll(() => server.close());

beforeEach(async () => {
  await seen.deleteMany({});
  await seen.insertMany([
    { _id: 1, n: 0 },
    { _id: 2, n: 0 },
  ]);
});

const stored = async () => (await seen.find().sort({ _id: 1 }).toArray()).map(({ _id, n }) => [_id, n]);
const add = (_id: number) => items.updateOne({ _id }, { $inc: { n: 1 } });
const failing = (message: string) => () => Promise.reject(new Error(message));

/** A promise that is resolved from outside. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe('a transaction', () => {
  test('is invisible to others before it commits, and wholly visible afterwards', async () => {
    await transactions.run(async () => {
      await add(1);
      await items.insertOne({ _id: 3, n: 7 });
      expect(await items.countDocuments()).toBe(3);
      expect(await transactions.outside(stored)).toEqual([
        [1, 0],
        [2, 0],
      ]);
    });
    expect(await stored()).toEqual([
      [1, 1],
      [2, 0],
      [3, 7],
    ]);
  });

  test('includes the transactions that run inside it, and rolls all of it back together', async () => {
    const work = transactions.run(async () => {
      await add(1);
      await transactions.run(async () => {
        await add(2);
        await transactions.run(() => items.insertOne({ _id: 3, n: 0 }));
      });
      expect(await items.countDocuments({ n: { $gt: 0 } })).toBe(2);
      throw new Error('after the inner ones');
    });
    await expect(work).rejects.toThrow('after the inner ones');
    expect(await stored()).toEqual([
      [1, 0],
      [2, 0],
    ]);
  });

  test('is rolled back by an error of an inner transaction', async () => {
    const work = transactions.run(async () => {
      await add(1);
      await transactions.run(failing('inner'));
    });
    await expect(work).rejects.toThrow('inner');
    expect(await stored()).toEqual([
      [1, 0],
      [2, 0],
    ]);
  });

  test('runs operations that start at the same time one after the other', async () => {
    const found = await transactions.run(async () => {
      const ids = Array.from({ length: 20 }, (_, index) => index + 10);
      await Promise.all(ids.map((_id) => items.insertOne({ _id, n: _id })));
      return Promise.all([
        items.find({ _id: { $gte: 10 } }).toArray(),
        items.countDocuments(),
        items.distinct('n'),
        items.aggregate([{ $match: { _id: 10 } }]).toArray(),
        ...ids.map((_id) => items.findOneAndUpdate({ _id }, { $inc: { n: 1 } })),
        items.bulkWrite([{ updateOne: { filter: { _id: 1 }, update: { $inc: { n: 5 } } } }]),
      ]);
    });
    expect(found.slice(0, 4)).toMatchObject([{ length: 20 }, 22, { length: 21 }, [{ n: 10 }]]);
    expect((await stored()).slice(0, 3)).toEqual([
      [1, 5],
      [2, 0],
      [10, 11],
    ]);
    expect(await seen.countDocuments()).toBe(22);
  });

  test('leaves nothing behind when one of several concurrent operations fails', async () => {
    const work = transactions.run(() =>
      Promise.all([add(1), items.insertOne({ _id: 2, n: 1 }), items.insertOne({ _id: 3, n: 1 }), add(2)]),
    );
    await expect(work).rejects.toMatchObject({ code: 11000 });
    expect(await stored()).toEqual([
      [1, 0],
      [2, 0],
    ]);
  });

  test('is used by every way of reading a cursor', async () => {
    await transactions.run(async () => {
      await seen.insertOne({ _id: 100, n: 9 });
      await items.insertMany([
        { _id: 3, n: 1 },
        { _id: 4, n: 1 },
      ]);
      const read: number[] = [];
      const cursor = items
        .find({ _id: { $lt: 100 } })
        .sort({ _id: -1 })
        .limit(3);
      while (await cursor.hasNext()) {
        read.push((await cursor.next())!._id);
        await add(1);
      }
      for await (const { _id } of items.find({ _id: { $lte: 2 } }).sort({ _id: 1 })) {
        read.push(_id);
        await add(_id);
      }
      expect(read).toEqual([4, 3, 2, 1, 2]);
    });
    expect(await seen.findOne({ _id: 1 })).toEqual({ _id: 1, n: 4 });
  });
});

describe('effects after the commit', () => {
  test('run once, in order, when the writes are visible to everyone', async () => {
    const done: string[] = [];
    const record = (text: string) =>
      transactions.afterCommit(async () => {
        done.push(`${text}: ${(await stored()).join(' ')}`);
      });
    await transactions.run(async () => {
      await add(1);
      await record('first');
      await transactions.run(async () => {
        await add(2);
        await record('second');
      });
      expect(done).toEqual([]);
    });
    expect(done).toEqual(['first: 1,1 2,1', 'second: 1,1 2,1']);
    await record('at once');
    expect(done).toHaveLength(3);
  });

  test('do not run when the transaction is rolled back', async () => {
    const effect = jest.fn(() => Promise.resolve());
    const work = transactions.run(async () => {
      await transactions.afterCommit(effect);
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(effect).not.toHaveBeenCalled();
  });

  test('run even if an earlier effect fails', async () => {
    const effect = jest.fn(() => Promise.resolve());
    const work = transactions.run(async () => {
      await add(1);
      await transactions.afterCommit(failing('effect'));
      await transactions.afterCommit(effect);
    });
    await expect(work).rejects.toThrow('effect');
    expect(effect).toHaveBeenCalledTimes(1);
    expect(await seen.findOne({ _id: 1 })).toEqual({ _id: 1, n: 1 });
  });

  test('may run transactions of their own', async () => {
    await transactions.run(() =>
      transactions.afterCommit(() => transactions.run(() => add(1)).then(() => {})),
    );
    expect(await seen.findOne({ _id: 1 })).toEqual({ _id: 1, n: 1 });
  });

  test('include events: they are published after the commit, and never without one', async () => {
    const { bus } = server.context;
    const received: unknown[] = [];
    const unsubscribe = bus.subscribe(async (event) => {
      received.push([event.type, (await stored())[0]]);
    });
    const event = { type: 'user.changed', userId: new ObjectId(), role: 'client' } as const;
    await transactions.run(async () => {
      await bus.publish(event);
      await add(1);
    });
    const undone = transactions.run(async () => {
      await bus.publish(event);
      await add(1);
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    unsubscribe();
    expect(received).toEqual([['user.changed', [1, 1]]]);
  });
});

describe('a transaction that conflicts with another', () => {
  test('is retried and takes effect once', async () => {
    let tries = 0;
    const effect = jest.fn(() => Promise.resolve());
    await transactions.run(async () => {
      tries++;
      const { n } = (await items.findOne({ _id: 1 }))!;
      if (tries === 1) await seen.updateOne({ _id: 1 }, { $set: { n: 10 } });
      await transactions.afterCommit(effect);
      await items.updateOne({ _id: 1 }, { $set: { n: n + 1 } });
      await items.insertOne({ _id: 3, n });
    });
    expect(tries).toBe(2);
    expect(effect).toHaveBeenCalledTimes(1);
    expect(await stored()).toEqual([
      [1, 11],
      [2, 0],
      [3, 10],
    ]);
  });

  test('loses no increment among many concurrent ones', async () => {
    await Promise.all(
      Array.from({ length: 10 }, () =>
        transactions.run(async () => {
          const { n } = (await items.findOne({ _id: 1 }))!;
          await items.updateOne({ _id: 1 }, { $set: { n: n + 1 } });
          await add(2);
        }),
      ),
    );
    expect(await stored()).toEqual([
      [1, 10],
      [2, 10],
    ]);
  });
});

describe('work outside of the transaction', () => {
  test('does not belong to a transaction and stays when the caller is rolled back', async () => {
    const work = transactions.run(async () => {
      await add(1);
      await transactions.outside(() => items.insertOne({ _id: 3, n: 0 }));
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await stored()).toEqual([
      [1, 0],
      [2, 0],
      [3, 0],
    ]);
  });
});

describe('operations that continue after the transaction has ended', () => {
  test('do not belong to it: they write for themselves and their effects are not lost', async () => {
    const { opened, open } = gate();
    const effect = jest.fn(() => Promise.resolve());
    let continuation: Promise<unknown> = Promise.resolve();
    const work = transactions.run(async () => {
      await add(1);
      continuation = opened.then(async () => {
        await items.insertOne({ _id: 3, n: 0 });
        await transactions.afterCommit(effect);
        const own = transactions.run(async () => {
          await add(2);
          throw new Error('its own');
        });
        await expect(own).rejects.toThrow('its own');
        expect(transactions.settled()).toBeUndefined();
      });
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    open();
    await continuation;
    expect(effect).toHaveBeenCalledTimes(1);
    expect(await stored()).toEqual([
      [1, 0],
      [2, 0],
      [3, 0],
    ]);
  });

  test('cannot continue to read a cursor of the transaction', async () => {
    const cursor = await transactions.run(() => Promise.resolve(items.find()));
    await expect(cursor.toArray()).rejects.toThrow('has ended');
  });
});

describe('the queue of a channel', () => {
  const channelId = new ObjectId();
  const newQueue = () => {
    const queue = new KeyedQueue(transactions);
    const { add } = queue.batched<string, string>((_channelId, batch) =>
      Promise.resolve({
        outcomes: batch.map((value) => ({ status: 'fulfilled', value })),
        publish: () => Promise.resolve(),
      }),
    );
    const exclusive = <Value>(key: ObjectId, change: () => Promise<Value>) => queue.exclusive(key, change);
    return { add, exclusive };
  };

  test.each(['one after the other', 'together'])(
    'runs several changes of one transaction, made %s, while the transaction holds the key once',
    async (way) => {
      const queue = newQueue();
      const { opened, open } = gate();
      const before = queue.exclusive(channelId, () => opened);
      await transactions.run(async () => {
        const change = () => queue.exclusive(channelId, () => add(1));
        setImmediate(open);
        if (way === 'together') await Promise.all([change(), change(), change()]);
        else for (let count = 0; count < 3; count++) await change();
      });
      await before;
      expect(await seen.findOne({ _id: 1 })).toEqual({ _id: 1, n: 3 });
      await expect(queue.add(channelId, 'next')).resolves.toBe('next');
    },
  );

  test('admits the next change only after the transaction and its effects have ended', async () => {
    const queue = newQueue();
    const order: string[] = [];
    const { opened, open } = gate();
    const started = gate();
    const change = (name: string) =>
      transactions.run(async () => {
        await queue.exclusive(channelId, async () => {
          order.push(`${name} changes`);
          started.open();
          const { n } = (await items.findOne({ _id: 1 }))!;
          await items.updateOne({ _id: 1 }, { $set: { n: n + 1 } });
        });
        if (name === 'first') await opened;
        await transactions.afterCommit(() => Promise.resolve(void order.push(`${name} is heard`)));
      });
    const first = change('first');
    await started.opened;
    const second = change('second');
    const third = queue.add(channelId, 'message').then(() => order.push('message'));
    open();
    await Promise.all([first, second, third]);
    expect(order).toEqual([
      'first changes',
      'first is heard',
      'second changes',
      'second is heard',
      'message',
    ]);
    expect(await seen.findOne({ _id: 1 })).toEqual({ _id: 1, n: 2 });
  });

  test('continues after a transaction that was rolled back or retried', async () => {
    const queue = newQueue();
    const undone = transactions.run(() => queue.exclusive(channelId, failing('no')));
    await expect(undone).rejects.toThrow('no');
    let tries = 0;
    await transactions.run(async () => {
      await items.findOne({ _id: 1 });
      await queue.exclusive(channelId, async () => {
        if (++tries === 1) await seen.updateOne({ _id: 1 }, { $inc: { n: 10 } });
        await add(1);
      });
    });
    expect(tries).toBe(2);
    expect(await seen.findOne({ _id: 1 })).toEqual({ _id: 1, n: 11 });
    await expect(queue.add(channelId, 'next')).resolves.toBe('next');
  });
});

describe.each([
  ['one command', true],
  ['one command for each collection', false],
])('a list of writes, sent with %s', (_, useBulkWrite) => {
  let own: Transactions;
  let others: Collection<Item>;
  let writes: WriteList<string>;
  let noticed: string[];
  const notice = (name: string) => () => void noticed.push(name);
  beforeAll(async () => {
    own = await createTransactions(seen.db.client, useBulkWrite);
  });
  beforeEach(async () => {
    await seen.db.collection('others').deleteMany({});
    noticed = [];
    others = inTransactions(seen.db.collection<Item>('others'), notice('others'));
    items = inTransactions(seen, notice('items'));
    writes = new WriteList('first');
  });
  const refusal = async () => {
    const error: unknown = await own.run(() => own.write(writes)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WriteRefused);
    return error as WriteRefused<string>;
  };

  test('writes to all collections in one transaction, and calls their watchers', async () => {
    writes.insert(others, { _id: 1, n: 1 });
    writes.insert(items, { _id: 3, n: 3 });
    writes.upsert(others, { _id: 2 }, { $inc: { n: 5 } });
    writes.updateRequired(items, { _id: 1, n: 0 }, { $inc: { n: 1 } });
    writes.updateOne(items, { _id: 9 }, { $set: { n: 9 } });
    writes.updateMany(items, {}, { $inc: { n: 10 } });
    const work = own.run(async () => {
      await own.write(writes);
      expect(await others.find().sort({ _id: 1 }).toArray()).toEqual([
        { _id: 1, n: 1 },
        { _id: 2, n: 5 },
      ]);
      expect(await own.outside(stored)).toHaveLength(2);
      expect(noticed).toEqual([]);
    });
    await work;
    expect(await stored()).toEqual([
      [1, 11],
      [2, 10],
      [3, 13],
    ]);
    expect(noticed.sort()).toEqual(['items', 'others']);
  });

  test('writes outside of a transaction, too', async () => {
    writes.insert(others, { _id: 1, n: 1 });
    writes.updateOne(items, { _id: 1 }, { $set: { n: 7 } });
    await own.write(writes);
    expect(await stored()).toContainEqual([1, 7]);
    expect(noticed.sort()).toEqual(['items', 'others']);
    await own.write(new WriteList('empty'));
  });

  test('takes the order of the collections that it is given', async () => {
    writes.inOrder([items, others]);
    writes.insert(others, { _id: 1, n: 1 });
    writes.insert(others, { _id: 1, n: 2 });
    writes.updateOne(items, { _id: 1 }, { $set: { n: 7 } });
    await expect(own.write(writes)).rejects.toMatchObject({ duplicateIndex: '_id_' });
    // Without a transaction, what comes before the refused write is written.
    expect(await stored()).toContainEqual([1, 7]);
    expect(await others.find().toArray()).toEqual([{ _id: 1, n: 1 }]);
  });

  test.each([
    ['is in another state', { _id: 2, n: 5 }],
    ['does not exist', { _id: 8, n: 0 }],
  ])('is refused as a whole if a required document %s', async (_reason, filter) => {
    writes.insert(others, { _id: 1, n: 1 });
    writes.updateRequired(items, { _id: 1, n: 0 }, { $inc: { n: 1 } });
    writes.group = 'second';
    writes.updateRequired(items, filter, { $inc: { n: 1 } });
    expect(await refusal()).toMatchObject({ isUnmatched: true, write: { group: 'second' } });
    expect([await stored(), await others.countDocuments()]).toEqual([
      [
        [1, 0],
        [2, 0],
      ],
      0,
    ]);
  });

  test('is refused as a whole by a unique index, and names the write', async () => {
    writes.insert(others, { _id: 1, n: 1 });
    writes.insert(items, { _id: 3, n: 1 });
    writes.group = 'second';
    writes.insert(items, { _id: 2, n: 1 });
    expect(await refusal()).toMatchObject({
      isUnmatched: false,
      duplicateIndex: '_id_',
      write: { group: 'second' },
    });
    expect(await others.countDocuments()).toBe(0);
  });

  test('is written again after a conflict with another transaction', async () => {
    const { opened, open } = gate();
    const { opened: locked, open: lock } = gate();
    const other = own.run(async () => {
      await add(1);
      lock();
      await opened;
    });
    await locked;
    let attempts = 0;
    const work = own.run(async () => {
      const one = new WriteList('first');
      one.insert(others, { _id: 1, n: 1 });
      one.updateRequired(items, { _id: 1 }, { $inc: { n: 1 } });
      if (attempts++ > 0) open();
      await own.write(one);
    });
    await Promise.all([work, other]);
    expect(attempts).toBeGreaterThan(1);
    expect(await stored()).toContainEqual([1, 2]);
    expect(await others.countDocuments()).toBe(1);
  });
});
