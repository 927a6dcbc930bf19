import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { MessageDocument } from '../../models/message.model';
import type { Attachments } from '../files/attachments';
import type { EventBus } from '../kernel/event-bus';
import type { MessageChanges } from './message-changes';
import type { NotificationService } from '../notifications/notification.service';

/** The fields that are removed with the text of a message. Its number, its thread and quotes of it remain. */
const ERASED = {
  attachments: true,
  mentionIds: true,
  mentionsEveryone: true,
  notifiedIds: true,
  everyoneNotified: true,
  reactions: true,
  pinnedAt: true,
  pinnedBy: true,
  pinnedRevision: true,
  forwardedFrom: true,
  call: true,
  linkPreviews: true,
} as const;

/** Deletes the content of a message and everything attached to it. It does not check access. */
export class MessageEraser {
  constructor(
    private readonly collections: Collections,
    private readonly changes: MessageChanges,
    private readonly attachments: Attachments,
    private readonly notifications: NotificationService,
    private readonly bus: EventBus,
  ) {}

  /**
   * Deletes a message. Idempotent. The caller holds the channel in its queue and has begun the transaction (see
   * `MessageChanges.asCaller`).
   * @returns the deleted message.
   */
  async erase(current: MessageDocument): Promise<MessageDocument> {
    if (current.deletedAt) return current;
    const { message } = await this.changes.apply(
      current,
      () => ({ $set: { body: '', search: null, deletedAt: new Date() }, $unset: ERASED }),
      'message.deleted',
    );
    await this.attachments.release([current]);
    if (current.threadId) await this.decrementReplyCount(current.channelId, current.threadId);
    await this.collections.messageEdits.deleteMany({ messageId: current._id });
    await this.deleteBookmarks(current._id);
    const { mentionIds, mentionsEveryone, notifiedIds, everyoneNotified } = current;
    if (mentionIds ?? mentionsEveryone ?? notifiedIds ?? everyoneNotified) {
      await this.notifications.withdraw({ messageId: current._id, kind: 'mention' });
    }
    return message;
  }

  /** Updates the root of a thread after the deletion of a reply. */
  private async decrementReplyCount(channelId: ObjectId, threadId: ObjectId): Promise<void> {
    const { messages } = this.collections;
    const root = await messages.findOne({ _id: threadId });
    if (!root) return;
    const [newest] = await messages
      .find({ channelId, threadId, deletedAt: null })
      .sort({ seq: -1 })
      .limit(1)
      .toArray();
    await this.changes.apply(root, () => ({
      $inc: { replyCount: -1 },
      ...(newest ? { $set: { lastReplyAt: newest.createdAt } } : { $unset: { lastReplyAt: true } }),
    }));
  }

  private async deleteBookmarks(messageId: ObjectId): Promise<void> {
    const { bookmarks } = this.collections;
    const rows = await bookmarks.find({ messageId }, { projection: { userId: 1 } }).toArray();
    if (rows.length === 0) return;
    await bookmarks.deleteMany({ messageId });
    const userIds = rows.map(({ userId }) => userId);
    await this.bus.publish({ type: 'bookmark.removed', userIds, messageId });
  }
}
