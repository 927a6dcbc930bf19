import type { ObjectId } from 'mongodb';
import { AsyncResource } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Transactions } from '../../db/transaction';

interface Job<Item> {
  item: Item;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

type Entry<Item> = { kind: 'batched'; job: Job<Item> } | { kind: 'alone'; run: () => Promise<void> };

interface Line<Item> {
  entries: Entry<Item>[];
  working: boolean;
  /** When what has been written so far has been told. */
  told: Promise<void>;
}

/** A batch that is durable. */
export interface Committed<Result> {
  /** What has come of each item, in their order: a bad one fails alone. */
  outcomes: readonly PromiseSettledResult<Result>[];
  /** Tells those whom it concerns; the items are answered behind it. */
  tell(): Promise<void>;
}

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
 * that they share one write (group commit); while one batch is told, the next is written already. Different
 * channels do not wait for each other.
 */
export class ChannelQueue<Item, Result> {
  private readonly lines = new Map<string, Line<Item>>();
  /** For each transaction, known by its end: the channels whose turn it has asked for, and when that comes. */
  private readonly turns = new WeakMap<Promise<void>, Map<string, Promise<void>>>();

  /** @param commit writes a batch. When it throws, all items fail with its error. */
  constructor(
    private readonly transactions: Pick<Transactions, 'settled' | 'outside'>,
    private readonly commit: (channelId: ObjectId, items: readonly Item[]) => Promise<Committed<Result>>,
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
    const line = this.lines.get(key) ?? { entries: [], working: false, told: Promise.resolve() };
    this.lines.set(key, line);
    line.entries.push(entry);
    if (!line.working) void this.transactions.outside(() => this.work(channelId, line));
  }

  private async work(channelId: ObjectId, line: Line<Item>): Promise<void> {
    const { entries } = line;
    line.working = true;
    // What has come in together is still being handed over, one by one: it shares the first write, too.
    if (entries[0]?.kind === 'batched') await nextTurn();
    for (let first = entries[0]; first; first = entries[0]) {
      if (first.kind === 'alone') {
        entries.shift();
        await line.told;
        await first.run();
      } else {
        const jobs = takeBatch(entries);
        const committed = await this.settleFailure(jobs, () =>
          this.commit(
            channelId,
            jobs.map(({ item }) => item),
          ),
        );
        // No more than one batch waits to be told, and that in the order of the writes.
        await line.told;
        if (committed) line.told = this.tell(committed, jobs, entries);
      }
    }
    line.working = false;
    await line.told;
    if (!line.working) this.lines.delete(channelId.toHexString());
  }

  private async tell(
    committed: Committed<Result>,
    jobs: Job<Item>[],
    behind: readonly Entry<Item>[],
  ): Promise<void> {
    // Those who wait to be written go first, so that the store and this thread work side by side.
    if (behind.length > 0) await nextTurn();
    await this.settleFailure(jobs, async () => {
      await committed.tell();
      jobs.forEach((job, index) => {
        const outcome = committed.outcomes[index];
        if (outcome?.status === 'fulfilled') job.resolve(outcome.value);
        else job.reject(outcome?.reason ?? new Error('A batch was written without an answer for each item.'));
      });
    });
  }

  /** Lets all items fail with the error of what is done for them. */
  private async settleFailure<Value>(
    jobs: Job<Item>[],
    work: () => Promise<Value>,
  ): Promise<Value | undefined> {
    try {
      return await work();
    } catch (error) {
      for (const job of jobs) job.reject(error);
      return undefined;
    }
  }
}

function takeBatch<Item>(line: Entry<Item>[]): Job<Item>[] {
  let count = 0;
  while (count < MAX_BATCH && line[count]?.kind === 'batched') count++;
  return line.splice(0, count).flatMap((entry) => (entry.kind === 'batched' ? [entry.job] : []));
}
