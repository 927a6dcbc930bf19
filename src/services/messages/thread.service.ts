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
import { audienceOfChannel, type Access } from '../access/access';
import type { EventBus } from '../kernel/event-bus';
import { newFollowId } from './thread-roots';

/** Follows threads and marks them as read. Authors of replies and of roots follow automatically (see `ThreadRoots`). */
export class ThreadService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly bus: EventBus,
  ) {}

  /** Follows a thread; its present replies count as read. @param messageId its root, or any reply in it. @throws AppError not_found */
  follow(caller: Caller, messageId: string): Promise<ThreadFollow> {
    return this.set(caller, messageId, true);
  }

  /** Unfollows a thread, until the caller replies in it again. @throws AppError not_found */
  unfollow(caller: Caller, messageId: string): Promise<ThreadFollow> {
    return this.set(caller, messageId, false);
  }

  /** Marks a thread as read up to a message. The marker never moves back. @throws AppError not_found */
  markRead(caller: Caller, messageId: string, { seq }: MarkReadInput): Promise<ThreadFollow> {
    return this.change(caller, messageId, (channel) => ({ readSeq: Math.min(seq, channel.seq) }));
  }

  /**
   * The threads that the caller follows and may read now, the one with the newest reply first. It considers the
   * MAX_LISTED_THREADS threads that they have followed most recently.
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
    const unread = await this.countUnread(
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

  /** The unread replies and mentions, by the id of the root; without threads that have none. */
  private async countUnread(
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
    const isMentioned = {
      $or: [{ $in: [userId, { $ifNull: ['$mentionIds', []] }] }, { $eq: ['$mentionsEveryone', 'channel'] }],
    };
    const rows = await this.collections.messages
      .aggregate<{ _id: ObjectId; unread: number; mentions: number }>([
        { $match: { $or } },
        {
          $group: {
            _id: '$threadId',
            unread: { $sum: 1 },
            mentions: { $sum: { $cond: [isMentioned, 1, 0] } },
          },
        },
      ])
      .toArray();
    return new Map(rows.map(({ _id, unread, mentions }) => [_id.toHexString(), { unread, mentions }]));
  }

  private set(caller: Caller, messageId: string, following: boolean): Promise<ThreadFollow> {
    return this.change(caller, messageId, ({ seq }, before) => ({
      following,
      // A repeated request must not mark replies as read that have arrived since the first one.
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
      const isUnchanged = following === undefined || following === before?.following;
      if (before && isUnchanged && before.readSeq >= readSeq) return toThreadFollow(before);
      const onInsert = { _id: newFollowId(), channelId: channel._id };
      const after = await threadFollows.findOneAndUpdate(
        own,
        {
          ...(following === undefined
            ? { $setOnInsert: { ...onInsert, following: false } }
            : { $setOnInsert: onInsert, $set: { following } }),
          $max: { readSeq },
        },
        { upsert: true, returnDocument: 'after' },
      );
      const follow = after as ThreadFollowDocument;
      const audience = audienceOfChannel(channel);
      await this.bus.publish({ type: 'thread_follow.changed', follow, audience });
      return toThreadFollow(follow);
    });
  }
}
