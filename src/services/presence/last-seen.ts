import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { Logger } from '../../utils/logger';

/** Stores when each user was last seen. A failed write is logged, and does not fail the caller. */
export class LastSeen {
  /** Resolves when all writes so far have ended. */
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly logger: Logger,
  ) {}

  /** Finds when a user was last seen; null if never, or while their account is deactivated. */
  async find(userId: string): Promise<Date | null> {
    const user = await this.collections.users.findOne(
      { _id: new ObjectId(userId), state: { $ne: 'deactivated' } },
      { projection: { lastSeenAt: 1 } },
    );
    return user?.lastSeenAt ?? null;
  }

  /** Records when users were last seen (`at` in milliseconds), in one write. A time never moves back. */
  record(seen: readonly { userId: string; at: number }[]): void {
    if (seen.length === 0) return;
    const updates = seen.map(({ userId, at }) => ({
      updateOne: {
        filter: { _id: new ObjectId(userId), state: { $ne: 'deleted' as const } },
        update: { $max: { lastSeenAt: new Date(at) } },
      },
    }));
    const written = this.transactions
      .outside(() => this.collections.users.bulkWrite(updates, { ordered: false }))
      .then(
        () => undefined,
        (error: unknown) => this.logger.warn({ err: error }, 'the last seen times were not stored'),
      );
    this.writing = Promise.all([this.writing, written]).then(() => undefined);
  }

  /** Resolves when all writes so far have ended. */
  async settled(): Promise<void> {
    await this.writing;
  }
}
