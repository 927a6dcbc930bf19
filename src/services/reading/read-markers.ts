import type { AnyBulkWriteOperation, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelReadDocument } from '../../models/channels/channel-summary.model';
import type { ChannelDocument } from '../../models/channel.model';
import { OUTSIDE_THREADS, type MessageDocument } from '../../models/message.model';

/** Where a marker is. */
export type Marker = Omit<ChannelReadDocument, '_id' | 'channelId' | 'userId'>;

/**
 * How far people have read. Who comes into a channel, and who writes in it, has read it up to there: so nothing
 * behind a marker is one's own, unless one has put it back. Replies in threads neither count nor move it.
 */
export class ReadMarkers {
  constructor(private readonly collections: Collections) {}

  /** People come into a channel: what is in it is not new to them. Part of the caller's transaction. */
  startAtEnd({ _id, seq, mainSeq }: ChannelDocument, userIds: ObjectId[]): Promise<void> {
    return this.advanceAll(userIds.map((userId) => ({ channelId: _id, userId, seq, mainSeq })));
  }

  /**
   * Those who are in a channel stay where they are when it takes another start for people without a marker. Part of
   * the caller's transaction.
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

  /** Somebody comes into the public channels of a group. Part of the caller's transaction. */
  async startAtEndInGroup(groupId: ObjectId, userId: ObjectId): Promise<void> {
    const channels = await this.collections.channels
      .find({ groupId, visibility: 'public' }, { projection: { seq: 1, mainSeq: 1 } })
      .toArray();
    await this.advanceAll(
      channels.map(({ _id, seq, mainSeq }) => ({ channelId: _id, userId, seq, mainSeq })),
    );
  }

  /** People have written. Part of the transaction that inserts their messages. */
  advanceSenders(messages: readonly MessageDocument[]): Promise<void> {
    const main = messages.filter(({ threadId }) => threadId === undefined);
    // Of several by one sender the last is the newest.
    const newest = new Map(main.map((message) => [message.senderId.toHexString(), message]));
    return this.advanceAll(
      [...newest.values()].map(({ channelId, senderId, seq, mainSeq }) => ({
        channelId,
        userId: senderId,
        seq,
        mainSeq,
      })),
    );
  }

  /** Moves a marker on; one that is further stays. @returns whether it has moved. */
  async advance(channel: ChannelDocument, userId: ObjectId, upTo: number): Promise<boolean> {
    const marker = await this.findOrCreate(channel, userId);
    const seq = Math.min(upTo, channel.seq);
    if (seq <= marker.seq) return false;
    const own = marker.own > 0 ? await this.countOwn(channel._id, userId, seq) : 0;
    return this.moveTo(channel, userId, { seq, own }, { $lt: seq });
  }

  /** Puts a marker back before a message; one that is before it stays. @returns whether it has moved. */
  async moveBack(channel: ChannelDocument, userId: ObjectId, from: number): Promise<boolean> {
    const marker = await this.findOrCreate(channel, userId);
    const seq = Math.max(0, from - 1);
    if (seq >= marker.seq) return false;
    const own = await this.countOwn(channel._id, userId, seq);
    return this.moveTo(channel, userId, { seq, own }, marker.seq);
  }

  /** What is old has been removed up to here: whoever had not read it has nothing left to read of it. */
  async advancePastRemoved(
    channelId: ObjectId,
    { seq, mainSeq }: Pick<Marker, 'seq' | 'mainSeq'>,
  ): Promise<void> {
    const { channelReads } = this.collections;
    const behind = { channelId, seq: { $lt: seq } };
    const putBack = await channelReads.find({ ...behind, own: { $gt: 0 } }).toArray();
    await channelReads.updateMany(behind, { $set: { seq, mainSeq, own: 0 }, $inc: { version: 1 } });
    for (const { userId } of putBack) {
      const own = await this.countOwn(channelId, userId, seq);
      await channelReads.updateOne({ channelId, userId, seq }, { $set: { own } });
    }
  }

  /** For each of the channels, by its id in hexadecimal digits, where the user's marker is. */
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

  /** How many of the user's own messages outside of threads come after a place in a channel, deleted ones too. */
  countOwn(channelId: ObjectId, userId: ObjectId, seq: number): Promise<number> {
    return this.collections.messages.countDocuments({
      senderId: userId,
      channelId,
      seq: { $gt: seq },
      ...OUTSIDE_THREADS,
    });
  }

  /** Makes the marker of who has none. */
  private async findOrCreate(channel: ChannelDocument, userId: ObjectId): Promise<Marker> {
    const marker = await this.collections.channelReads.findOneAndUpdate(
      { channelId: channel._id, userId },
      { $setOnInsert: initialMarker(channel) },
      { upsert: true, returnDocument: 'after' },
    );
    return marker ?? initialMarker(channel);
  }

  /** @param from where the marker must be still: a move that comes in between wins. */
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

  /** How many messages outside of threads there had been up to a place in a channel. */
  private async mainSeqAt(channel: ChannelDocument, seq: number): Promise<number> {
    if (seq >= channel.seq) return channel.mainSeq;
    // The one behind it rather than the one before: what is old may have been removed.
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
      markers.map(({ channelId, userId, seq, mainSeq }): AnyBulkWriteOperation<ChannelReadDocument> => ({
        updateOne: {
          filter: { channelId, userId },
          update: { $max: { seq, mainSeq }, $set: { own: 0 }, $inc: { version: 1 } },
          upsert: true,
        },
      })),
    );
  }
}

/** Where the marker of somebody is who has none. */
function initialMarker({ readFrom }: ChannelDocument): Marker {
  return { seq: readFrom?.seq ?? 0, mainSeq: readFrom?.mainSeq ?? 0, own: 0, version: 0 };
}
