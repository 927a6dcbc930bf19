import { randomUUID } from 'node:crypto';
import { MongoServerError, type Collection } from 'mongodb';

/** A node holds the lock for this long, and renews it at this interval. */
const LEASE_MS = 30_000;
const RENEWAL_MS = 5_000;
/** The interval at which a waiting node tries again. */
const POLL_MS = 250;

/** The document of the lock. It uses the clock of the database server, so the clocks of the nodes do not matter. */
export interface LeaseDocument {
  _id: 'lock';
  /** Null while it is free. */
  holder: string | null;
  expiresAt: Date;
}

/** A lock that this node holds. */
export interface Lease {
  /** @throws Error when another node may hold it */
  check(): void;
}

/**
 * Runs work on one node at a time; the others wait. The lock of a node that has died expires.
 * @param isDone tells whether another node has done the work; it runs before each attempt.
 */
export async function withLease(
  leases: Collection<LeaseDocument>,
  isDone: () => Promise<boolean>,
  work: (lease: Lease) => Promise<void>,
): Promise<void> {
  const holder = randomUUID();
  await createLock(leases);
  for (;;) {
    if (await isDone()) return;
    if (await take(leases, holder)) break;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  let lost: Error | undefined;
  const renewal = setInterval(() => {
    renew(leases, holder).then(
      (held) => {
        if (!held) lost = new Error('Another node has taken over the migration of the database.');
      },
      (error: unknown) => (lost = error as Error),
    );
  }, RENEWAL_MS);
  renewal.unref();
  try {
    // The previous holder may have finished between `isDone` and `take`.
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

async function createLock(leases: Collection<LeaseDocument>): Promise<void> {
  try {
    await leases.updateOne(
      { _id: 'lock' },
      { $setOnInsert: { holder: null, expiresAt: new Date(0) } },
      { upsert: true },
    );
  } catch (error) {
    // Another node has created it at the same moment.
    if (!(error instanceof MongoServerError) || error.code !== 11000) throw error;
  }
}

const UNTIL = { $add: ['$$NOW', LEASE_MS] };

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
