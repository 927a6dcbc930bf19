import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  MAX_BOOKMARKS,
  toBookmark,
  type Bookmark,
  type BookmarkDocument,
} from '../../models/messages/bookmark.model';
import type { PageQuery } from '../../models/kernel/common.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { lockAccount } from '../users/account-lock';
import type { Access } from '../access/access';
import type { EventBus } from '../kernel/event-bus';
import { requireUndeleted } from './message-changes';

/** Messages that users want to find again. Nobody else knows of them. */
export class BookmarkService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly bus: EventBus,
  ) {}

  /** Bookmarks a message; a second time changes nothing. @throws AppError not_found, message_deleted, too_many_bookmarks, session_revoked */
  add(caller: Caller, messageId: string): Promise<Bookmark> {
    return this.transactions.run(async () => {
      const { message } = await this.access.message(caller, 'message.read', messageId);
      requireUndeleted(message);
      const { bookmarks } = this.collections;
      // So that two at once do not pass the limit, and the end of the account leaves none behind.
      await lockAccount(this.collections, caller.userId);
      const own = { userId: caller.userId, messageId: message._id };
      const before = await bookmarks.findOne(own);
      if (before) return toBookmark(before, message);
      if ((await bookmarks.countDocuments({ userId: caller.userId })) >= MAX_BOOKMARKS) {
        throw new AppError('too_many_bookmarks', `One has ${MAX_BOOKMARKS} bookmarks at most.`);
      }
      const made = { channelId: message.channelId, createdAt: new Date() };
      const after = await bookmarks.findOneAndUpdate(
        own,
        // An id made by the database would not follow those made here, and bookmarks are listed by id.
        { $setOnInsert: { _id: new ObjectId(), ...made } },
        { upsert: true, returnDocument: 'after' },
      );
      const bookmark = after as BookmarkDocument;
      await this.bus.publish({ type: 'bookmark.added', bookmark, message });
      return toBookmark(bookmark, message);
    });
  }

  /** Takes a bookmark away; where there is none, nothing changes. It asks for no right: it says nothing of the message. */
  async remove(caller: Caller, messageId: string): Promise<{ messageId: string }> {
    const own = { userId: caller.userId, messageId: new ObjectId(messageId) };
    const { deletedCount } = await this.collections.bookmarks.deleteOne(own);
    if (deletedCount > 0) {
      await this.bus.publish({ type: 'bookmark.removed', userIds: [own.userId], messageId: own.messageId });
    }
    return { messageId };
  }

  /** The caller's bookmarks of what they may read now, the newest first. */
  async list({ userId }: Caller, query: PageQuery): Promise<Page<Bookmark>> {
    const channelId = { $in: await this.access.readableChannelIds(userId) };
    const rows = await this.collections.bookmarks
      .find({ userId, channelId, ...(query.cursor && { _id: { $lt: new ObjectId(query.cursor) } }) })
      .sort({ _id: -1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    const messages = await this.collections.messages
      .find({ _id: { $in: page.items.map(({ messageId }) => messageId) } })
      .toArray();
    const byId = new Map(messages.map((message) => [message._id.toHexString(), message]));
    const items = page.items.flatMap((row) => {
      const message = byId.get(row.messageId.toHexString());
      return message ? [toBookmark(row, message)] : [];
    });
    return { items, nextCursor: page.nextCursor };
  }
}
