import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { WriteList } from '../../db/write-list';
import {
  NOTIFICATION_RULES,
  toNotification,
  type Notification,
  type NotificationDocument,
  type NotificationKind,
  type NotificationsQuery,
  type ReadAllQuery,
} from '../../models/notifications/notification.model';
import { toPreferences } from '../../models/users/preferences.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { audienceOfChannel, type Access } from '../access/access';
import type { RightsVersion } from '../access/rights-version';
import type { Blocks } from '../users/blocks';
import type { DomainEventOf } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { ThrottleService } from '../operations/throttle.service';

/** The content of a notification, for any number of recipients. */
export interface Notice {
  kind: NotificationKind;
  /** The user who caused it, whether or not the recipient may know; null for the server. */
  actorId: ObjectId | null;
  groupId?: ObjectId;
  channelId?: ObjectId;
  messageId?: ObjectId;
  text?: string;
}

/** The content of the notifications of a message that mentions users. */
export type MentionNotice = Notice & { kind: 'mention'; actorId: ObjectId; channelId: ObjectId };

/** What is to be published of a notification. */
type PreparedNotification = DomainEventOf<'notification.created'>;

/** The dependencies of NotificationService. */
export interface NotificationServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  rights: RightsVersion;
  blocks: Blocks;
  throttle: ThrottleService;
  bus: EventBus;
}

/**
 * Stores, publishes, lists and withdraws notifications. All notifications are created here, by NOTIFICATION_RULES: it
 * applies blocks, and bounds how often one user may notify another.
 */
export class NotificationService {
  constructor(private readonly deps: NotificationServiceDeps) {}

  /**
   * Notifies users: stores the notifications and publishes them to their devices. Part of the caller's transaction.
   * @returns the stored notifications. Users whom the rules exclude have none.
   */
  async notify(userIds: readonly ObjectId[], notice: Notice): Promise<NotificationDocument[]> {
    const documents = await this.store(userIds, notice);
    await this.publishAll(documents);
    return documents;
  }

  /** As `notify`, without publishing, for callers that publish another event first. */
  async store(userIds: readonly ObjectId[], notice: Notice): Promise<NotificationDocument[]> {
    const { kind, actorId } = notice;
    const { fromBlocked, repeatable } = NOTIFICATION_RULES[kind];
    // Counted before blocks are applied: a limit that is never reached would reveal a block.
    const admitted = repeatable ? await this.withinLimit(actorId, userIds) : userIds;
    const blockers =
      actorId && fromBlocked !== 'everything'
        ? await this.deps.blocks.findBlockers(actorId, admitted)
        : new Set<string>();
    const documents = documentsOf(admitted, blockers, notice);
    if (documents.length === 0) return [];
    if (repeatable) await this.replaceUnread(documents);
    await this.deps.collections.notifications.insertMany(documents);
    return documents;
  }

  /**
   * Composes the notifications of mentions, with two reads for all of them. `insert` writes them.
   * @returns the notifications for each message.
   */
  async composeMentions(
    mentions: readonly { userIds: ObjectId[]; notice: MentionNotice }[],
  ): Promise<NotificationDocument[][]> {
    const [willing, blockers] = await Promise.all([
      this.filterAllWilling(mentions.map(({ userIds, notice: { channelId } }) => ({ channelId, userIds }))),
      this.deps.blocks.findBlockersOfAll(
        mentions.map(({ userIds, notice: { actorId } }) => ({ blockedId: actorId, userIds })),
      ),
    ]);
    return mentions.map(({ notice }, index) => documentsOf(willing[index]!, blockers[index]!, notice));
  }

  /** Adds composed notifications to the writes of the caller, who publishes them. */
  insert(writes: WriteList<unknown>, documents: readonly NotificationDocument[]): void {
    for (const document of documents) writes.insert(this.deps.collections.notifications, document);
  }

  /** Returns the users whom the actor may still notify within this hour, and counts it. */
  private async withinLimit(
    actorId: ObjectId | null,
    userIds: readonly ObjectId[],
  ): Promise<readonly ObjectId[]> {
    if (!actorId) return userIds;
    const admitted: ObjectId[] = [];
    for (const userId of userIds) {
      if (await this.deps.throttle.countContact(actorId.toHexString(), userId.toHexString()))
        admitted.push(userId);
    }
    return admitted;
  }

  /** Withdraws unread notifications of the same kind, which the new ones replace. */
  private async replaceUnread(documents: readonly NotificationDocument[]): Promise<void> {
    for (const { userId, kind, groupId, channelId } of documents) {
      // Requests of several users to join one group do not replace each other.
      if (kind === 'join_request.received') continue;
      const same = { kind, userId, readAt: null };
      if (groupId) await this.withdraw({ ...same, groupId, channelId });
      else if (channelId) await this.withdraw({ ...same, channelId });
    }
  }

  /** Publishes stored notifications, one for each user. */
  async publishAll(documents: readonly NotificationDocument[]): Promise<void> {
    for (const one of await this.prepare(documents)) await this.publish(one);
  }

  /** Returns the events by which stored notifications are published, one for each user. */
  private async prepare(documents: readonly NotificationDocument[]): Promise<PreparedNotification[]> {
    if (documents.length === 0) return [];
    const userIds = documents.map(({ userId }) => userId);
    const [unread, doNotDisturb] = await Promise.all([
      this.countUnreadByUser(userIds),
      this.findDoNotDisturb(userIds),
    ]);
    return documents.map((document): PreparedNotification => {
      const key = document.userId.toHexString();
      return {
        type: 'notification.created',
        notification: document,
        unread: unread.get(key) ?? 0,
        silent: doNotDisturb.has(key),
        audience: null,
      };
    });
  }

  /**
   * Publishes stored notifications about a channel to those recipients who still read it: some may have left since. In a
   * transaction it waits for the commit.
   */
  publishToReaders(channelId: ObjectId, documents: readonly NotificationDocument[]): Promise<void> {
    if (documents.length === 0) return Promise.resolve();
    const { access, rights, transactions } = this.deps;
    const read = async () => {
      const userIds = documents.map(({ userId }) => userId);
      const [prepared, { channel, readers }] = await Promise.all([
        this.prepare(documents),
        access.findReadersAmong(channelId, userIds),
      ]);
      const current = new Set(readers.map((id) => id.toHexString()));
      const audience = channel && audienceOfChannel(channel);
      return prepared
        .filter(({ notification }) => current.has(notification.userId.toHexString()))
        .map((each) => ({ ...each, audience }));
    };
    return transactions.afterCommit(() =>
      rights.publish(read, (all) => Promise.all(all.map((one) => this.publish(one)))),
    );
  }

  /** Returns the users who have not turned notifications off: in this channel, or else in general. */
  async filterWilling(channelId: ObjectId, userIds: ObjectId[]): Promise<ObjectId[]> {
    const [willing = []] = await this.filterAllWilling([{ channelId, userIds }]);
    return willing;
  }

  /** As `filterWilling`, for users of several channels: one list for each entry. */
  private async filterAllWilling(
    entries: readonly { channelId: ObjectId; userIds: ObjectId[] }[],
  ): Promise<ObjectId[][]> {
    const asked = entries.filter(({ userIds }) => userIds.length > 0);
    if (asked.length === 0) return entries.map(() => []);
    const { channelSettings, preferences } = this.deps.collections;
    const $or = asked.map(({ channelId, userIds }) => ({ channelId, userId: { $in: userIds } }));
    const [own, general] = await Promise.all([
      channelSettings.find({ $or }).toArray(),
      preferences.find({ _id: { $in: asked.flatMap(({ userIds }) => userIds) } }).toArray(),
    ]);
    const inGeneral = new Map(
      general.map((one) => [one._id.toHexString(), toPreferences(one).notificationLevel]),
    );
    const inChannel = new Map(
      own.map(({ channelId, userId, notificationLevel }) => [
        `${channelId.toHexString()} ${userId.toHexString()}`,
        notificationLevel,
      ]),
    );
    return entries.map(({ channelId, userIds }) =>
      userIds.filter((userId) => {
        const id = userId.toHexString();
        return (inChannel.get(`${channelId.toHexString()} ${id}`) ?? inGeneral.get(id)) !== 'none';
      }),
    );
  }

  private publish(event: PreparedNotification): Promise<void> {
    return this.deps.bus.publish(event);
  }

  /**
   * Withdraws notifications that no longer apply. Part of the caller's transaction.
   * @param about selects the notifications: those of a group or a message, or of a user in a channel, optionally of one
   *   kind, actor or recipient.
   * @returns how many there were.
   */
  async withdraw(
    about: (
      | { groupId: ObjectId }
      | { messageId: ObjectId }
      | { userId: ObjectId; channelId: ObjectId; readAt: null }
    ) & {
      kind?: NotificationKind;
      actorId?: ObjectId;
      userId?: ObjectId;
      channelId?: ObjectId | null;
      readAt?: null;
    },
  ): Promise<number> {
    const withdrawn = await this.deps.collections.notifications.find(about).toArray();
    if (withdrawn.length === 0) return 0;
    await this.deps.collections.notifications.deleteMany({ _id: { $in: withdrawn.map(({ _id }) => _id) } });
    const unread = await this.countUnreadByUser(withdrawn.map(({ userId }) => userId));
    for (const { _id, userId } of withdrawn) {
      await this.deps.bus.publish({
        type: 'notification.deleted',
        userId,
        notificationId: _id,
        unread: unread.get(userId.toHexString()) ?? 0,
      });
    }
    return withdrawn.length;
  }

  /** Finds which of these users have been notified of a mention in a message, by id in hexadecimal digits. */
  async findMentioned(messageId: ObjectId, userIds: readonly ObjectId[]): Promise<string[]> {
    if (userIds.length === 0) return [];
    const found = await this.deps.collections.notifications
      .find({ messageId, kind: 'mention', userId: { $in: [...userIds] } }, { projection: { userId: 1 } })
      .toArray();
    return found.map(({ userId }) => userId.toHexString());
  }

  /** Lists the caller's notifications, the newest first. */
  async list(
    { userId }: Caller,
    query: NotificationsQuery,
  ): Promise<Page<Notification> & { unread: number }> {
    const [rows, unread] = await Promise.all([
      this.deps.collections.notifications
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

  /** Marks a notification as read; repeating it changes nothing. @throws AppError not_found */
  async read(
    { userId }: Caller,
    notificationId: string,
  ): Promise<{ notification: Notification; unread: number }> {
    const own = { _id: new ObjectId(notificationId), userId };
    const marked = await this.deps.collections.notifications.findOneAndUpdate(
      { ...own, readAt: null },
      { $set: { readAt: new Date() } },
      { returnDocument: 'after' },
    );
    const document = marked ?? (await this.deps.collections.notifications.findOne(own));
    if (!document) throw notificationNotFound();
    const unread = await this.countUnread(userId);
    if (marked) {
      const read = { notificationId: document._id, upTo: null };
      await this.deps.bus.publish({ type: 'notification.read', userId, ...read, unread });
    }
    return { notification: toNotification(document), unread };
  }

  /** Marks all notifications as read, or all up to one. @returns how many remain unread. */
  async readAll({ userId }: Caller, { upTo }: ReadAllQuery): Promise<number> {
    const last = upTo === undefined ? null : new ObjectId(upTo);
    const { modifiedCount } = await this.deps.collections.notifications.updateMany(
      { userId, readAt: null, ...(last && { _id: { $lte: last } }) },
      { $set: { readAt: new Date() } },
    );
    const unread = await this.countUnread(userId);
    if (modifiedCount > 0) {
      const read = { notificationId: null, upTo: last };
      await this.deps.bus.publish({ type: 'notification.read', userId, ...read, unread });
    }
    return unread;
  }

  /** Deletes a notification of the caller. @throws AppError not_found */
  async remove({ userId }: Caller, notificationId: string): Promise<void> {
    const _id = new ObjectId(notificationId);
    const { deletedCount } = await this.deps.collections.notifications.deleteOne({ _id, userId });
    if (deletedCount === 0) throw notificationNotFound();
    await this.deps.bus.publish({
      type: 'notification.deleted',
      userId,
      notificationId: _id,
      unread: await this.countUnread(userId),
    });
  }

  /** Counts the unread notifications of users, by id in hexadecimal digits. Users without any are left out. */
  private async countUnreadByUser(userIds: readonly ObjectId[]): Promise<Map<string, number>> {
    const counts = await this.deps.collections.notifications
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

  /** Returns which of the users do not want to be disturbed now, by id in hexadecimal digits. */
  async findDoNotDisturb(userIds: readonly ObjectId[]): Promise<Set<string>> {
    const rows = await this.deps.collections.preferences
      .find(
        { _id: { $in: [...userIds] }, doNotDisturbUntil: { $gt: new Date() } },
        { projection: { _id: 1 } },
      )
      .toArray();
    return new Set(rows.map(({ _id }) => _id.toHexString()));
  }

  /** Counts the unread notifications of a user. */
  countUnread(userId: ObjectId): Promise<number> {
    return this.deps.collections.notifications.countDocuments({ userId, readAt: null });
  }
}

/** The notifications for these users. @param blockers the ids of those who have blocked its actor, in hexadecimal digits. */
function documentsOf(
  userIds: readonly ObjectId[],
  blockers: ReadonlySet<string>,
  { kind, actorId, groupId, channelId, messageId, text = '' }: Notice,
): NotificationDocument[] {
  const { fromBlocked, namesActor } = NOTIFICATION_RULES[kind];
  const createdAt = new Date();
  return userIds.flatMap((userId): NotificationDocument[] => {
    const isBlocked = blockers.has(userId.toHexString());
    if (isBlocked && fromBlocked === 'nothing') return [];
    return [
      {
        _id: new ObjectId(),
        userId,
        kind,
        actorId: namesActor && !isBlocked ? actorId : null,
        groupId: groupId ?? null,
        channelId: channelId ?? null,
        messageId: messageId ?? null,
        text: isBlocked ? '' : text,
        createdAt,
        readAt: null,
      },
    ];
  });
}

function notificationNotFound(): AppError {
  return new AppError('not_found', 'There is no such notification.');
}
