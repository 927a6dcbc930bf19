import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import {
  toNotification,
  type NotificationDocument,
  type NotificationKind,
} from '../models/notification.model';
import type { EventBus } from './event-bus';

/** What a user is told, and what it is about. */
export interface Notice {
  kind: NotificationKind;
  actorId?: ObjectId;
  groupId?: ObjectId;
  channelId?: ObjectId;
  messageId?: ObjectId;
  text?: string;
}

/** What users should know of, kept until they have read it. */
export class NotificationService {
  constructor(
    private readonly collections: Collections,
    private readonly bus: EventBus,
  ) {}

  /** Tells users of something: on their open devices, and in their list. Part of the caller's transaction. */
  async notify(userIds: readonly ObjectId[], notice: Notice): Promise<void> {
    if (userIds.length === 0) return;
    const createdAt = new Date();
    const documents = userIds.map((userId): NotificationDocument => ({
      _id: new ObjectId(),
      userId,
      kind: notice.kind,
      actorId: notice.actorId ?? null,
      groupId: notice.groupId ?? null,
      channelId: notice.channelId ?? null,
      messageId: notice.messageId ?? null,
      text: notice.text ?? '',
      createdAt,
      readAt: null,
    }));
    await this.collections.notifications.insertMany(documents);
    for (const document of documents) {
      await this.bus.tell({ kind: 'users', userIds: [document.userId] }, 'notification:created', {
        notification: toNotification(document),
        unread: await this.countUnread(document.userId),
      });
    }
  }

  countUnread(userId: ObjectId): Promise<number> {
    return this.collections.notifications.countDocuments({ userId, readAt: null });
  }
}
