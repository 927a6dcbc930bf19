import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { MongoServerError, type Collection } from 'mongodb';
import type { Progress } from './migration';

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
  /** The machine and the process of the holder, for the operator. */
  process?: string;
  /** What the holder is doing. It is up to RENEWAL_MS old. */
  work?: Work | null;
}

/** The current work of the holder. */
export interface Work extends Progress {
  migration: number;
}

/** A lock that this node holds. */
export interface Lease {
  /** @throws Error when another node may hold it */
  check(): void;
  /** Sets what the lock reports at its next renewal. */
  report(work: Work): void;
}

/**
 * Runs work on one node at a time; the others wait. The lock of a node that has died expires.
 * @param isDone tells whether another node has done the work; it runs before each attempt.
 * @param force takes the lock also if it is held.
 */
export async function withLease(
  leases: Collection<LeaseDocument>,
  isDone: () => Promise<boolean>,
  work: (lease: Lease) => Promise<void>,
  force = false,
): Promise<void> {
  await createLock(leases);
  for (;;) {
    if (await isDone()) return;
    // The previous holder may have finished between `isDone` and the taking of the lock.
    const held = await holding(leases, force, async (lease) => {
      if (!(await isDone())) await work(lease);
    });
    if (held) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/**
 * Runs work if no other node holds the lock.
 * @param force takes the lock also if it is held.
 * @returns false if another node holds it, so that nothing was done.
 */
export async function tryLease(
  leases: Collection<LeaseDocument>,
  work: (lease: Lease) => Promise<void>,
  force = false,
): Promise<boolean> {
  await createLock(leases);
  return holding(leases, force, work);
}

/** Takes the lock, does the work and releases the lock. @returns false if another node holds it */
async function holding(
  leases: Collection<LeaseDocument>,
  force: boolean,
  work: (lease: Lease) => Promise<void>,
): Promise<boolean> {
  const holder = randomUUID();
  const taken = performance.now();
  if (!(await take(leases, holder, force))) return false;
  // By the clock of this process, which also advances while the process is suspended. The database started the lease later
  // than this process sent the command, so the lock ends here no later than there.
  let heldUntil = taken + LEASE_MS;
  let lost = false;
  let current: Work | null = null;
  const renewal = setInterval(() => {
    const sent = performance.now();
    renew(leases, holder, current).then(
      (held) => {
        if (held) heldUntil = sent + LEASE_MS;
        else lost = true;
      },
      // The next renewal may succeed; if none does, the lease ends.
      () => undefined,
    );
  }, RENEWAL_MS);
  renewal.unref();
  try {
    await work({
      check: () => {
        if (lost || performance.now() >= heldUntil) {
          throw new Error('Another node may have taken over the migration of the database.');
        }
      },
      report: (next) => (current = next),
    });
  } finally {
    clearInterval(renewal);
    const free = { holder: null, expiresAt: new Date(0), work: null };
    // If the database cannot be reached, the lease ends by itself; the error of the work matters more.
    await leases.updateOne({ _id: 'lock', holder }, { $set: free }).catch(() => undefined);
  }
  return true;
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

async function take(leases: Collection<LeaseDocument>, holder: string, force: boolean): Promise<boolean> {
  const free = force ? {} : { $expr: { $lt: ['$expiresAt', '$$NOW'] } };
  const { modifiedCount } = await leases.updateOne({ _id: 'lock', ...free }, [
    {
      $set: {
        holder: { $literal: holder },
        expiresAt: UNTIL,
        process: { $literal: `${hostname()} (process ${process.pid})` },
        work: null,
      },
    },
  ]);
  return modifiedCount === 1;
}

async function renew(leases: Collection<LeaseDocument>, holder: string, work: Work | null): Promise<boolean> {
  const { matchedCount } = await leases.updateOne({ _id: 'lock', holder }, [
    { $set: { expiresAt: UNTIL, work: { $literal: work } } },
  ]);
  return matchedCount === 1;
}
