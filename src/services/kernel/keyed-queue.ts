import type { ObjectId } from 'mongodb';
import { AsyncResource } from 'node:async_hooks';
import { setImmediate as nextTick } from 'node:timers/promises';
import type { Transactions } from '../../db/transaction';
import { inputRead } from './event-loop-turn';

/** The most items that share one write: enough to amortise a disk flush, few enough to be acknowledged soon. */
const MAX_BATCH = 256;

/** A batch that is durable. */
export interface Committed<Result> {
  /** The outcome of each item, in the order of the items: an item that is refused fails alone. */
  outcomes: readonly PromiseSettledResult<Result>[];
  /** Publishes what the batch has changed. The items are acknowledged after it. */
  publish(): Promise<void>;
}

/** Writes a batch of one key. When it throws, all items of the batch fail with its error. */
export type Commit<Item, Result> = (key: ObjectId, items: readonly Item[]) => Promise<Committed<Result>>;

/** The side of a `KeyedQueue` that takes items which share a write. */
export interface BatchQueue<Item, Result> {
  /** Adds an item to the next batch of the key. Resolves when the batch is durable and published. */
  add: (key: ObjectId, item: Item) => Promise<Result>;
}

interface Job {
  item: unknown;
  commit: Commit<unknown, unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

type Entry = { kind: 'batched'; job: Job } | { kind: 'exclusive'; run: () => Promise<void> };

interface Queue {
  entries: Entry[];
  working: boolean;
  /** Resolves when everything that has been written so far is published. */
  published: Promise<void>;
}

/**
 * Serialises changes by key (the id of a channel or of a group): one at a time in the order in which they arrived, so
 * that sequence numbers are assigned and events are published in one order. Batched items that wait at the same time
 * are committed together (group commit); while one batch is published, the next is already being written. Different
 * keys do not wait for each other.
 */
export class KeyedQueue {
  private readonly queues = new Map<string, Queue>();
  /** By transaction, identified by the promise of its end: the keys that it has asked for, and when it gets each. */
  private readonly held = new WeakMap<Promise<void>, Map<string, Promise<void>>>();

  constructor(private readonly transactions: Pick<Transactions, 'settled' | 'outside'>) {}

  /** How many changes and items wait, of all keys. */
  get size(): number {
    let waiting = 0;
    for (const { entries } of this.queues.values()) waiting += entries.length;
    return waiting;
  }

  /** @returns a queue of items that `commit` writes in batches. It shares the order of this queue. */
  batched<Item, Result>(commit: Commit<Item, Result>): BatchQueue<Item, Result> {
    return {
      add: (key, item) =>
        new Promise<Result>((resolve, reject) => {
          const job: Job = {
            item,
            commit: commit as Commit<unknown, unknown>,
            resolve: (value) => resolve(value as Result),
            reject,
          };
          this.push(key, { kind: 'batched', job });
        }),
    };
  }

  /**
   * Runs a change after all that arrived before it, and before all that arrives after it. A transaction holds the key
   * until it ends, for as many changes as it makes. A transaction that changes several keys acquires them in the order
   * of their ids (`acquire`): two transactions that wait for each other would wait for ever.
   */
  exclusive<Value>(key: ObjectId, change: () => Promise<Value>): Promise<Value> {
    const end = this.transactions.settled();
    return end ? this.heldUntil(end, key, change) : this.enqueue(key, change);
  }

  /**
   * Holds several keys until the end of the transaction, in the order in which two transactions cannot block each
   * other. Call it before anything is written: the holder of a key may be waiting for a document that the transaction
   * which waits for the key has locked.
   */
  async acquire(keys: readonly ObjectId[]): Promise<void> {
    const inOrder = [...keys].sort((one, other) => one.toHexString().localeCompare(other.toHexString()));
    for (const key of inOrder) await this.exclusive(key, () => Promise.resolve());
  }

  private async heldUntil<Value>(
    end: Promise<void>,
    key: ObjectId,
    change: () => Promise<Value>,
  ): Promise<Value> {
    const own = this.held.get(end) ?? new Map<string, Promise<void>>();
    this.held.set(end, own);
    const name = key.toHexString();
    let acquired = own.get(name);
    if (!acquired) {
      acquired = new Promise<void>((resolve) => {
        void this.enqueue(key, async () => {
          resolve();
          await end;
        });
      });
      own.set(name, acquired);
    }
    await acquired;
    return change();
  }

  private enqueue<Value>(key: ObjectId, change: () => Promise<Value>): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      // One caller works off the queue for all: each change continues in the asynchronous context of its own caller.
      // It is called inside a promise, since a change that throws before its first await must not stop the queue.
      const run = AsyncResource.bind(() => Promise.resolve().then(change).then(resolve, reject));
      this.push(key, { kind: 'exclusive', run });
    });
  }

  private push(key: ObjectId, entry: Entry): void {
    const name = key.toHexString();
    const queue = this.queues.get(name) ?? { entries: [], working: false, published: Promise.resolve() };
    this.queues.set(name, queue);
    queue.entries.push(entry);
    if (!queue.working) void this.transactions.outside(() => this.work(key, queue));
  }

  private async work(key: ObjectId, queue: Queue): Promise<void> {
    const { entries } = queue;
    queue.working = true;
    // Items that arrived together are still being added, one after the other: they share the first write, too.
    if (entries[0]?.kind === 'batched') await inputRead();
    for (let first = entries[0]; first; first = entries[0]) {
      if (first.kind === 'exclusive') {
        entries.shift();
        await queue.published;
        await first.run();
      } else {
        const { commit } = first.job;
        const jobs = takeBatch(entries, commit);
        const items = jobs.map(({ item }) => item);
        const committed = await settleFailure(jobs, () => commit(key, items));
        // No more than one batch waits to be published, in the order of the writes.
        await queue.published;
        if (committed) queue.published = publish(committed, jobs, entries);
      }
    }
    queue.working = false;
    await queue.published;
    if (!queue.working) this.queues.delete(key.toHexString());
  }
}

/** Publishes a batch, and then settles its items. */
async function publish(
  committed: Committed<unknown>,
  jobs: readonly Job[],
  waiting: readonly Entry[],
): Promise<void> {
  // The next batch begins to be written first, so that the store and this thread work side by side.
  if (waiting.length > 0) await nextTick();
  await settleFailure(jobs, async () => {
    await committed.publish();
    jobs.forEach((job, index) => {
      const outcome = committed.outcomes[index];
      if (outcome?.status === 'fulfilled') job.resolve(outcome.value);
      else job.reject(outcome?.reason ?? new Error('A batch was written without an outcome for each item.'));
    });
  });
}

/** Rejects all items with the error of the work that is done for them. */
async function settleFailure<Value>(
  jobs: readonly Job[],
  work: () => Promise<Value>,
): Promise<Value | undefined> {
  try {
    return await work();
  } catch (error) {
    for (const job of jobs) job.reject(error);
    return undefined;
  }
}

/** Removes the items at the head of the queue that one commit may write. */
function takeBatch(entries: Entry[], commit: Commit<unknown, unknown>): Job[] {
  const jobs: Job[] = [];
  for (const entry of entries) {
    if (jobs.length === MAX_BATCH || entry.kind !== 'batched' || entry.job.commit !== commit) break;
    jobs.push(entry.job);
  }
  entries.splice(0, jobs.length);
  return jobs;
}
