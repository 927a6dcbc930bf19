import type { ObjectId, UpdateFilter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelChangeDocument } from '../../models/channels/channel-change.model';
import type { ChannelDocument } from '../../models/channel.model';
import type { RemovalReason } from '../../models/group.model';
import { channelNotFound } from '../access/access';
import type { ChannelCounts } from './channel-counts';
import type { ChannelMemory } from './channel-memory';
import type { EventBus } from '../kernel/event-bus';

/** The fields of a channel that `update` may change: no counters, and no immutable fields. */
export type ChannelFields = Partial<
  Omit<ChannelDocument, '_id' | 'kind' | 'groupId' | 'seq' | 'revision' | 'createdAt' | 'updatedAt'>
>;

/**
 * Changes channels and their members; nothing else writes these. Every change increments the channel's revision, is
 * recorded in the change log for clients that are offline, and is published with the same revision. A client that has
 * received all revisions up to one has the state of the channel at that revision.
 *
 * Call it in the queue of the channel (`KeyedQueue.exclusive`), so that events are published in the order of revisions.
 */
export class ChannelChanges {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly counts: ChannelCounts,
    private readonly memory: ChannelMemory,
    private readonly bus: EventBus,
  ) {}

  /**
   * Increments the channel's revision for the change of a message, which must store it. Part of the caller's transaction,
   * so that the revision and the change become visible together.
   * @returns the channel with the new revision.
   * @throws AppError not_found
   */
  async nextRevision(
    channelId: ObjectId,
    update: UpdateFilter<ChannelDocument> = {},
  ): Promise<ChannelDocument> {
    const channel = await this.collections.channels.findOneAndUpdate(
      { _id: channelId },
      { ...update, $inc: { ...update.$inc, revision: 1 } },
      { returnDocument: 'after' },
    );
    if (!channel) throw channelNotFound();
    await this.transactions.afterCommit(() => Promise.resolve(this.memory.remember(channel)));
    return channel;
  }

  /**
   * Changes fields of a channel, and publishes it to those who read it after the change.
   * @param event `channel.opened` if the channel is new to some of them.
   * @throws AppError not_found
   */
  update(
    channelId: ObjectId,
    fields: ChannelFields,
    event: 'channel.updated' | 'channel.opened' = 'channel.updated',
  ): Promise<ChannelDocument> {
    return this.transactions.run(async () => {
      const channel = await this.nextRevision(channelId, { $set: { ...fields, updatedAt: new Date() } });
      await this.record(channel, { kind: 'channel', userId: null });
      await this.bus.publish({ type: event, channel: await this.counts.withMemberCount(channel) });
      return channel;
    });
  }

  /**
   * Counts and publishes a user who has been added to the members of a channel.
   * @param silent whether they already know the channel, so that it is not published to them as new.
   * @throws AppError not_found
   */
  addMember(channelId: ObjectId, userId: ObjectId, { silent = false } = {}): Promise<ChannelDocument> {
    return this.transactions.run(async () => {
      const channel = await this.nextRevision(channelId, { $inc: { memberCount: 1 } });
      await this.record(channel, { kind: 'member', userId, present: true });
      await this.bus.publish({ type: 'channel_member.added', channel, userId, isNew: !silent });
      return channel;
    });
  }

  /**
   * Counts and publishes a user who has been removed from the members of a channel.
   * @param reason is sent to the user; undefined if another event notifies them, such as the removal from the group.
   * @throws AppError not_found
   */
  removeMember(channelId: ObjectId, userId: ObjectId, reason?: RemovalReason): Promise<ChannelDocument> {
    return this.transactions.run(async () => {
      const channel = await this.nextRevision(channelId, { $inc: { memberCount: -1 } });
      await this.record(channel, { kind: 'member', userId, present: false });
      await this.bus.publish({
        type: 'channel_member.removed',
        channel,
        userId,
        ...(reason !== undefined && { reason }),
      });
      return channel;
    });
  }

  /**
   * Clears the members of a channel that becomes public, in its counter and change log, and publishes it: clients would
   * otherwise still have these members when it becomes private again.
   * @throws AppError not_found
   */
  clearMembers(channelId: ObjectId): Promise<ChannelDocument> {
    return this.transactions.run(async () => {
      const channel = await this.nextRevision(channelId, { $set: { memberCount: 0 } });
      await this.collections.channelChanges.deleteMany({ channelId, kind: 'member' });
      await this.record(channel, { kind: 'members_cleared', userId: null });
      await this.bus.publish({
        type: 'channel_members.cleared',
        channelId,
        revision: channel.revision,
      });
      return channel;
    });
  }

  /** Records a change in the log. It replaces the previous one of the same kind and user: clients need only the last. */
  private async record(
    { _id: channelId, revision }: ChannelDocument,
    { kind, userId, present }: Pick<ChannelChangeDocument, 'kind' | 'userId' | 'present'>,
  ): Promise<void> {
    await this.collections.channelChanges.updateOne(
      { channelId, kind, userId },
      { $set: { revision, ...(present !== undefined && { present }) } },
      { upsert: true },
    );
  }
}
