import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import { toPreferences } from '../../models/users/preferences.model';
import { MAX_MENTIONS } from '../../utils/mention-names';
import { audienceOfChannel, type Access } from '../access/access';
import type { AudienceIndex } from '../access/audience-index';
import type { RightsVersion } from '../access/rights-version';
import type { NotificationService } from '../notifications/notification.service';

/** In a channel with more readers, a mention of everyone sends no notifications. */
const MAX_EVERYONE = 1000;

/** The users whom a message has mentioned so far, including its earlier versions. */
export type NotifiedSoFar = Pick<MessageDocument, 'notifiedIds' | 'everyoneNotified'>;

/** Notifies users of mentions: each user once per message, unless they have turned off notifications of the channel. */
export class MentionNotifications {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly audiences: AudienceIndex,
    private readonly notifications: NotificationService,
    private readonly transactions: Transactions,
    private readonly rights: RightsVersion,
  ) {}

  /** Returns the users whom a message has mentioned up to its current version, inclusive. */
  static notifiedSoFar({
    mentionIds,
    mentionsEveryone,
    notifiedIds = mentionIds,
    everyoneNotified,
  }: MessageDocument): NotifiedSoFar {
    return {
      ...(notifiedIds && { notifiedIds }),
      ...((everyoneNotified ?? mentionsEveryone) && { everyoneNotified: true }),
    };
  }

  /**
   * Stores the notifications of a message, in the transaction that writes the message. The caller announces them after
   * it has published the message.
   * @param before the users whom it has mentioned before this edit.
   */
  async store(
    channel: ChannelDocument,
    message: MessageDocument,
    before: NotifiedSoFar = {},
  ): Promise<NotificationDocument[]> {
    const { senderId, mentionIds = [], mentionsEveryone } = message;
    const notified = new Set((before.notifiedIds ?? []).map((id) => id.toHexString()));
    // Limits how many users repeated edits can notify.
    const named = mentionIds
      .filter((id) => !notified.has(id.toHexString()))
      .slice(0, Math.max(0, MAX_MENTIONS - notified.size));
    const everyone =
      mentionsEveryone && !before.everyoneNotified ? await this.everyone(channel, mentionsEveryone) : [];
    const recipients = new Map([...named, ...everyone].map((id) => [id.toHexString(), id]));
    for (const id of [...notified, senderId.toHexString()]) recipients.delete(id);
    const userIds = await this.withNotificationsOn(channel, [...recipients.values()]);
    return this.notifications.store(userIds, {
      kind: 'mention',
      actorId: senderId,
      ...(channel.groupId && { groupId: channel.groupId }),
      channelId: channel._id,
      messageId: message._id,
    });
  }

  /**
   * Publishes the notifications of messages to those recipients who still read the channel: some may have left since.
   * In a transaction it waits for the commit.
   */
  announce({ _id }: ChannelDocument, documents: readonly NotificationDocument[]): Promise<void> {
    if (documents.length === 0) return Promise.resolve();
    const read = async () => {
      const userIds = documents.map(({ userId }) => userId);
      const [prepared, readers] = await Promise.all([
        this.notifications.prepare(documents),
        this.access.filterReaders(_id, userIds),
      ]);
      const current = new Set(readers.map((id) => id.toHexString()));
      return prepared.filter(({ notification }) => current.has(notification.userId.toHexString()));
    };
    return this.transactions.afterCommit(() =>
      this.rights.publish(read, (all) => Promise.all(all.map((one) => this.notifications.publish(one)))),
    );
  }

  /** The readers of the channel, or those of them who are connected (`@here`). */
  private async everyone(
    channel: ChannelDocument,
    kind: NonNullable<MessageDocument['mentionsEveryone']>,
  ): Promise<ObjectId[]> {
    const recipients =
      kind === 'here'
        ? this.audiences.readers(audienceOfChannel(channel)).map((id) => new ObjectId(id))
        : (await this.access.readersOf(channel, MAX_EVERYONE + 1)).map(({ userId }) => userId);
    return recipients.length > MAX_EVERYONE ? [] : recipients;
  }

  /** The users who have not turned notifications off: in this channel, or else in general. */
  private async withNotificationsOn(
    { _id: channelId }: ChannelDocument,
    userIds: ObjectId[],
  ): Promise<ObjectId[]> {
    if (userIds.length === 0) return [];
    const { channelSettings, preferences } = this.collections;
    const [own, general] = await Promise.all([
      channelSettings.find({ channelId, userId: { $in: userIds } }).toArray(),
      preferences.find({ _id: { $in: userIds } }).toArray(),
    ]);
    const levels = new Map([
      ...general.map((one) => [one._id.toHexString(), toPreferences(one).notificationLevel] as const),
      ...own.map((one) => [one.userId.toHexString(), one.notificationLevel] as const),
    ]);
    return userIds.filter((id) => levels.get(id.toHexString()) !== 'none');
  }
}
