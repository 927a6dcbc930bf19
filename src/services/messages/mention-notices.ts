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

/** In a channel that more people read, a mention of everybody is in the message alone: nobody gets a notification of it. */
const MAX_EVERYONE = 1000;

/** Whom a message has mentioned so far, in its life. */
export type Told = Pick<MessageDocument, 'notifiedIds' | 'everyoneNotified'>;

/** Tells people that they were mentioned: each once for a message, unless they want to hear nothing of the channel. */
export class MentionNotices {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly audiences: AudienceIndex,
    private readonly notifications: NotificationService,
    private readonly transactions: Transactions,
    private readonly rights: RightsVersion,
  ) {}

  /** Whom a message has mentioned when it stops mentioning those whom it mentions now. */
  static told({
    mentionIds,
    mentionsEveryone,
    notifiedIds = mentionIds,
    everyoneNotified,
  }: MessageDocument): Told {
    return {
      ...(notifiedIds && { notifiedIds }),
      ...((everyoneNotified ?? mentionsEveryone) && { everyoneNotified: true }),
    };
  }

  /**
   * Stores the notifications of a message. Part of the transaction that writes the message; whoever calls announces
   * them after the message has been published.
   * @param told whom it has mentioned before it was edited.
   */
  async store(
    channel: ChannelDocument,
    message: MessageDocument,
    told: Told = {},
  ): Promise<NotificationDocument[]> {
    const { senderId, mentionIds = [], mentionsEveryone } = message;
    const known = new Set((told.notifiedIds ?? []).map((id) => id.toHexString()));
    // What is edited over and over again does not go through everybody one by one.
    const named = mentionIds
      .filter((id) => !known.has(id.toHexString()))
      .slice(0, Math.max(0, MAX_MENTIONS - known.size));
    const everyone =
      mentionsEveryone && !told.everyoneNotified ? await this.everyone(channel, mentionsEveryone) : [];
    const people = new Map([...named, ...everyone].map((id) => [id.toHexString(), id]));
    for (const id of [...known, senderId.toHexString()]) people.delete(id);
    const userIds = await this.interested(channel, [...people.values()]);
    return this.notifications.store(userIds, {
      kind: 'mention',
      actorId: senderId,
      ...(channel.groupId && { groupId: channel.groupId }),
      channelId: channel._id,
      messageId: message._id,
    });
  }

  /**
   * Announces the notifications of messages to those who read the channel still: by now somebody may have left.
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
      const known = new Set(readers.map((id) => id.toHexString()));
      return prepared.filter(({ notification }) => known.has(notification.userId.toHexString()));
    };
    return this.transactions.afterCommit(() =>
      this.rights.publish(read, (all) => Promise.all(all.map((one) => this.notifications.publish(one)))),
    );
  }

  /** Those who read the channel, or those of them who are there now. */
  private async everyone(
    channel: ChannelDocument,
    kind: NonNullable<MessageDocument['mentionsEveryone']>,
  ): Promise<ObjectId[]> {
    const people =
      kind === 'here'
        ? this.audiences.readers(audienceOfChannel(channel)).map((id) => new ObjectId(id))
        : (await this.access.readersOf(channel, MAX_EVERYONE + 1)).map(({ userId }) => userId);
    return people.length > MAX_EVERYONE ? [] : people;
  }

  /** Those who have not turned notifications off, for this channel or for all of which they have not said otherwise. */
  private async interested({ _id: channelId }: ChannelDocument, userIds: ObjectId[]): Promise<ObjectId[]> {
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
