import { ObjectId } from 'mongodb';
import type { ChannelDocument } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import { MAX_MENTIONS } from '../../utils/mention-names';
import { audienceOfChannel, type Access } from '../access/access';
import type { AudienceIndex } from '../access/audience-index';
import type { NotificationService } from '../notifications/notification.service';

/** In a channel with more readers, a mention of everyone sends no notifications. */
const MAX_EVERYONE = 1000;

/** The users whom a message has mentioned so far, including its earlier versions. */
export type NotifiedSoFar = Pick<MessageDocument, 'notifiedIds' | 'everyoneNotified'>;

/** Notifies users of mentions: each user once per message, unless they have turned off notifications of the channel. */
export class MentionNotifications {
  constructor(
    private readonly access: Access,
    private readonly audiences: AudienceIndex,
    private readonly notifications: NotificationService,
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
   * Stores the notifications of a message, in the transaction that writes the message. The caller publishes them after
   * the message.
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
    // Whom a mention of everyone has notified is stored in the notifications alone.
    const told = before.everyoneNotified
      ? await this.notifications.findMentioned(message._id, [...recipients.values()])
      : [];
    for (const id of [...notified, ...told, senderId.toHexString()]) recipients.delete(id);
    const userIds = await this.notifications.filterWilling(channel._id, [...recipients.values()]);
    return this.notifications.store(userIds, {
      kind: 'mention',
      actorId: senderId,
      ...(channel.groupId && { groupId: channel.groupId }),
      channelId: channel._id,
      messageId: message._id,
    });
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
}
