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
 * The one place that puts people into private channels and direct conversations and takes them out, and that
 * takes channels away: what open clients hear goes with it. It does not ask who may. What changes one channel is
 * to be called in that channel's line.
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
   * Takes users in; who is in already stays.
   * @param silent whether they know the channel already: they are not told that it is new to them, and what is
   *   unread stays unread.
   * @returns those who were not in it before.
   */
  add(channel: ChannelDocument, userIds: ObjectId[], { silent = false } = {}): Promise<ObjectId[]> {
    return this.transactions.run(async () => {
      const { _id: channelId } = channel;
      const added: ObjectId[] = [];
      for (const userId of userIds) {
        const { upsertedCount } = await this.collections.channelMembers.updateOne(
          { channelId, userId },
          { $setOnInsert: newRow(channel) },
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
   * Takes a user out. Once it is committed, they hear nothing more of it.
   * @param reason what they are told; undefined when they are not told.
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
   * Takes a user out of all channels of a group, or out of all that there are, in the turn of each. They are not
   * told: they hear of what is behind it. To be called before anything is written: who has a turn may be waiting
   * for a document that a transaction which waits for the turn holds.
   */
  leaveAll(userId: ObjectId, groupId?: ObjectId): Promise<void> {
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

  /** A direct conversation that nobody is in can never be read again. */
  private async removeEmpty(channel: ChannelDocument): Promise<void> {
    if (channel.kind === 'direct' && channel.memberCount === 0)
      await this.removeChannels([channel], 'deleted');
  }

  /**
   * Takes channels away with all that hangs on them, and notes that their messages are to be removed from the
   * disk (ChannelPurger does that afterwards). Part of the caller's transaction.
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
      ].map((hanging) => hanging.deleteMany(ofChannels)),
    );
    for (const channel of channels) await this.bus.publish({ type: 'channel.deleted', channel, reason });
  }
}

function newRow({ kind, groupId }: ChannelDocument): Partial<ChannelMemberDocument> {
  const now = new Date();
  // An id made by the database would not follow those made here, and members are listed by id.
  return { _id: new ObjectId(), groupId, joinedAt: now, ...(kind === 'direct' && { activeAt: now }) };
}
