import { randomUUID } from 'node:crypto';
import { MongoServerError, type Collection } from 'mongodb';

/** For how long a node holds the lock without renewing it, and how often it renews it, in milliseconds. */
const LEASE = 30_000;
const RENEWAL = 5_000;
/** How often a node that waits looks again, in milliseconds. */
const POLL = 250;

/** The one document of the lock. Times are those of the database server, so that clocks of nodes do not matter. */
export interface LeaseDocument {
  _id: 'lock';
  /** Null while nobody has it. */
  holder: string | null;
  expiresAt: Date;
}

/** A lock that is held. */
export interface Lease {
  /** @throws once another node may have it */
  check(): void;
}

/**
 * Runs work on one node at a time; the others wait. The lock of a node that has died expires by itself.
 * @param isDone asked before each try: whether there is nothing left to do, because another node has done it.
 */
export async function withLease(
  leases: Collection<LeaseDocument>,
  isDone: () => Promise<boolean>,
  work: (lease: Lease) => Promise<void>,
): Promise<void> {
  const holder = randomUUID();
  await makeLock(leases);
  for (;;) {
    if (await isDone()) return;
    if (await take(leases, holder)) break;
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  let lost: Error | undefined;
  const renewal = setInterval(() => {
    renew(leases, holder).then(
      (held) => {
        if (!held) lost = new Error('Another node has taken over the migration of the database.');
      },
      (error: unknown) => (lost = error as Error),
    );
  }, RENEWAL);
  renewal.unref();
  try {
    // Whoever had it before may have finished between the question and the answer.
    if (!(await isDone())) {
      await work({
        check: () => {
          if (lost) throw lost;
        },
      });
    }
  } finally {
    clearInterval(renewal);
    await leases.updateOne({ _id: 'lock', holder }, { $set: { holder: null, expiresAt: new Date(0) } });
  }
}

async function makeLock(leases: Collection<LeaseDocument>): Promise<void> {
  try {
    await leases.updateOne(
      { _id: 'lock' },
      { $setOnInsert: { holder: null, expiresAt: new Date(0) } },
      { upsert: true },
    );
  } catch (error) {
    // Another node has made it at the same moment.
    if (!(error instanceof MongoServerError) || error.code !== 11000) throw error;
  }
}

const UNTIL = { $add: ['$$NOW', LEASE] };

async function take(leases: Collection<LeaseDocument>, holder: string): Promise<boolean> {
  const { modifiedCount } = await leases.updateOne({ _id: 'lock', $expr: { $lt: ['$expiresAt', '$$NOW'] } }, [
    { $set: { holder: { $literal: holder }, expiresAt: UNTIL } },
  ]);
  return modifiedCount === 1;
}

async function renew(leases: Collection<LeaseDocument>, holder: string): Promise<boolean> {
  const { matchedCount } = await leases.updateOne({ _id: 'lock', holder }, [{ $set: { expiresAt: UNTIL } }]);
  return matchedCount === 1;
}
