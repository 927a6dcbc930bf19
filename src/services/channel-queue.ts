import type { ObjectId } from 'mongodb';
import { AsyncResource } from 'node:async_hooks';
import type { Transactions } from '../db/transaction';

interface Job<Item> {
  item: Item;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

type Entry<Item> = { kind: 'batched'; job: Job<Item> } | { kind: 'alone'; run: () => Promise<void> };

/** The most items that share one write: enough to amortise a disk flush, small enough to answer soon. */
const MAX_BATCH = 256;

/**
 * Puts the changes of each channel in a line: one at a time in the order in which they came, so that numbers
 * are given and events go out in one order. Items that wait behind each other are handed over together, so
 * that they share one write (group commit). Different channels do not wait for each other.
 */
export class ChannelQueue<Item, Result> {
  private readonly lines = new Map<string, Entry<Item>[]>();
  /** The end of the transaction whose turn it is, by channel. */
  private readonly held = new Map<string, Promise<void>>();

  /**
   * @param commit writes a batch; it settles every item by itself, so that a bad one fails alone. When it
   *   throws, all items that are not settled fail with its error.
   */
  constructor(
    private readonly transactions: Pick<Transactions, 'settled' | 'outside'>,
    private readonly commit: (
      channelId: ObjectId,
      items: readonly Item[],
    ) => Promise<readonly PromiseSettledResult<Result>[]>,
  ) {}

  /** Adds an item to the channel's next batch. */
  add(channelId: ObjectId, item: Item): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const job: Job<Item> = { item, resolve: (value) => resolve(value as Result), reject };
      this.push(channelId, { kind: 'batched', job });
    });
  }

  /**
   * Runs a change of the channel after all that came before it, and before all that comes after. What is part of
   * a transaction keeps its turn until that has ended, for as many changes as it makes.
   */
  alone<Value>(channelId: ObjectId, change: () => Promise<Value>): Promise<Value> {
    const key = channelId.toHexString();
    const end = this.transactions.settled();
    if (end && this.held.get(key) === end) return change();
    return new Promise<Value>((resolve, reject) => {
      // The line is worked off by one caller for all: each change stays part of its own transaction. And called
      // inside a promise, since a change that throws before its first await must not stop the line.
      const run = AsyncResource.bind(async () => {
        if (end) this.held.set(key, end);
        await Promise.resolve().then(change).then(resolve, reject);
        await end;
        this.held.delete(key);
      });
      this.push(channelId, { kind: 'alone', run });
    });
  }

  private push(channelId: ObjectId, entry: Entry<Item>): void {
    const key = channelId.toHexString();
    const line = this.lines.get(key);
    if (line) {
      line.push(entry);
      return;
    }
    const started = [entry];
    this.lines.set(key, started);
    void this.transactions.outside(() => this.work(channelId, key, started));
  }

  private async work(channelId: ObjectId, key: string, line: Entry<Item>[]): Promise<void> {
    for (let first = line[0]; first; first = line[0]) {
      if (first.kind === 'alone') {
        line.shift();
        await first.run();
      } else {
        await this.commitBatch(channelId, takeBatch(line));
      }
    }
    this.lines.delete(key);
  }

  private async commitBatch(channelId: ObjectId, jobs: Job<Item>[]): Promise<void> {
    try {
      const results = await this.commit(
        channelId,
        jobs.map(({ item }) => item),
      );
      jobs.forEach((job, index) => {
        const result = results[index];
        if (result?.status === 'fulfilled') job.resolve(result.value);
        else job.reject(result?.reason ?? new Error('A batch was written without an answer for each item.'));
      });
    } catch (error) {
      for (const job of jobs) job.reject(error);
    }
  }
}

function takeBatch<Item>(line: Entry<Item>[]): Job<Item>[] {
  let count = 0;
  while (count < MAX_BATCH && line[count]?.kind === 'batched') count++;
  return line.splice(0, count).flatMap((entry) => (entry.kind === 'batched' ? [entry.job] : []));
}
