import { ObjectId, type Collection } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  COUNTED_COLLECTIONS,
  type CountedCollection,
  type Counts,
  type HourlyCountDocument,
} from '../../models/admin/statistics.model';

const HOUR = 3600_000;
/** How often what has come since is counted, in milliseconds. */
export const COUNTING_INTERVAL_MS = 60_000;
/** How old something is, in milliseconds, before it is counted for good: no transaction takes that long to commit. */
const SETTLED = 60_000;
/** How far the count may be behind, in milliseconds, for the rest to be counted by whoever asks. */
const MAX_TAIL = 15 * 60_000;

const HEAD = 'hourly_counts';

/**
 * How much came into being in each hour. Ids tell when they were made, so a range of time is a range of the index
 * of ids, and nothing is written for it when messages are sent. What is older than a minute is counted once, in the
 * background, and written down by the hour; the last minutes are counted when somebody asks.
 */
export class HourlyCounts {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
  ) {}

  /**
   * The hours from a time on in which anything came into being, in their order.
   * @param from the beginning of an hour.
   * @returns with them, up to when all is in them.
   */
  async since(from: Date): Promise<{ hours: HourlyCountDocument[]; countedTo: Date }> {
    const now = new Date();
    const counted = await this.countedTo();
    const hours = await this.collections.hourlyCounts
      .find({ _id: { $gte: from } })
      .sort({ _id: 1 })
      .toArray();
    if (now.getTime() - counted.getTime() > MAX_TAIL) return { hours, countedTo: counted };
    // The second that has just begun is part of it.
    const end = new Date(wholeSecond(now).getTime() + 1000);
    for (let begin = counted; begin < end;) {
      const stop = earlier(nextHour(begin), end);
      addTo(hours, hourOf(begin), await this.count(begin, stop));
      begin = stop;
    }
    return { hours, countedTo: now };
  }

  /**
   * Counts for good all that came into being more than a minute ago; several nodes may do so at once.
   * @param signal ends it after the hour that is being counted; the rest is left to the next call.
   */
  async advance(signal?: AbortSignal): Promise<void> {
    const end = wholeSecond(new Date(Date.now() - SETTLED));
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

  /** @returns false if somebody else has counted on from there. */
  private async moveHead(from: Date, to: Date): Promise<boolean> {
    const { modifiedCount } = await this.collections.hourlyCountsHead.updateOne(
      { _id: HEAD, countedTo: from },
      { $set: { countedTo: to } },
    );
    return modifiedCount > 0;
  }

  /** When the first thing came into being from a time on, to the second. */
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

/** The first id that can be made in a second. */
function idAt(time: Date): ObjectId {
  return ObjectId.createFromTime(Math.floor(time.getTime() / 1000));
}

function wholeSecond(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000);
}

function hourOf(time: Date): Date {
  return new Date(Math.floor(time.getTime() / HOUR) * HOUR);
}

function nextHour(time: Date): Date {
  return new Date(hourOf(time).getTime() + HOUR);
}

function earlier(one: Date, other: Date): Date {
  return one < other ? one : other;
}

/** Adds to the last of the hours, or behind it. */
function addTo(hours: HourlyCountDocument[], hour: Date, counts: Counts): void {
  const last = hours.at(-1);
  if (last?._id.getTime() !== hour.getTime()) hours.push({ _id: hour, ...counts });
  else for (const each of COUNTED_COLLECTIONS) last[each] += counts[each];
}
