import { ObjectId, type Collection } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  COUNTED_COLLECTIONS,
  NO_COUNTS,
  type CountedCollection,
  type Counts,
  type HourlyCountDocument,
} from '../../models/admin/statistics.model';

const HOUR_MS = 3600_000;
/** How often new documents are counted. */
export const COUNTING_INTERVAL_MS = 60_000;
/** The age from which documents are counted permanently: no transaction takes longer to commit. */
const SETTLED_AGE_MS = 60_000;
/** The longest period that is counted while a request waits; if the background count lags more, the rest is left out. */
const MAX_TAIL_MS = 15 * 60_000;

const HEAD = 'hourly_counts';

/**
 * Counts the documents that were created in each hour. Ids contain their time of creation, so a period is a range of the
 * `_id` index, and sending a message writes no counter. Documents older than a minute are counted once, in the
 * background, and stored per hour; the most recent ones are counted on request.
 */
export class HourlyCounts {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
  ) {}

  /**
   * Returns the hours since a time in which documents were created, in order, and the time up to which they are complete.
   * @param from the beginning of an hour.
   */
  async since(from: Date): Promise<{ hours: HourlyCountDocument[]; countedTo: Date }> {
    const now = new Date();
    const counted = await this.countedTo();
    const stored = await this.collections.hourlyCounts
      .find({ _id: { $gte: from } })
      .sort({ _id: 1 })
      .toArray();
    // Hours that an older version has counted lack what it did not count.
    const hours = stored.map((hour) => ({ ...NO_COUNTS, ...hour }));
    if (now.getTime() - counted.getTime() > MAX_TAIL_MS) return { hours, countedTo: counted };
    // Includes the current second.
    const end = new Date(wholeSecond(now).getTime() + 1000);
    for (let begin = counted; begin < end;) {
      const stop = earlier(nextHour(begin), end);
      addTo(hours, hourOf(begin), await this.count(begin, stop));
      begin = stop;
    }
    return { hours, countedTo: now };
  }

  /**
   * Counts and stores the documents that are older than a minute. Several nodes may do so concurrently.
   * @param signal stops it after the current hour; the next call continues.
   */
  async advance(signal?: AbortSignal): Promise<void> {
    const end = wholeSecond(new Date(Date.now() - SETTLED_AGE_MS));
    await this.collections.hourlyCountsHead.updateOne(
      { _id: HEAD },
      { $setOnInsert: { countedTo: new Date(0) } },
      { upsert: true },
    );
    while (!signal?.aborted) {
      const countedTo = await this.countedTo();
      if (countedTo >= end) return;
      const first = await this.firstSince(countedTo);
      const begin = first && first > countedTo ? first : countedTo;
      if (!first || begin >= end) {
        await this.moveHead(countedTo, end);
        continue;
      }
      const stop = earlier(nextHour(begin), end);
      const counts = await this.count(begin, stop);
      await this.transactions.run(async () => {
        if (!(await this.moveHead(countedTo, stop))) return;
        await this.collections.hourlyCounts.updateOne(
          { _id: hourOf(begin) },
          { $inc: counts },
          { upsert: true },
        );
      });
    }
  }

  private async countedTo(): Promise<Date> {
    const head = await this.collections.hourlyCountsHead.findOne({ _id: HEAD });
    return head?.countedTo ?? new Date(0);
  }

  /** @returns false if another node has moved it. */
  private async moveHead(from: Date, to: Date): Promise<boolean> {
    const { modifiedCount } = await this.collections.hourlyCountsHead.updateOne(
      { _id: HEAD, countedTo: from },
      { $set: { countedTo: to } },
    );
    return modifiedCount > 0;
  }

  /** The time of the first document since a time, to the second. */
  private async firstSince(from: Date): Promise<Date | undefined> {
    const first = async (collection: Collection<{ _id: ObjectId }>) => {
      const [row] = await collection
        .find({ _id: { $gte: idAt(from) } }, { projection: { _id: 1 } })
        .sort({ _id: 1 })
        .limit(1)
        .toArray();
      return row?._id.getTimestamp();
    };
    const times = await Promise.all(COUNTED_COLLECTIONS.map((each) => first(this.collection(each))));
    return times.reduce((one, other) => (one && other ? earlier(one, other) : (one ?? other)));
  }

  private async count(from: Date, to: Date): Promise<Counts> {
    const range = { _id: { $gte: idAt(from), $lt: idAt(to) } };
    const counts = await Promise.all(
      COUNTED_COLLECTIONS.map(
        async (each) => [each, await this.collection(each).countDocuments(range)] as const,
      ),
    );
    return Object.fromEntries(counts) as Counts;
  }

  private collection(name: CountedCollection): Collection<{ _id: ObjectId }> {
    return this.collections[name] as unknown as Collection<{ _id: ObjectId }>;
  }
}

/** The smallest id that can be generated in a second. */
function idAt(time: Date): ObjectId {
  return ObjectId.createFromTime(Math.floor(time.getTime() / 1000));
}

function wholeSecond(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000);
}

function hourOf(time: Date): Date {
  return new Date(Math.floor(time.getTime() / HOUR_MS) * HOUR_MS);
}

function nextHour(time: Date): Date {
  return new Date(hourOf(time).getTime() + HOUR_MS);
}

function earlier(one: Date, other: Date): Date {
  return one < other ? one : other;
}

/** Adds counts to the last hour, or appends the hour. */
function addTo(hours: HourlyCountDocument[], hour: Date, counts: Counts): void {
  const last = hours.at(-1);
  if (last?._id.getTime() !== hour.getTime()) hours.push({ _id: hour, ...counts });
  else for (const each of COUNTED_COLLECTIONS) last[each] += counts[each];
}
