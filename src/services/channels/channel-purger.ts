import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { MessageDocument } from '../../models/message.model';
import type { Logger } from '../../utils/logger';
import type { Attachments } from '../files/attachments';

/** Messages removed at a time, so that other work gets its turn in between. */
const SLICE = 1000;

/**
 * Removes the messages of deleted channels, and their files, from the disk. A channel is gone for everybody when its deletion
 * commits; this only gives the space back, and goes on after a restart where it stopped.
 */
export class ChannelPurger {
  private running = false;
  private working: Promise<void> | undefined;
  private again = false;

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly attachments: Attachments,
    private readonly logger: Logger,
  ) {}

  /** Begins to remove what is noted in `channel_purges`. */
  start(): void {
    this.running = true;
    this.work();
  }

  /** There is something new in `channel_purges`, once that is committed; if it is not running, the next start finds it. */
  wake(): Promise<void> {
    return this.transactions.afterCommit(() => {
      if (this.running) this.work();
      return Promise.resolve();
    });
  }

  private work(): void {
    if (this.working) {
      this.again = true;
      return;
    }
    this.working = this.purgeAll()
      .catch((error: unknown) => this.logger.error({ err: error }, 'purging deleted channels failed'))
      .finally(() => {
        this.working = undefined;
        if (this.again && this.running) {
          this.again = false;
          this.work();
        }
      });
  }

  /** Resolves when no purge is under way; what is left is done at the next start. */
  async stop(): Promise<void> {
    this.running = false;
    await this.working;
  }

  private async purgeAll(): Promise<void> {
    for (const { _id } of await this.collections.channelPurges.find().toArray()) {
      if (!(await this.purge(_id))) return;
      await this.collections.channelPurges.deleteOne({ _id });
    }
  }

  /** @returns false when it was stopped before the end. */
  private async purge(channelId: ObjectId): Promise<boolean> {
    const { messages, messageEdits } = this.collections;
    while (this.running) {
      const slice = await messages
        .find<Pick<MessageDocument, '_id' | 'attachments'>>({ channelId }, { projection: { attachments: 1 } })
        .limit(SLICE)
        .toArray();
      if (slice.length === 0) return true;
      const ids = slice.map(({ _id }) => _id);
      await this.transactions.run(async () => {
        await messageEdits.deleteMany({ messageId: { $in: ids } });
        await messages.deleteMany({ _id: { $in: ids } });
        await this.attachments.release(slice);
      });
    }
    return false;
  }
}
