import { ObjectId } from 'mongodb';
import { randomUUID } from 'node:crypto';
import type { Transactions } from '../../../db/transaction';
import type { Answer } from '../../../models/idempotency/idempotency.model';
import { IdempotencyService } from '../../../services/idempotency/idempotency.service';
import { KeyRecords } from '../../../services/idempotency/key-records';
import type { IdempotentRequest } from '../../../services/idempotency/idempotent-request';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';

const SECRET = 'a secret that all nodes share, for tests';
const TIMING = { timeoutMs: 400, pollMs: 10, leaseMs: 300 };
const userId = new ObjectId();

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const records = () => server.context.database.collections.idempotencyKeys;
const blocks = () => server.context.database.collections.blocks;

/** A node of its own on the shared database. */
function newNode(timing = TIMING, transactions: Partial<Transactions> = {}): IdempotencyService {
  const { database, logger } = server.context;
  const own = { ...database.transactions, ...transactions };
  return new IdempotencyService(new KeyRecords(database.collections), own, SECRET, logger, timing);
}

function callOf(mode: IdempotentRequest['mode'], more: Partial<IdempotentRequest> = {}): IdempotentRequest {
  return { key: randomUUID(), userId, operation: 'test', input: [{ a: 1 }], mode, ...more };
}

const held: (() => void)[] = [];
afterEach(() => {
  for (const release of held.splice(0)) release();
});

/** Work that writes one document, counts its calls, and can be paused. */
function newWork() {
  const _id = new ObjectId();
  const work = {
    times: 0,
    release: () => {},
    held: Promise.resolve(),
    hold: () => {
      work.held = new Promise((resolve) => (work.release = resolve));
      held.push(work.release);
      return work;
    },
    written: () => blocks().countDocuments({ userId: _id }),
    run: async (): Promise<Answer> => {
      const time = ++work.times;
      await blocks().insertOne({
        _id: new ObjectId(),
        userId: _id,
        blockedId: new ObjectId(),
        createdAt: new Date(),
      });
      await work.held;
      return { status: 201, body: { time } };
    },
  };
  return work;
}

const refusedWith = (code: string) => expect.objectContaining({ code }) as unknown;

describe.each(['atomic', 'recorded'] as const)('a request whose answer is %s', (mode) => {
  test('is performed once by two concurrent nodes, and the second waits for the first', async () => {
    const call = callOf(mode);
    const work = newWork().hold();
    const patient = { ...TIMING, timeoutMs: 10_000, leaseMs: 1000 };
    const first = newNode(patient).run(call, work.run);
    await until(() => work.times === 1);
    const second = newNode(patient).run(call, work.run);
    // Longer than the lease, which the first node renews.
    setTimeout(work.release, patient.leaseMs * 2);
    expect(await first).toEqual({ answer: { status: 201, body: { time: 1 } }, replayed: false });
    expect(await second).toEqual({ answer: { status: 201, body: { time: 1 } }, replayed: true });
    expect(await work.written()).toBe(1);
  });

  test.each(['on another node', 'on the same node'])(
    'that takes too long does not delay a second one %s for ever',
    async (where) => {
      const call = callOf(mode);
      const work = newWork().hold();
      const node = newNode();
      const first = node.run(call, work.run);
      await until(() => work.times === 1);
      const second = where === 'on the same node' ? node : newNode();
      await expect(second.run(call, work.run)).rejects.toEqual(
        expect.objectContaining({ code: 'idempotency_in_progress', retryAfter: 1 }),
      );
      work.release();
      expect((await first).replayed).toBe(false);
      expect((await second.run(call, work.run)).replayed).toBe(true);
      expect(await work.written()).toBe(1);
    },
  );

  test('that fails does not block the next one on any node', async () => {
    const call = callOf(mode);
    const failing = () => Promise.reject(new Error('no'));
    await expect(newNode().run(call, failing)).rejects.toThrow('no');
    const work = newWork();
    expect(await newNode().run(call, work.run)).toMatchObject({ replayed: false });
    expect(await newNode().run(call, work.run)).toMatchObject({ replayed: true });
    expect(await work.written()).toBe(1);
  });

  test('that fails lets those that wait for it try', async () => {
    const call = callOf(mode);
    const node = newNode();
    const slow = newWork().hold();
    const failing = node.run(call, async () => {
      await slow.run();
      throw new Error('no');
    });
    await until(() => slow.times === 1);
    const work = newWork();
    const others = Promise.all([1, 2, 3].map(() => node.run(call, work.run)));
    slow.release();
    await expect(failing).rejects.toThrow('no');
    expect((await others).map(({ replayed }) => replayed).sort()).toEqual([false, true, true]);
    expect(await slow.written()).toBe(mode === 'atomic' ? 0 : 1);
  });

  test('is distinguished by its operation and its whole input', async () => {
    const work = newWork();
    const call = callOf(mode, { input: [{ a: 1 }, undefined, { b: { c: [1, 2], d: null } }] });
    await newNode().run(call, work.run);
    const equal = [{ b: { d: null, c: [1, 2] }, e: undefined }, { a: 1 }];
    expect((await newNode().run({ ...call, input: equal }, work.run)).replayed).toBe(true);
    const others: Partial<IdempotentRequest>[] = [
      { operation: 'other' },
      { input: [] },
      { input: [{ a: 1 }] },
      { input: [{ a: '1' }, { b: { c: [1, 2], d: null } }] },
      { input: [{ a: 1 }, { b: { c: [2, 1], d: null } }] },
      { input: [{ a: 1 }, { b: { c: [1, 2] } }] },
      { input: [{ a: 1 }, { a: 1 }, { b: { c: [1, 2], d: null } }] },
    ];
    for (const other of others) {
      await expect(newNode().run({ ...call, ...other }, work.run)).rejects.toEqual(
        refusedWith('idempotency_key_reused'),
      );
    }
    expect(work.times).toBe(1);
  });

  test('whose answer is too long to store is an error', async () => {
    const call = callOf(mode);
    const long = () => Promise.resolve({ status: 200, body: 'x'.repeat(1_000_001) });
    const result = newNode().run(call, long);
    if (mode === 'atomic') await expect(result).rejects.toThrow('too long');
    else expect((await result).answer.status).toBe(200);
  });
});

describe('a recorded request', () => {
  test('of a process that has died blocks others for no longer than its lease', async () => {
    const call = callOf('recorded');
    const never = newWork().hold();
    // Its process is killed, so that it renews nothing any more.
    const dead = newNode({ ...TIMING, leaseMs: 3600_000 });
    const late = dead.run(call, never.run);
    await until(() => never.times === 1);
    const claim = await records().findOne({
      sealed: null,
      expiresAt: { $gt: new Date(Date.now() + 1800_000) },
    });
    const work = newWork();
    await expect(newNode().run(call, work.run)).rejects.toEqual(refusedWith('idempotency_in_progress'));
    await records().updateOne({ _id: claim!._id }, { $set: { expiresAt: new Date(Date.now() + 200) } });
    expect(await newNode().run(call, work.run)).toMatchObject({ replayed: false });
    expect(await newNode().run(call, work.run)).toMatchObject({ replayed: true });
    // If it is alive after all, it does not overwrite the recorded answer.
    never.release();
    await late;
    expect((await newNode().run(call, work.run)).answer.body).toEqual({ time: 1 });
  });
});

describe('on a server without transactions', () => {
  test('an atomic request is recorded after its write', async () => {
    const node = () => newNode(TIMING, { supported: false });
    const call = callOf('atomic');
    const work = newWork();
    const answers = await Promise.all([node(), node()].map((each) => each.run(call, work.run)));
    expect(answers.map(({ replayed }) => replayed).sort()).toEqual([false, true]);
    expect(await work.written()).toBe(1);
    const failing = callOf('atomic');
    await expect(node().run(failing, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect((await node().run(failing, work.run)).replayed).toBe(false);
  });
});

describe('an idempotency record', () => {
  test('cannot be decrypted with another secret, and belongs to one user', async () => {
    const { database, logger } = server.context;
    const call = callOf('atomic');
    const work = newWork();
    await newNode().run(call, work.run);
    const other = new IdempotencyService(
      new KeyRecords(database.collections),
      database.transactions,
      `${SECRET} changed`,
      logger,
      TIMING,
    );
    await expect(other.run(call, work.run)).rejects.toThrow('encrypted with another key');
    expect((await newNode().run({ ...call, userId: new ObjectId() }, work.run)).replayed).toBe(false);
    expect((await newNode().run({ ...call, userId: undefined }, work.run)).replayed).toBe(false);
    expect((await newNode().run({ ...call, userId: undefined, operation: 'other' }, work.run)).replayed).toBe(
      false,
    );
  });
});
