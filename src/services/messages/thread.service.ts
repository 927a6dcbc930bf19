import type { Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { MarkReadInput } from '../../models/channels/channel-summary.model';
import type { ChannelDocument } from '../../models/channel.model';
import { toMessage, type MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import {
  encodeThreadCursor,
  MAX_LISTED_THREADS,
  toThreadFollow,
  type FollowedThread,
  type ThreadFollow,
  type ThreadFollowDocument,
  type ThreadsQuery,
} from '../../models/messages/thread.model';
import { cutPage, type Page } from '../../utils/cursor';
import { lockAccount } from '../users/account-lock';
import type { Access } from '../access/access';
import type { EventBus } from '../kernel/event-bus';
import { newFollowId } from './thread-roots';

/** Who follows which threads, and has read how much of them. Authors of replies and of roots follow by themselves. */
export class ThreadService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly bus: EventBus,
  ) {}

  /** Follows a thread: what is in it is not new. @param messageId its root, or any reply in it. @throws AppError not_found */
  follow(caller: Caller, messageId: string): Promise<ThreadFollow> {
    return this.set(caller, messageId, true);
  }

  /** Follows a thread no more, until the caller replies in it again. @throws AppError not_found */
  unfollow(caller: Caller, messageId: string): Promise<ThreadFollow> {
    return this.set(caller, messageId, false);
  }

  /** The caller has read a thread up to a message; a marker that is further stays. @throws AppError not_found */
  markRead(caller: Caller, messageId: string, { seq }: MarkReadInput): Promise<ThreadFollow> {
    return this.change(caller, messageId, (channel) => ({ readSeq: Math.min(seq, channel.seq) }));
  }

  /**
   * The threads that the caller follows and may read now, that with the newest reply first: among the
   * MAX_LISTED_THREADS that they have begun to follow last.
   */
  async list({ userId }: Caller, { cursor, limit }: ThreadsQuery): Promise<Page<FollowedThread>> {
    const channelId = { $in: await this.access.readableChannelIds(userId) };
    const follows = await this.collections.threadFollows
      .find({ userId, following: true, channelId })
      .sort({ _id: -1 })
      .limit(MAX_LISTED_THREADS)
      .toArray();
    const byThread = new Map(follows.map((follow) => [follow.threadId.toHexString(), follow]));
    const older = cursor && {
      $or: [{ activeAt: { $lt: cursor.activeAt } }, { activeAt: cursor.activeAt, _id: { $lt: cursor._id } }],
    };
    const rows = await this.collections.messages
      .aggregate<MessageDocument & { activeAt: Date }>([
        { $match: { _id: { $in: follows.map(({ threadId }) => threadId) } } },
        { $set: { activeAt: { $ifNull: ['$lastReplyAt', '$createdAt'] } } },
        ...(older ? [{ $match: older }] : []),
        { $sort: { activeAt: -1, _id: -1 } },
        { $limit: limit + 1 },
      ])
      .toArray();
    const page = cutPage(rows, limit, encodeThreadCursor);
    const listed = page.items.map((root) => ({ root, follow: byThread.get(root._id.toHexString())! }));
    const unread = await this.unreadOf(
      userId,
      listed.map(({ follow }) => follow),
    );
    return {
      items: listed.map(({ root, follow }) => ({
        thread: toThreadFollow(follow),
        root: toMessage(root),
        ...(unread.get(root._id.toHexString()) ?? { unread: 0, mentions: 0 }),
      })),
      nextCursor: page.nextCursor,
    };
  }

  /** What is unread in each of the threads that anything is unread in, by the id of the root. */
  private async unreadOf(
    userId: ObjectId,
    follows: readonly ThreadFollowDocument[],
  ): Promise<Map<string, { unread: number; mentions: number }>> {
    if (follows.length === 0) return new Map();
    const $or = follows.map(({ channelId, threadId, readSeq }): Filter<MessageDocument> => ({
      channelId,
      threadId,
      seq: { $gt: readSeq },
      senderId: { $ne: userId },
      deletedAt: null,
    }));
    const named = {
      $or: [{ $in: [userId, { $ifNull: ['$mentionIds', []] }] }, { $eq: ['$mentionsEveryone', 'channel'] }],
    };
    const rows = await this.collections.messages
      .aggregate<{ _id: ObjectId; unread: number; mentions: number }>([
        { $match: { $or } },
        { $group: { _id: '$threadId', unread: { $sum: 1 }, mentions: { $sum: { $cond: [named, 1, 0] } } } },
      ])
      .toArray();
    return new Map(rows.map(({ _id, unread, mentions }) => [_id.toHexString(), { unread, mentions }]));
  }

  private set(caller: Caller, messageId: string, following: boolean): Promise<ThreadFollow> {
    return this.change(caller, messageId, ({ seq }, before) => ({
      following,
      // Said twice, it does not make read what has come in between.
      readSeq: before?.following === following ? before.readSeq : seq,
    }));
  }

  private change(
    caller: Caller,
    messageId: string,
    to: (
      channel: ChannelDocument,
      before: ThreadFollowDocument | null,
    ) => { following?: boolean; readSeq: number },
  ): Promise<ThreadFollow> {
    return this.transactions.run(async () => {
      const { message, channel } = await this.access.message(caller, 'message.read', messageId);
      const { userId } = caller;
      await lockAccount(this.collections, userId);
      const { threadFollows } = this.collections;
      const own = { userId, threadId: message.threadId ?? message._id };
      const before = await threadFollows.findOne(own);
      const { following, readSeq } = to(channel, before);
      const isSaid = following === undefined || following === before?.following;
      if (before && isSaid && before.readSeq >= readSeq) return toThreadFollow(before);
      const begun = { _id: newFollowId(), channelId: channel._id };
      const after = await threadFollows.findOneAndUpdate(
        own,
        {
          ...(following === undefined
            ? { $setOnInsert: { ...begun, following: false } }
            : { $setOnInsert: begun, $set: { following } }),
          $max: { readSeq },
        },
        { upsert: true, returnDocument: 'after' },
      );
      const follow = after as ThreadFollowDocument;
      await this.bus.publish({ type: 'thread_follow.changed', follow });
      return toThreadFollow(follow);
    });
  }
}
