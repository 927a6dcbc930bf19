import { randomUUID } from 'node:crypto';
import { MongoServerError, type Collection } from 'mongodb';

/** A holder that has died blocks others for this long. */
const LEASE_MS = 30_000;
const RENEWAL_MS = 5_000;

/** The document of a lease. It uses the clock of the database server, so the clocks of the processes do not matter. */
export interface ExclusiveLeaseDocument {
  _id: string;
  /** Null while it is free. */
  holder: string | null;
  heldUntil: Date;
}

/** A lease that this process holds. */
export interface ExclusiveLease {
  /** @throws Error when it has lost the lease: it was suspended for long, or could not reach the database */
  check(): void;
}

/** Another process holds the lease. */
export class LeaseTaken extends Error {
  override readonly name = 'LeaseTaken';

  constructor(readonly heldUntil: Date) {
    super(`Another process does the same until ${heldUntil.toISOString()} or longer.`);
  }
}

/**
 * Runs work while no other process holds the lease.
 * @param isSole whether no other process can use the database: then a lease that exists is one of a killed process.
 * @throws LeaseTaken without running the work when another process holds the lease.
 */
export async function withExclusiveLease<Result>(
  leases: Collection<ExclusiveLeaseDocument>,
  id: string,
  work: (lease: ExclusiveLease) => Promise<Result>,
  isSole = false,
): Promise<Result> {
  const holder = randomUUID();
  const taken = performance.now();
  await take(leases, id, holder, isSole);
  // By the clock of this process, which also advances while the process is suspended. The database started the lease later
  // than this process sent the command, so the lease ends here no later than there.
  let heldUntil = taken + LEASE_MS;
  let isLost = false;
  const renewal = setInterval(() => {
    const sent = performance.now();
    leases.updateOne({ _id: id, holder }, [{ $set: { heldUntil: UNTIL } }]).then(
      ({ matchedCount }) => {
        if (matchedCount === 1) heldUntil = sent + LEASE_MS;
        else isLost = true;
      },
      // The next renewal may succeed; if none does, the lease ends.
      () => undefined,
    );
  }, RENEWAL_MS).unref();
  try {
    return await work({
      check: () => {
        if (isLost || performance.now() >= heldUntil) {
          throw new Error('Another process may have taken over the work.');
        }
      },
    });
  } finally {
    clearInterval(renewal);
    await leases
      .updateOne({ _id: id, holder }, { $set: { holder: null, heldUntil: new Date(0) } })
      // Then the lease ends by itself.
      .catch(() => undefined);
  }
}

/** Whether a process holds a lease. */
export async function isHeld(leases: Collection<ExclusiveLeaseDocument>, id: string): Promise<boolean> {
  const held = await leases.findOne({ _id: id, $expr: { $gt: ['$heldUntil', '$$NOW'] } });
  return held !== null;
}

const UNTIL = { $add: ['$$NOW', LEASE_MS] };

async function take(
  leases: Collection<ExclusiveLeaseDocument>,
  _id: string,
  holder: string,
  isSole: boolean,
): Promise<void> {
  await createLease(leases, _id);
  const free = isSole ? {} : { $expr: { $lt: ['$heldUntil', '$$NOW'] } };
  const update = [{ $set: { holder: { $literal: holder }, heldUntil: UNTIL } }];
  const { matchedCount } = await leases.updateOne({ _id, ...free }, update);
  if (matchedCount === 1) return;
  const held = await leases.findOne({ _id });
  throw new LeaseTaken(held?.heldUntil ?? new Date());
}

async function createLease(leases: Collection<ExclusiveLeaseDocument>, _id: string): Promise<void> {
  try {
    const free = { holder: null, heldUntil: new Date(0) };
    await leases.updateOne({ _id }, { $setOnInsert: free }, { upsert: true });
  } catch (error) {
    // Another process has created it at the same moment.
    if (!(error instanceof MongoServerError) || error.code !== 11000) throw error;
  }
}
