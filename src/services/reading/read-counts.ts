import type { Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelRead } from '../../models/channels/channel-summary.model';
import type { ChannelDocument } from '../../models/channel.model';
import { OUTSIDE_THREADS, type MessageDocument } from '../../models/message.model';
import type { Marker, ReadMarkers } from './read-markers';

/**
 * Counts unread messages and mentions. The counts are not stored, so they cannot drift: they are computed from two
 * sequence numbers, of the channel and of the read marker, minus the messages that have been deleted in between.
 */
export class ReadCounts {
  constructor(
    private readonly collections: Collections,
    private readonly markers: ReadMarkers,
  ) {}

  /**
   * Finds the read state of a user in each of the channels, by the channel's id in hexadecimal digits, with three queries
   * for any number of channels.
   */
  async countFor(userId: ObjectId, channels: readonly ChannelDocument[]): Promise<Map<string, ChannelRead>> {
    const markers = await this.markers.findFor(userId, channels);
    const unread = channels
      .map((channel) => ({ channel, marker: markers.get(channel._id.toHexString())! }))
      .filter(({ channel, marker }) => channel.seq > marker.seq);
    const [deleted, mentions] = await Promise.all([
      this.countDeletedAfter(userId, unread),
      this.countMentionsAfter(userId, unread),
    ]);
    return new Map(
      channels.map((channel): [string, ChannelRead] => {
        const key = channel._id.toHexString();
        const { seq, mainSeq, own, version } = markers.get(key)!;
        const read = {
          channelId: key,
          readSeq: seq,
          unread: Math.max(0, channel.mainSeq - mainSeq - own - (deleted.get(key) ?? 0)),
          mentions: mentions.get(key) ?? 0,
          lastSeq: channel.seq,
          revision: channel.revision,
          version,
        };
        return [key, read];
      }),
    );
  }

  private countDeletedAfter(
    userId: ObjectId,
    unread: readonly MarkedChannel[],
  ): Promise<Map<string, number>> {
    const filters = unread.map((marked) => ({
      ...unreadRange(marked),
      deletedAt: { $type: 'date' as const },
      senderId: { $ne: userId },
      ...OUTSIDE_THREADS,
    }));
    // The index contains only deleted messages: the cost does not grow with the number of unread ones.
    return this.countByChannel(filters, 'deleted');
  }

  private countMentionsAfter(
    userId: ObjectId,
    unread: readonly MarkedChannel[],
  ): Promise<Map<string, number>> {
    const living = { deletedAt: null, ...OUTSIDE_THREADS };
    return this.countByChannel(
      unread.flatMap((marked): Filter<MessageDocument>[] => [
        { mentionIds: userId, ...unreadRange(marked), ...living },
        { mentionsEveryone: 'channel', ...unreadRange(marked), senderId: { $ne: userId }, ...living },
      ]),
    );
  }

  private async countByChannel(
    filters: Filter<MessageDocument>[],
    index?: string,
  ): Promise<Map<string, number>> {
    if (filters.length === 0) return new Map();
    const counts = await this.collections.messages
      .aggregate<{ _id: ObjectId; count: number }>(
        [{ $match: { $or: filters } }, { $group: { _id: '$channelId', count: { $sum: 1 } } }],
        index === undefined ? {} : { hint: index },
      )
      .toArray();
    return new Map(counts.map(({ _id, count }) => [_id.toHexString(), count]));
  }
}

interface MarkedChannel {
  channel: ChannelDocument;
  marker: Marker;
}

function unreadRange({ channel, marker }: MarkedChannel) {
  return { channelId: channel._id, seq: { $gt: marker.seq, $lte: channel.seq } };
}
