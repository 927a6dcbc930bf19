import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { MessageDocument } from '../../models/message.model';
import type { Attachments } from '../files/attachments';
import type { BackgroundJob } from '../kernel/background-job';
import type { Jobs } from '../kernel/jobs';

/** Messages that are deleted at a time, so that other work can run in between. */
const BATCH_SIZE = 1000;
/** How often it looks for purges that another node has not finished. */
const PURGE_INTERVAL_MS = 60 * 60 * 1000;

/**
 * Deletes the messages of deleted channels, their files and calls. A channel is inaccessible as soon as its deletion is
 * committed; this only frees the disk space, and continues after a restart where it stopped.
 */
export class ChannelPurger {
  private readonly job: BackgroundJob;

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly attachments: Attachments,
    jobs: Jobs,
  ) {
    this.job = jobs.add({
      name: 'channel_purge',
      intervalMs: PURGE_INTERVAL_MS,
      scope: 'cluster',
      run: (signal) => this.purgeAll(signal),
    });
  }

  /** Runs the job after the commit of a new document in `channel_purges`. The next start finds it if this is not running. */
  wake(): Promise<void> {
    return this.transactions.afterCommit(() => Promise.resolve(this.job.wake()));
  }

  private async purgeAll(signal: AbortSignal): Promise<void> {
    for (const { _id } of await this.collections.channelPurges.find().toArray()) {
      if (!(await this.purge(_id, signal))) return;
      await this.collections.channelPurges.deleteOne({ _id });
    }
  }

  /** @returns false if it was stopped before the end. */
  private async purge(channelId: ObjectId, signal: AbortSignal): Promise<boolean> {
    const { messages, messageEdits, videoCalls, callQuality } = this.collections;
    // A call that is still open is deleted at its end (see CallRecorder).
    await videoCalls.deleteMany({ channelId, open: { $exists: false } });
    await callQuality.deleteMany({ channelId });
    while (!signal.aborted) {
      const slice = await messages
        .find<Pick<MessageDocument, '_id' | 'attachments'>>({ channelId }, { projection: { attachments: 1 } })
        .limit(BATCH_SIZE)
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
