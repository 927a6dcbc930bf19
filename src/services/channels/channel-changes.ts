import type { ObjectId, UpdateFilter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelChangeDocument } from '../../models/channels/channel-change.model';
import type { ChannelDocument } from '../../models/channel.model';
import type { RemovalReason } from '../../models/group.model';
import { channelNotFound } from '../access/access';
import type { ChannelCounts } from './channel-counts';
import type { EventBus } from '../kernel/event-bus';

/** What of a channel may be changed: not what is counted, nor what it is for ever. */
export type ChannelFields = Partial<
  Omit<ChannelDocument, '_id' | 'kind' | 'groupId' | 'seq' | 'revision' | 'createdAt' | 'updatedAt'>
>;

/**
 * The one way to change a channel or who is in it. Every change takes the channel's next revision, leaves a note
 * of what it was for clients that were away, and tells those that are there, under the same revision. A client
 * that knows all revisions up to one knows the channel as it was then.
 *
 * To be called in the channel's line (`KeyedQueue.exclusive`), so that events go out in the order of the revisions.
 */
export class ChannelChanges {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly counts: ChannelCounts,
    private readonly bus: EventBus,
  ) {}

  /**
   * Takes the channel's next revision for the change of a message, which has to carry it. Part of the caller's
   * transaction, so that nobody sees the one without the other.
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
    return channel;
  }

  /**
   * Changes fields of a channel, and tells all who read it afterwards.
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
   * Somebody has been put into the members of a channel: counts and tells it.
   * @param silent whether they know the channel already, and are not told that it is new to them.
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
   * Somebody has been taken out of the members of a channel: counts and tells it.
   * @param reason what they are told; undefined when they are told of more than this channel.
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
   * A channel opens to its group, and has no members of its own any more: they are told, for they might know them
   * still when it closes again.
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

  /** The last change of one thing is all that a client needs to know: it replaces the one before. */
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
