import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument, ChannelMemberDocument } from '../../models/channel.model';
import type { RemovalReason } from '../../models/group.model';
import type { ChannelChanges } from './channel-changes';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { EventBus } from '../kernel/event-bus';
import type { ReadMarkers } from '../reading/read-markers';

/**
 * Adds and removes the members of private channels and direct conversations, and removes channels; nothing else does.
 * The events that change what connected clients receive are published with it. It does not check who may do it. Call
 * what changes one channel in the queue of that channel.
 */
export class ChannelMembers {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly queue: KeyedQueue,
    private readonly changes: ChannelChanges,
    private readonly markers: ReadMarkers,
    private readonly bus: EventBus,
  ) {}

  /**
   * Adds users to a channel. Users who are already members are skipped.
   * @param silent whether they already know the channel: it is not published to them as new, and unread messages stay
   *   unread.
   * @returns those who were not in it before.
   */
  add(channel: ChannelDocument, userIds: ObjectId[], { silent = false } = {}): Promise<ObjectId[]> {
    return this.transactions.run(async () => {
      const { _id: channelId } = channel;
      const added: ObjectId[] = [];
      for (const userId of userIds) {
        const { upsertedCount } = await this.collections.channelMembers.updateOne(
          { channelId, userId },
          { $setOnInsert: newMember(channel) },
          { upsert: true },
        );
        if (upsertedCount === 0) continue;
        const after = await this.changes.addMember(channelId, userId, { silent });
        if (!silent) await this.markers.startAtEnd(after, [userId]);
        added.push(userId);
      }
      return added;
    });
  }

  /**
   * Removes a user from a channel. After the commit they receive no more of its events.
   * @param reason is sent to them; undefined if they are not notified.
   * @returns false if they were not in it.
   */
  remove({ _id: channelId }: ChannelDocument, userId: ObjectId, reason?: RemovalReason): Promise<boolean> {
    return this.transactions.run(async () => {
      const { deletedCount } = await this.collections.channelMembers.deleteOne({ channelId, userId });
      if (deletedCount === 0) return false;
      await this.removeEmpty(await this.changes.removeMember(channelId, userId, reason));
      return true;
    });
  }

  /**
   * Removes a user from all private channels of a group, or from all private channels and direct conversations, holding
   * the key of each channel. Another event notifies them. Call it before anything is written: the holder of a key may be
   * waiting for a document that a transaction which waits for the key has locked.
   */
  removeFromAll(userId: ObjectId, groupId?: ObjectId): Promise<void> {
    return this.transactions.run(async () => {
      const { channelMembers } = this.collections;
      const own = await channelMembers.find({ userId, ...(groupId && { groupId }) }).toArray();
      const channelIds = own.map(({ channelId }) => channelId);
      await this.queue.acquire(channelIds);
      for (const channelId of channelIds) {
        const { deletedCount } = await channelMembers.deleteOne({ channelId, userId });
        if (deletedCount > 0) await this.removeEmpty(await this.changes.removeMember(channelId, userId));
      }
    });
  }

  /** Removes a direct conversation without members, which nobody could ever read again. */
  private async removeEmpty(channel: ChannelDocument): Promise<void> {
    if (channel.kind === 'direct' && channel.memberCount === 0)
      await this.removeChannels([channel], 'deleted');
  }

  /**
   * Deletes channels with all dependent documents. Their messages are scheduled for deletion, which ChannelPurger does
   * after the commit. Part of the caller's transaction.
   */
  async removeChannels(channels: ChannelDocument[], reason: RemovalReason): Promise<void> {
    const {
      channelPurges,
      channelMembers,
      channelChanges,
      channelRestrictions,
      slowModeMarks,
      slowModeChanges,
      channelReads,
      threadFollows,
      drafts,
      bookmarks,
      channelSettings,
    } = this.collections;
    if (channels.length === 0) return;
    const ids = channels.map(({ _id }) => _id);
    await channelPurges.bulkWrite(
      ids.map((_id) => ({
        updateOne: { filter: { _id }, update: { $setOnInsert: { requestedAt: new Date() } }, upsert: true },
      })),
    );
    await this.collections.channels.deleteMany({ _id: { $in: ids } });
    const ofChannels = { channelId: { $in: ids } };
    await Promise.all(
      [
        channelMembers,
        channelChanges,
        channelRestrictions,
        slowModeMarks,
        slowModeChanges,
        channelReads,
        threadFollows,
        drafts,
        bookmarks,
        channelSettings,
      ].map((dependents) => dependents.deleteMany(ofChannels)),
    );
    for (const channel of channels) await this.bus.publish({ type: 'channel.deleted', channel, reason });
  }
}

function newMember({ kind, groupId }: ChannelDocument): Partial<ChannelMemberDocument> {
  const now = new Date();
  // Members are listed by id. An id from the database would not be in order with those that are created here.
  return { _id: new ObjectId(), groupId, joinedAt: now, ...(kind === 'direct' && { activeAt: now }) };
}
