import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import { type Channel } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { SetRetentionInput } from '../../models/messages/retention.model';
import type { Caller } from '../../models/identity/session.model';
import type { Attachments } from '../files/attachments';
import type { AuditService } from '../audit/audit.service';
import type { ChannelChanges } from '../channels/channel-changes';
import type { ChannelCounts } from '../channels/channel-counts';
import type { BackgroundJob } from '../kernel/background-job';
import type { Jobs } from '../kernel/jobs';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { GuardedWrites } from '../access/guarded-writes';
import type { ReadMarkers } from '../reading/read-markers';

/** The number of messages that are removed under one revision: few enough that sends hardly wait for it. */
const BATCH_SIZE = 500;
/** How often expired messages are looked for. */
const RETENTION_INTERVAL_MS = 60 * 60 * 1000;
const DAY_MS = 24 * 60 * 60 * 1000;

/** The dependencies of RetentionService. */
export interface RetentionServiceDeps {
  collections: Collections;
  transactions: Transactions;
  writes: GuardedWrites;
  changes: ChannelChanges;
  counts: ChannelCounts;
  queue: KeyedQueue;
  markers: ReadMarkers;
  attachments: Attachments;
  audit: AuditService;
  jobs: Jobs;
}

/** Permanently removes messages and calls that are older than the retention period of their channel. */
export class RetentionService {
  private readonly job: BackgroundJob;

  constructor(private readonly deps: RetentionServiceDeps) {
    this.job = deps.jobs.add({
      name: 'retention',
      intervalMs: RETENTION_INTERVAL_MS,
      scope: 'cluster',
      run: (signal) => this.removeExpired(signal),
    });
  }

  /**
   * Sets the retention period of a channel. Older messages are removed soon after.
   * @throws AppError not_found, forbidden, direct_channel, group_archived, channel_archived
   */
  async set(caller: Caller, channelId: string, { days }: SetRetentionInput): Promise<Channel> {
    return this.deps.writes.inChannel(caller, 'channel.set_retention', channelId, {}, async ({ channel }) => {
      const { _id, retentionDays = null } = channel;
      if (retentionDays === days) return this.deps.counts.show(channel);
      const changed = await this.deps.changes.update(_id, { retentionDays: days });
      await this.deps.audit.record({
        action: 'channel.retention_changed',
        actorId: caller.userId,
        targetId: _id,
        address: caller.address,
        details: { from: daysAsText(retentionDays), to: daysAsText(days) },
      });
      await this.deps.transactions.afterCommit(() => Promise.resolve(this.job.wake()));
      return this.deps.counts.show(changed);
    });
  }

  private async removeExpired(signal: AbortSignal): Promise<void> {
    const channels = await this.deps.collections.channels
      .find({ retentionDays: { $gt: 0 } }, { projection: { _id: 1 } })
      .toArray();
    for (const { _id } of channels) {
      while (!signal.aborted && (await this.removeOldest(_id)));
      if (!signal.aborted) await this.removeCalls(_id);
    }
  }

  /** Removes the expired calls of a channel, except one that is still open: it is removed after its end. */
  private removeCalls(channelId: ObjectId): Promise<void> {
    return this.deps.transactions.run(async () => {
      const { channels, videoCalls, callQuality } = this.deps.collections;
      const channel = await channels.findOne({ _id: channelId });
      if (!channel?.retentionDays) return;
      const oldestKept = ObjectId.createFromTime(Math.floor(startOf(channel.retentionDays).getTime() / 1000));
      await videoCalls.deleteMany({ channelId, _id: { $lt: oldestKept }, open: { $exists: false } });
      const open = await videoCalls.findOne({ channelId, open: true }, { projection: { _id: 1 } });
      await callQuality.deleteMany({
        channelId,
        callId: { $lt: oldestKept, ...(open && { $ne: open._id }) },
      });
    });
  }

  /** Removes a batch of expired messages of a channel. @returns whether there may be more. */
  private removeOldest(channelId: ObjectId): Promise<boolean> {
    return this.deps.queue.exclusive(channelId, () =>
      this.deps.transactions.run(async () => {
        // Read again: the period may have changed, or the channel been deleted.
        const channel = await this.deps.collections.channels.findOne({ _id: channelId });
        if (!channel?.retentionDays) return false;
        const old = await this.oldest(channelId, startOf(channel.retentionDays));
        const last = old.at(-1);
        if (!last) return false;
        const { seq, mainSeq } = last;
        await this.remove(channelId, old);
        await this.deps.markers.advancePastRemoved(channelId, { seq, mainSeq });
        await this.deps.changes.update(channelId, {
          retainedFrom: seq + 1,
          // For users without a read marker, the removed messages count as read.
          ...((channel.readFrom?.seq ?? 0) < seq && { readFrom: { seq, mainSeq } }),
        });
        return old.length === BATCH_SIZE;
      }),
    );
  }

  /** The oldest messages up to the first that has not expired, so that no gap remains in the history. */
  private async oldest(channelId: ObjectId, before: Date): Promise<OldMessage[]> {
    const first = await this.deps.collections.messages
      .find<OldMessage>({ channelId }, { projection: { seq: 1, mainSeq: 1, createdAt: 1, attachments: 1 } })
      .sort({ seq: 1 })
      .limit(BATCH_SIZE)
      .toArray();
    const end = first.findIndex(({ createdAt }) => createdAt >= before);
    return end < 0 ? first : first.slice(0, end);
  }

  private async remove(channelId: ObjectId, messages: OldMessage[]): Promise<void> {
    const ids = messages.map(({ _id }) => _id);
    await this.deps.collections.messages.deleteMany({ channelId, _id: { $in: ids } });
    await this.deps.attachments.release(messages);
    await this.deps.collections.messageEdits.deleteMany({ messageId: { $in: ids } });
    await this.deps.collections.bookmarks.deleteMany({ messageId: { $in: ids } });
    // A thread ends with its root.
    await this.deps.collections.threadFollows.deleteMany({ threadId: { $in: ids } });
  }
}

/** The time at which a retention period begins that ends now. */
function startOf(days: number): Date {
  return new Date(Date.now() - days * DAY_MS);
}

function daysAsText(days: number | null): string | null {
  return days === null ? null : String(days);
}

type OldMessage = Pick<MessageDocument, '_id' | 'seq' | 'mainSeq' | 'createdAt' | 'attachments'>;
