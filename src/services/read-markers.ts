import type { AnyBulkWriteOperation, Filter, ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { ChannelReadDocument } from '../models/channel-summary.model';
import type { ChannelDocument } from '../models/channel.model';
import type { MessageDocument } from '../models/message.model';

/**
 * How far people have read, and how much they have not. Who comes into a channel, and who writes in it, has read
 * it up to there: so nothing behind somebody's marker is their own, and what is unread follows from the channel's
 * newest number, the marker and what has been deleted in between.
 */
export class ReadMarkers {
  constructor(private readonly collections: Collections) {}

  /** People come into a channel: what is in it is not new to them. Part of the caller's transaction. */
  begin({ _id: channelId, seq }: ChannelDocument, userIds: ObjectId[]): Promise<void> {
    return this.write(userIds.map((userId) => ({ channelId, userId, seq })));
  }

  /** Somebody comes into the public channels of a group. Part of the caller's transaction. */
  async beginInGroup(groupId: ObjectId, userId: ObjectId): Promise<void> {
    const channels = await this.collections.channels
      .find({ groupId, visibility: 'public' }, { projection: { seq: 1 } })
      .toArray();
    await this.write(channels.map(({ _id, seq }) => ({ channelId: _id, userId, seq })));
  }

  /** People have written. Part of the transaction that inserts their messages. */
  noteSent(messages: MessageDocument[]): Promise<void> {
    // Of several by one sender the last is the newest.
    const newest = new Map(messages.map((message) => [message.senderId.toHexString(), message]));
    return this.write(
      [...newest.values()].map(({ channelId, senderId, seq }) => ({ channelId, userId: senderId, seq })),
    );
  }

  /**
   * Moves a marker on; one that is further stays.
   * @param seq at most the channel's.
   * @returns where it is now, and whether it has moved.
   */
  async advance(
    channel: ChannelDocument,
    userId: ObjectId,
    seq: number,
  ): Promise<{ seq: number; moved: boolean }> {
    const { _id: channelId, readFrom = 0 } = channel;
    const before = await this.collections.channelReads.findOneAndUpdate(
      { channelId, userId },
      { $max: { seq: Math.max(seq, readFrom) } },
      { upsert: true, returnDocument: 'before' },
    );
    const was = before?.seq ?? readFrom;
    return { seq: Math.max(was, seq), moved: seq > was };
  }

  /** For each of the channels, by its id in hexadecimal digits, where the user's marker is. */
  async of(userId: ObjectId, channels: readonly ChannelDocument[]): Promise<Map<string, number>> {
    if (channels.length === 0) return new Map();
    const channelId = { $in: channels.map(({ _id }) => _id) };
    const rows = await this.collections.channelReads.find({ userId, channelId }).toArray();
    const own = new Map(rows.map((row) => [row.channelId.toHexString(), row.seq]));
    return new Map(
      channels.map(({ _id, readFrom = 0 }) => [_id.toHexString(), own.get(_id.toHexString()) ?? readFrom]),
    );
  }

  /**
   * How many messages are unread in each of the channels, by its id in hexadecimal digits.
   * @param markers as from `of`.
   */
  async unread(
    channels: readonly ChannelDocument[],
    markers: ReadonlyMap<string, number>,
  ): Promise<Map<string, number>> {
    const unread = new Map<string, number>();
    const behind: Filter<MessageDocument>[] = [];
    for (const { _id, seq } of channels) {
      const marker = markers.get(_id.toHexString()) ?? 0;
      unread.set(_id.toHexString(), Math.max(0, seq - marker));
      if (seq > marker) {
        behind.push({ channelId: _id, seq: { $gt: marker, $lte: seq }, deletedAt: { $type: 'date' } });
      }
    }
    if (behind.length === 0) return unread;
    const deleted = this.collections.messages.aggregate<{ _id: ObjectId; count: number }>(
      [{ $match: { $or: behind } }, { $group: { _id: '$channelId', count: { $sum: 1 } } }],
      // It holds the deleted ones alone: the cost does not grow with what is unread.
      { hint: 'deleted' },
    );
    for (const { _id, count } of await deleted.toArray()) {
      const key = _id.toHexString();
      unread.set(key, (unread.get(key) ?? 0) - count);
    }
    return unread;
  }

  private async write(markers: Omit<ChannelReadDocument, '_id'>[]): Promise<void> {
    if (markers.length === 0) return;
    await this.collections.channelReads.bulkWrite(
      markers.map(({ channelId, userId, seq }): AnyBulkWriteOperation<ChannelReadDocument> => ({
        updateOne: { filter: { channelId, userId }, update: { $max: { seq } }, upsert: true },
      })),
    );
  }
}
