import type { ObjectId } from 'mongodb';
import type { Transactions } from '../../db/transaction';
import type {
  ChannelRead,
  MarkReadInput,
  MarkUnreadInput,
  UnreadTotals,
} from '../../models/channels/channel-summary.model';
import type { ChannelDocument } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import type { Access } from '../access/access';
import type { EventBus } from '../kernel/event-bus';
import type { ReadCounts } from './read-counts';
import type { ReadMarkers } from './read-markers';

/** Moves read markers for users, and returns unread totals. Changes are published to the user's other devices. */
export class ReadService {
  constructor(
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly markers: ReadMarkers,
    private readonly counts: ReadCounts,
    private readonly bus: EventBus,
  ) {}

  /** Marks a channel as read up to a message; a marker that is further ahead stays. @throws AppError not_found */
  markRead(caller: Caller, channelId: string, { seq }: MarkReadInput): Promise<ChannelRead> {
    return this.move(caller, channelId, (channel, userId) => this.markers.advance(channel, userId, seq));
  }

  /**
   * Marks a message and all later ones as unread. A marker that is before it stays.
   * @throws AppError not_found
   */
  markUnread(caller: Caller, channelId: string, { seq }: MarkUnreadInput): Promise<ChannelRead> {
    return this.move(caller, channelId, (channel, userId) => this.markers.moveBack(channel, userId, seq));
  }

  /**
   * Marks one message outside of threads as read for those users who have read everything before it. The server calls this,
   * in the transaction that changes the message.
   * @param channel as it is after that change.
   */
  async markNextRead(
    channel: ChannelDocument,
    message: Pick<MessageDocument, 'seq' | 'mainSeq'>,
    userIds: readonly ObjectId[],
  ): Promise<void> {
    for (const userId of userIds) {
      if (!(await this.markers.advanceByOne(channel, userId, message))) continue;
      const read = (await this.counts.countFor(userId, [channel])).get(channel._id.toHexString())!;
      await this.bus.publish({ type: 'channel.read', userId, read });
    }
  }

  /** Counts what is unread in all channels that the caller may read, with a fixed number of queries. */
  totals(caller: Caller): Promise<UnreadTotals> {
    return this.transactions.run(async () => {
      const channels = await this.access.readableChannels(caller.userId);
      const reads = await this.counts.countFor(caller.userId, channels);
      const groups = new Map<string | null, { unread: number; mentions: number }>();
      const all = { unread: 0, mentions: 0 };
      const withUnread: ChannelRead[] = [];
      for (const { _id, groupId } of channels) {
        const read = reads.get(_id.toHexString())!;
        if (read.unread === 0) continue;
        withUnread.push(read);
        const key = groupId?.toHexString() ?? null;
        const group = groups.get(key) ?? { unread: 0, mentions: 0 };
        groups.set(key, group);
        for (const sum of [group, all]) {
          sum.unread += read.unread;
          sum.mentions += read.mentions;
        }
      }
      return {
        ...all,
        groups: [...groups].map(([groupId, sum]) => ({ groupId, ...sum })),
        channels: withUnread,
      };
    });
  }

  private move(
    caller: Caller,
    channelId: string,
    move: (channel: ChannelDocument, userId: ObjectId) => Promise<boolean>,
  ): Promise<ChannelRead> {
    return this.transactions.run(async () => {
      const { channel } = await this.access.channel(caller, 'channel.read', channelId);
      const { userId } = caller;
      const moved = await move(channel, userId);
      const read = (await this.counts.countFor(userId, [channel])).get(channel._id.toHexString())!;
      if (moved) await this.bus.publish({ type: 'channel.read', userId, read });
      return read;
    });
  }
}
