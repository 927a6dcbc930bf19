import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import type { Caller } from '../models/session.model';
import { toThreadFollow, type ThreadFollow, type ThreadFollowDocument } from '../models/thread.model';
import type { Access } from './access';
import type { EventBus } from './event-bus';

/** Who follows which threads. Authors of replies and of what they reply to do so by themselves. */
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

  private set(caller: Caller, messageId: string, following: boolean): Promise<ThreadFollow> {
    return this.transactions.run(async () => {
      const { message, channel } = await this.access.message(caller, 'message.read', messageId);
      const { userId } = caller;
      const { threadFollows } = this.collections;
      const own = { userId, threadId: message.threadId ?? message._id };
      const before = await threadFollows.findOne(own);
      if (before?.following === following) return toThreadFollow(before);
      const after = await threadFollows.findOneAndUpdate(
        own,
        { $set: { following }, $setOnInsert: { channelId: channel._id }, $max: { readSeq: channel.seq } },
        { upsert: true, returnDocument: 'after' },
      );
      const thread = toThreadFollow(after as ThreadFollowDocument);
      await this.bus.tell({ kind: 'users', userIds: [userId] }, 'thread:updated', { thread });
      return thread;
    });
  }
}
