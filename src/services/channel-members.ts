import type { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import { toChannel, type ChannelDocument } from '../models/channel.model';
import type { Departure } from '../models/server-events.model';
import { audienceOfChannel } from './access';
import type { EventBus } from './event-bus';
import type { ReadMarkers } from './read-markers';

/**
 * The one place that puts people into private channels and direct conversations and takes them out, and that
 * takes channels away: what open clients hear goes with it. It does not ask who may.
 */
export class ChannelMembers {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly markers: ReadMarkers,
    private readonly bus: EventBus,
  ) {}

  /**
   * Takes users in; who is in already stays.
   * @param silent whether they know the channel already, and are not told that it is new to them.
   */
  add(channel: ChannelDocument, userIds: ObjectId[], { silent = false } = {}): Promise<void> {
    return this.transactions.run(async () => {
      const { _id: channelId, groupId } = channel;
      const added: ObjectId[] = [];
      for (const userId of userIds) {
        const { upsertedCount } = await this.collections.channelMembers.updateOne(
          { channelId, userId },
          { $setOnInsert: { groupId, joinedAt: new Date() } },
          { upsert: true },
        );
        if (upsertedCount > 0) added.push(userId);
      }
      if (added.length === 0) return;
      const after = await this.collections.channels.findOneAndUpdate(
        { _id: channelId },
        { $inc: { memberCount: added.length } },
        { returnDocument: 'after' },
      );
      if (after) await this.markers.begin(after, added);
      for (const userId of added) {
        await this.bus.publish({ type: 'channel_member.added', channelId, groupId, userId });
      }
      if (!silent && after) {
        await this.bus.tell({ kind: 'users', userIds: added }, 'channel:added', {
          channel: toChannel(after),
        });
      }
      for (const userId of added) {
        await this.bus.tell({ kind: 'channel', channelId }, 'channel_member:added', {
          channelId: channelId.toHexString(),
          userId: userId.toHexString(),
        });
      }
    });
  }

  /** Takes a user out. Once it is committed, they hear nothing more of it. @returns false if they were not in it */
  remove(channel: ChannelDocument, userId: ObjectId, reason: Departure): Promise<boolean> {
    return this.transactions.run(async () => {
      const { _id: channelId, groupId } = channel;
      const { deletedCount } = await this.collections.channelMembers.deleteOne({ channelId, userId });
      if (deletedCount === 0) return false;
      await this.collections.channels.updateOne({ _id: channelId }, { $inc: { memberCount: -1 } });
      await this.bus.publish({ type: 'channel_member.removed', channelId, userId });
      await this.bus.tell({ kind: 'users', userIds: [userId] }, 'channel:removed', {
        channelId: channelId.toHexString(),
        groupId: groupId?.toHexString() ?? null,
        reason,
      });
      await this.bus.tell({ kind: 'channel', channelId }, 'channel_member:removed', {
        channelId: channelId.toHexString(),
        userId: userId.toHexString(),
      });
      return true;
    });
  }

  /**
   * Takes channels away with all that hangs on them, and notes that their messages are to be removed from the
   * disk (ChannelPurger does that afterwards). Part of the caller's transaction.
   */
  async removeChannels(channels: ChannelDocument[], reason: Departure): Promise<void> {
    const { channelPurges, channelMembers, channelRestrictions, slowModeMarks, channelReads } =
      this.collections;
    if (channels.length === 0) return;
    const ids = channels.map(({ _id }) => _id);
    await channelPurges.bulkWrite(
      ids.map((_id) => ({
        updateOne: { filter: { _id }, update: { $setOnInsert: { requestedAt: new Date() } }, upsert: true },
      })),
    );
    await this.collections.channels.deleteMany({ _id: { $in: ids } });
    for (const hanging of [channelMembers, channelRestrictions, slowModeMarks, channelReads]) {
      await hanging.deleteMany({ channelId: { $in: ids } });
    }
    for (const channel of channels) {
      await this.bus.tell(audienceOfChannel(channel), 'channel:removed', {
        channelId: channel._id.toHexString(),
        groupId: channel.groupId?.toHexString() ?? null,
        reason,
      });
      await this.bus.publish({ type: 'channel_members.cleared', channelId: channel._id });
    }
  }
}
