import type { AnyBulkWriteOperation, ObjectId, UpdateFilter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { WriteList } from '../../db/write-list';
import type { ChannelReadDocument } from '../../models/channels/channel-summary.model';
import type { ChannelDocument } from '../../models/channel.model';
import { OUTSIDE_THREADS, type MessageDocument } from '../../models/message.model';

/** The position of a read marker. */
export type Marker = Omit<ChannelReadDocument, '_id' | 'channelId' | 'userId'>;

/**
 * Read markers: how far each user has read each channel. Joining a channel and sending a message move the marker to the
 * end, so no own message follows a marker, unless the user has moved it back (`own` counts those). Replies in threads
 * are not counted and do not move it.
 */
export class ReadMarkers {
  constructor(private readonly collections: Collections) {}

  /** Marks a channel as read for users who join it. Part of the caller's transaction. */
  startAtEnd({ _id, seq, mainSeq }: ChannelDocument, userIds: ObjectId[]): Promise<void> {
    return this.advanceAll(userIds.map((userId) => ({ channelId: _id, userId, seq, mainSeq })));
  }

  /**
   * Creates the markers of members who have none, before the channel gets another start position for users without a
   * marker: so their position stays the same. Part of the caller's transaction.
   */
  async createMissing(channel: ChannelDocument, userIds: ObjectId[]): Promise<void> {
    if (userIds.length === 0) return;
    await this.collections.channelReads.bulkWrite(
      userIds.map((userId): AnyBulkWriteOperation<ChannelReadDocument> => ({
        updateOne: {
          filter: { channelId: channel._id, userId },
          update: { $setOnInsert: initialMarker(channel) },
          upsert: true,
        },
      })),
    );
  }

  /** Marks the public channels of a group as read for a user who joins it. Part of the caller's transaction. */
  async startAtEndInGroup(groupId: ObjectId, userId: ObjectId): Promise<void> {
    const channels = await this.collections.channels
      .find({ groupId, visibility: 'public' }, { projection: { seq: 1, mainSeq: 1 } })
      .toArray();
    await this.advanceAll(
      channels.map(({ _id, seq, mainSeq }) => ({ channelId: _id, userId, seq, mainSeq })),
    );
  }

  /**
   * Moves the markers of senders to their newest messages, in the writes that insert these.
   * @param messages of one channel, in their order.
   */
  advanceSenders(writes: WriteList<unknown>, messages: readonly MessageDocument[]): void {
    const main = messages.filter(({ threadId }) => threadId === undefined);
    // A later message replaces an earlier one of the same sender.
    const newest = new Map(main.map((message) => [message.senderId.toHexString(), message]));
    for (const { channelId, senderId: userId, ...position } of newest.values()) {
      writes.upsert(this.collections.channelReads, { channelId, userId }, advanceTo(position));
    }
  }

  /** Moves a marker forward; one that is further ahead stays. @returns whether it has moved. */
  async advance(channel: ChannelDocument, userId: ObjectId, upTo: number): Promise<boolean> {
    const marker = await this.findOrCreate(channel, userId);
    const seq = Math.min(upTo, channel.seq);
    if (seq <= marker.seq) return false;
    const own = marker.own > 0 ? await this.countOwn(channel._id, userId, seq) : 0;
    return this.moveTo(channel, userId, { seq, own }, { $lt: seq });
  }

  /**
   * Moves a marker forward to a message, if this is the first one after it outside of threads.
   * @returns whether it has moved.
   */
  async advanceByOne(
    channel: ChannelDocument,
    userId: ObjectId,
    { seq, mainSeq }: Pick<MessageDocument, 'seq' | 'mainSeq'>,
  ): Promise<boolean> {
    const marker = await this.findOrCreate(channel, userId);
    // A user with messages of their own after the marker has moved it back on purpose.
    if (marker.seq >= seq || marker.own > 0 || marker.mainSeq !== mainSeq - 1) return false;
    return this.moveTo(channel, userId, { seq, own: 0 }, marker.seq);
  }

  /** Moves a marker back before a message; one that is before it stays. @returns whether it has moved. */
  async moveBack(channel: ChannelDocument, userId: ObjectId, from: number): Promise<boolean> {
    const marker = await this.findOrCreate(channel, userId);
    const seq = Math.max(0, from - 1);
    if (seq >= marker.seq) return false;
    const own = await this.countOwn(channel._id, userId, seq);
    return this.moveTo(channel, userId, { seq, own }, marker.seq);
  }

  /** Moves markers forward over messages that retention has removed, up to this position. */
  async advancePastRemoved(
    channelId: ObjectId,
    { seq, mainSeq }: Pick<Marker, 'seq' | 'mainSeq'>,
  ): Promise<void> {
    const { channelReads } = this.collections;
    const beforePosition = { channelId, seq: { $lt: seq } };
    const movedBack = await channelReads.find({ ...beforePosition, own: { $gt: 0 } }).toArray();
    await channelReads.updateMany(beforePosition, { $set: { seq, mainSeq, own: 0 }, $inc: { version: 1 } });
    for (const { userId } of movedBack) {
      const own = await this.countOwn(channelId, userId, seq);
      await channelReads.updateOne({ channelId, userId, seq }, { $set: { own } });
    }
  }

  /** Finds the user's marker in each of the channels, by the channel's id in hexadecimal digits. */
  async findFor(userId: ObjectId, channels: readonly ChannelDocument[]): Promise<Map<string, Marker>> {
    if (channels.length === 0) return new Map();
    const channelId = { $in: channels.map(({ _id }) => _id) };
    const rows = await this.collections.channelReads.find({ userId, channelId }).toArray();
    const own = new Map(rows.map((row) => [row.channelId.toHexString(), row]));
    return new Map(
      channels.map((channel) => {
        const key = channel._id.toHexString();
        return [key, own.get(key) ?? initialMarker(channel)];
      }),
    );
  }

  /** Counts the user's own messages outside of threads after a position in a channel, including deleted ones. */
  countOwn(channelId: ObjectId, userId: ObjectId, seq: number): Promise<number> {
    return this.collections.messages.countDocuments({
      senderId: userId,
      channelId,
      seq: { $gt: seq },
      ...OUTSIDE_THREADS,
    });
  }

  /** Finds a marker, or creates it at the start position of the channel. */
  private async findOrCreate(channel: ChannelDocument, userId: ObjectId): Promise<Marker> {
    const marker = await this.collections.channelReads.findOneAndUpdate(
      { channelId: channel._id, userId },
      { $setOnInsert: initialMarker(channel) },
      { upsert: true, returnDocument: 'after' },
    );
    return marker ?? initialMarker(channel);
  }

  /** @param from the position that the marker must still have: a move by another call in between wins. */
  private async moveTo(
    channel: ChannelDocument,
    userId: ObjectId,
    { seq, own }: { seq: number; own: number },
    from: number | { $lt: number },
  ): Promise<boolean> {
    const mainSeq = await this.mainSeqAt(channel, seq);
    const { modifiedCount } = await this.collections.channelReads.updateOne(
      { channelId: channel._id, userId, seq: from },
      { $set: { seq, mainSeq, own }, $inc: { version: 1 } },
    );
    return modifiedCount > 0;
  }

  /** Finds the number of messages outside of threads up to a position in a channel, including removed ones. */
  private async mainSeqAt(channel: ChannelDocument, seq: number): Promise<number> {
    if (seq >= channel.seq) return channel.mainSeq;
    // The message after the position is used, since those before it may have been removed.
    const [next] = await this.collections.messages
      .find({ channelId: channel._id, seq: { $gt: seq } }, { projection: { mainSeq: 1, threadId: 1 } })
      .sort({ seq: 1 })
      .limit(1)
      .toArray();
    if (!next) return channel.mainSeq;
    return next.threadId === undefined ? next.mainSeq - 1 : next.mainSeq;
  }

  private async advanceAll(
    markers: Pick<ChannelReadDocument, 'channelId' | 'userId' | 'seq' | 'mainSeq'>[],
  ): Promise<void> {
    if (markers.length === 0) return;
    await this.collections.channelReads.bulkWrite(
      markers.map(({ channelId, userId, ...position }): AnyBulkWriteOperation<ChannelReadDocument> => ({
        updateOne: { filter: { channelId, userId }, update: advanceTo(position), upsert: true },
      })),
    );
  }
}

/** The update that moves a marker forward. */
function advanceTo({ seq, mainSeq }: Pick<Marker, 'seq' | 'mainSeq'>): UpdateFilter<ChannelReadDocument> {
  return { $max: { seq, mainSeq }, $set: { own: 0 }, $inc: { version: 1 } };
}

/** The start position of a channel, for users without a marker. */
function initialMarker({ readFrom }: ChannelDocument): Marker {
  return { seq: readFrom?.seq ?? 0, mainSeq: readFrom?.mainSeq ?? 0, own: 0, version: 0 };
}
