import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { Logger } from '../../utils/logger';

/** Keeps with each user when they were last seen. A time that is lost is no reason to fail for anybody. */
export class LastSeen {
  /** What is being written. */
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly logger: Logger,
  ) {}

  /** When somebody was last seen; null if never, and while their account is deactivated. */
  async find(userId: string): Promise<Date | null> {
    const user = await this.collections.users.findOne(
      { _id: new ObjectId(userId), state: { $ne: 'deactivated' } },
      { projection: { lastSeenAt: 1 } },
    );
    return user?.lastSeenAt ?? null;
  }

  /** Notes it in one write. A time never moves back, and a deleted user gets none. */
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
        (error: unknown) => this.logger.warn({ err: error }, 'last seen was not noted'),
      );
    this.writing = Promise.all([this.writing, written]).then(() => undefined);
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.writing;
  }
}
