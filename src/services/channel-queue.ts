import type { ObjectId } from 'mongodb';
import { AsyncResource } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Transactions } from '../db/transaction';

interface Job<Item> {
  item: Item;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

type Entry<Item> = { kind: 'batched'; job: Job<Item> } | { kind: 'alone'; run: () => Promise<void> };

/** Takes turns in the lines of channels, for what writes no messages. */
export type Lines = Pick<ChannelQueue<unknown, unknown>, 'alone'>;

/**
 * Takes the turn at several channels in the order that two transactions at once do not block each other in. To be
 * called before anything is written: who has a turn may be waiting for a document that the transaction which
 * waits for the turn holds.
 */
export async function takeTurns(lines: Lines, channelIds: readonly ObjectId[]): Promise<void> {
  const inOrder = [...channelIds].sort((one, other) => one.toHexString().localeCompare(other.toHexString()));
  for (const channelId of inOrder) await lines.alone(channelId, () => Promise.resolve());
}

/** The most items that share one write: enough to amortise a disk flush, small enough to answer soon. */
const MAX_BATCH = 256;

/**
 * Puts the changes of each channel in a line: one at a time in the order in which they came, so that numbers
 * are given and events go out in one order. Items that wait behind each other are handed over together, so
 * that they share one write (group commit). Different channels do not wait for each other.
 */
export class ChannelQueue<Item, Result> {
  private readonly lines = new Map<string, Entry<Item>[]>();
  /** For each transaction, known by its end: the channels whose turn it has asked for, and when that comes. */
  private readonly turns = new WeakMap<Promise<void>, Map<string, Promise<void>>>();

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
   * a transaction keeps its turn until that has ended, for as many changes as it makes. A transaction that
   * changes several channels takes them in the order of their ids: two that wait for each other wait for ever.
   */
  alone<Value>(channelId: ObjectId, change: () => Promise<Value>): Promise<Value> {
    const end = this.transactions.settled();
    return end ? this.aloneUntil(end, channelId, change) : this.inLine(channelId, change);
  }

  private async aloneUntil<Value>(
    end: Promise<void>,
    channelId: ObjectId,
    change: () => Promise<Value>,
  ): Promise<Value> {
    const mine = this.turns.get(end) ?? new Map<string, Promise<void>>();
    this.turns.set(end, mine);
    const key = channelId.toHexString();
    let turn = mine.get(key);
    if (!turn) {
      turn = new Promise<void>((come) => {
        void this.inLine(channelId, async () => {
          come();
          await end;
        });
      });
      mine.set(key, turn);
    }
    await turn;
    return change();
  }

  private inLine<Value>(channelId: ObjectId, change: () => Promise<Value>): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      // The line is worked off by one caller for all: each change goes on in the chain of its own calls. And
      // called inside a promise, since a change that throws before its first await must not stop the line.
      const run = AsyncResource.bind(() => Promise.resolve().then(change).then(resolve, reject));
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
    // What has come in together is still being handed over, one by one: it shares the first write, too.
    if (line[0]?.kind === 'batched') await nextTurn();
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
