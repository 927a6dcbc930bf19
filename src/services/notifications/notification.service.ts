import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import {
  NOTIFICATION_RULES,
  toNotification,
  type Notification,
  type NotificationDocument,
  type NotificationKind,
  type NotificationsQuery,
  type ReadAllQuery,
} from '../../models/notifications/notification.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import type { Blocks } from '../users/blocks';
import type { DomainEventOf } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { ThrottleService } from '../operations/throttle.service';

/** What a user is told, and what it is about. */
export interface Notice {
  kind: NotificationKind;
  /** Who did it, whether or not that is told; null when the server did. */
  actorId: ObjectId | null;
  groupId?: ObjectId;
  channelId?: ObjectId;
  messageId?: ObjectId;
  text?: string;
}

/** What is to be published of a notification. */
export type PreparedNotification = DomainEventOf<'notification.created'>;

/**
 * What users should know of, kept until they have read it. The one place through which what a person does or writes
 * reaches another one as a notification: by NOTIFICATION_RULES it leaves out what comes from somebody whom the
 * recipient has blocked, and bounds how often one person may notify another.
 */
export class NotificationService {
  constructor(
    private readonly collections: Collections,
    private readonly blocks: Blocks,
    private readonly throttle: ThrottleService,
    private readonly bus: EventBus,
  ) {}

  /**
   * Tells users of something: on their open devices, and in their list. Part of the caller's transaction.
   * @returns what was stored: nothing for those who are not told.
   */
  async notify(userIds: readonly ObjectId[], notice: Notice): Promise<NotificationDocument[]> {
    const documents = await this.store(userIds, notice);
    await this.publishAll(documents);
    return documents;
  }

  /** As `notify`, without telling anybody yet: for whoever has something else to tell first. */
  async store(userIds: readonly ObjectId[], notice: Notice): Promise<NotificationDocument[]> {
    const { kind, actorId } = notice;
    const { fromBlocked, namesActor, repeatable } = NOTIFICATION_RULES[kind];
    // Counted before blocks are looked at: a limit that is never reached would tell somebody that they are blocked.
    const admitted = repeatable ? await this.withinLimit(actorId, userIds) : userIds;
    const blockers =
      actorId && fromBlocked !== 'everything'
        ? await this.blocks.findBlockers(actorId, admitted)
        : new Set<string>();
    const isBlocked = (userId: ObjectId) => blockers.has(userId.toHexString());
    const recipients = fromBlocked === 'nothing' ? admitted.filter((id) => !isBlocked(id)) : admitted;
    if (recipients.length === 0) return [];
    const createdAt = new Date();
    const documents = recipients.map((userId): NotificationDocument => ({
      _id: new ObjectId(),
      userId,
      kind,
      actorId: namesActor && !isBlocked(userId) ? actorId : null,
      groupId: notice.groupId ?? null,
      channelId: notice.channelId ?? null,
      messageId: notice.messageId ?? null,
      text: isBlocked(userId) ? '' : (notice.text ?? ''),
      createdAt,
      readAt: null,
    }));
    if (repeatable) await this.replaceUnread(documents);
    await this.collections.notifications.insertMany(documents);
    return documents;
  }

  /** Those of some users whom somebody has not yet notified as often as one may in an hour. */
  private async withinLimit(
    actorId: ObjectId | null,
    userIds: readonly ObjectId[],
  ): Promise<readonly ObjectId[]> {
    if (!actorId) return userIds;
    const admitted: ObjectId[] = [];
    for (const userId of userIds) {
      if (await this.throttle.countContact(actorId.toHexString(), userId.toHexString()))
        admitted.push(userId);
    }
    return admitted;
  }

  /** What somebody has not read yet, and what is now so again or otherwise, is told once. */
  private async replaceUnread(documents: readonly NotificationDocument[]): Promise<void> {
    for (const { userId, kind, groupId, channelId } of documents) {
      // Requests of several people to join one group stand beside each other.
      if (!groupId || kind === 'join_request.received') continue;
      await this.withdraw({ groupId, kind, userId, channelId, readAt: null });
    }
  }

  /** Tells open devices of notifications that have been stored, one for each user. */
  async publishAll(documents: readonly NotificationDocument[]): Promise<void> {
    for (const one of await this.prepare(documents)) await this.publish(one);
  }

  /** What open devices are to be told of notifications that have been stored, one for each user. */
  async prepare(documents: readonly NotificationDocument[]): Promise<PreparedNotification[]> {
    if (documents.length === 0) return [];
    const userIds = documents.map(({ userId }) => userId);
    const [unread, undisturbed] = await Promise.all([
      this.countUnreadByUser(userIds),
      this.findDoNotDisturb(userIds),
    ]);
    return documents.map((document): PreparedNotification => {
      const key = document.userId.toHexString();
      return {
        type: 'notification.created',
        notification: document,
        unread: unread.get(key) ?? 0,
        silent: undisturbed.has(key),
      };
    });
  }

  publish(event: PreparedNotification): Promise<void> {
    return this.bus.publish(event);
  }

  /**
   * Takes notifications back that mean nothing any more, from whoever has them. Part of the caller's transaction.
   * @returns how many there were.
   * @param about those of this group or message, and of these only those of a kind, by somebody or for somebody.
   */
  async withdraw(
    about: ({ groupId: ObjectId } | { messageId: ObjectId }) & {
      kind?: NotificationKind;
      actorId?: ObjectId;
      userId?: ObjectId;
      channelId?: ObjectId | null;
      readAt?: null;
    },
  ): Promise<number> {
    const withdrawn = await this.collections.notifications.find(about).toArray();
    if (withdrawn.length === 0) return 0;
    await this.collections.notifications.deleteMany({ _id: { $in: withdrawn.map(({ _id }) => _id) } });
    const unread = await this.countUnreadByUser(withdrawn.map(({ userId }) => userId));
    for (const { _id, userId } of withdrawn) {
      await this.bus.publish({
        type: 'notification.deleted',
        userId,
        notificationId: _id,
        unread: unread.get(userId.toHexString()) ?? 0,
      });
    }
    return withdrawn.length;
  }

  /** The caller's notifications, newest first. */
  async list(
    { userId }: Caller,
    query: NotificationsQuery,
  ): Promise<Page<Notification> & { unread: number }> {
    const [rows, unread] = await Promise.all([
      this.collections.notifications
        .find({
          userId,
          ...(query.unread && { readAt: null }),
          ...(query.cursor && { _id: { $lt: new ObjectId(query.cursor) } }),
        })
        .sort({ _id: -1 })
        .limit(query.limit + 1)
        .toArray(),
      this.countUnread(userId),
    ]);
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    return { items: page.items.map(toNotification), nextCursor: page.nextCursor, unread };
  }

  /** Marks one as read, on all devices; a second time changes nothing. @throws AppError not_found */
  async read(
    { userId }: Caller,
    notificationId: string,
  ): Promise<{ notification: Notification; unread: number }> {
    const own = { _id: new ObjectId(notificationId), userId };
    const marked = await this.collections.notifications.findOneAndUpdate(
      { ...own, readAt: null },
      { $set: { readAt: new Date() } },
      { returnDocument: 'after' },
    );
    const document = marked ?? (await this.collections.notifications.findOne(own));
    if (!document) throw notificationNotFound();
    const unread = await this.countUnread(userId);
    if (marked) {
      const read = { notificationId: document._id, upTo: null };
      await this.bus.publish({ type: 'notification.read', userId, ...read, unread });
    }
    return { notification: toNotification(document), unread };
  }

  /** Marks all as read, or all up to one. @returns how many are unread then. */
  async readAll({ userId }: Caller, { upTo }: ReadAllQuery): Promise<number> {
    const last = upTo === undefined ? null : new ObjectId(upTo);
    const { modifiedCount } = await this.collections.notifications.updateMany(
      { userId, readAt: null, ...(last && { _id: { $lte: last } }) },
      { $set: { readAt: new Date() } },
    );
    const unread = await this.countUnread(userId);
    if (modifiedCount > 0) {
      const read = { notificationId: null, upTo: last };
      await this.bus.publish({ type: 'notification.read', userId, ...read, unread });
    }
    return unread;
  }

  /** @throws AppError not_found */
  async remove({ userId }: Caller, notificationId: string): Promise<void> {
    const _id = new ObjectId(notificationId);
    const { deletedCount } = await this.collections.notifications.deleteOne({ _id, userId });
    if (deletedCount === 0) throw notificationNotFound();
    await this.bus.publish({
      type: 'notification.deleted',
      userId,
      notificationId: _id,
      unread: await this.countUnread(userId),
    });
  }

  /** How many are unread of each user, by id in hexadecimal digits; who has none is missing. */
  private async countUnreadByUser(userIds: readonly ObjectId[]): Promise<Map<string, number>> {
    const counts = await this.collections.notifications
      .aggregate<{
        _id: ObjectId;
        count: number;
      }>([
        { $match: { userId: { $in: userIds }, readAt: null } },
        { $group: { _id: '$userId', count: { $sum: 1 } } },
      ])
      .toArray();
    return new Map(counts.map(({ _id, count }) => [_id.toHexString(), count]));
  }

  /** Those of the users who do not want to be disturbed now, by id in hexadecimal digits. */
  private async findDoNotDisturb(userIds: readonly ObjectId[]): Promise<Set<string>> {
    const rows = await this.collections.preferences
      .find(
        { _id: { $in: [...userIds] }, doNotDisturbUntil: { $gt: new Date() } },
        { projection: { _id: 1 } },
      )
      .toArray();
    return new Set(rows.map(({ _id }) => _id.toHexString()));
  }

  countUnread(userId: ObjectId): Promise<number> {
    return this.collections.notifications.countDocuments({ userId, readAt: null });
  }
}

function notificationNotFound(): AppError {
  return new AppError('not_found', 'There is no such notification.');
}
