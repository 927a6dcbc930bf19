import { ObjectId } from 'mongodb';
import type { WriteList } from '../../db/write-list';
import type { ChannelDocument } from '../../models/channel.model';
import type { EveryoneMention, MessageDocument } from '../../models/message.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import { MAX_MENTIONS } from '../../utils/mention-names';
import { audienceOfChannel, type Access } from '../access/access';
import type { AudienceIndex } from '../access/audience-index';
import type { MentionNotice, NotificationService } from '../notifications/notification.service';

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
    before: NotifiedSoFar,
  ): Promise<NotificationDocument[]> {
    const recipients = await this.recipients(message, before, (kind) => this.everyone(channel, kind));
    const userIds = await this.notifications.filterWilling(channel._id, recipients);
    return this.notifications.store(userIds, noticeOf(channel, message));
  }

  /**
   * Composes the notifications of new messages of any channels, with the same few reads for all of them, however many
   * they are. The caller adds them to its writes, and publishes them after the messages.
   * @returns the notifications of each message.
   */
  async compose(
    messages: readonly { channel: ChannelDocument; message: MessageDocument }[],
  ): Promise<NotificationDocument[][]> {
    const everyone = new Map<string, Promise<ObjectId[]>>();
    const everyoneOf = (channel: ChannelDocument, kind: EveryoneMention) => {
      const key = `${kind} ${channel._id.toHexString()}`;
      const found = everyone.get(key) ?? this.everyone(channel, kind);
      everyone.set(key, found);
      return found;
    };
    const mentions = await Promise.all(
      messages.map(async ({ channel, message }) => ({
        userIds: await this.recipients(message, {}, (kind) => everyoneOf(channel, kind)),
        notice: noticeOf(channel, message),
      })),
    );
    return this.notifications.composeMentions(mentions);
  }

  /** Adds composed notifications to the writes of the caller. */
  insert(writes: WriteList<unknown>, documents: readonly NotificationDocument[]): void {
    this.notifications.insert(writes, documents);
  }

  /** The users whom a message mentions, without its author and those whom it has mentioned before. */
  private async recipients(
    { _id: messageId, senderId, mentionIds = [], mentionsEveryone }: MessageDocument,
    before: NotifiedSoFar,
    everyoneOf: (kind: EveryoneMention) => Promise<ObjectId[]>,
  ): Promise<ObjectId[]> {
    const notified = new Set((before.notifiedIds ?? []).map((id) => id.toHexString()));
    // Limits how many users repeated edits can notify.
    const named = mentionIds
      .filter((id) => !notified.has(id.toHexString()))
      .slice(0, Math.max(0, MAX_MENTIONS - notified.size));
    const everyone = mentionsEveryone && !before.everyoneNotified ? await everyoneOf(mentionsEveryone) : [];
    const recipients = new Map([...named, ...everyone].map((id) => [id.toHexString(), id]));
    // Whom a mention of everyone has notified is stored in the notifications alone.
    const told = before.everyoneNotified
      ? await this.notifications.findMentioned(messageId, [...recipients.values()])
      : [];
    for (const id of [...notified, ...told, senderId.toHexString()]) recipients.delete(id);
    return [...recipients.values()];
  }

  /** The readers of the channel, or those of them who are connected (`@here`). */
  private async everyone(channel: ChannelDocument, kind: EveryoneMention): Promise<ObjectId[]> {
    const recipients =
      kind === 'here'
        ? this.audiences.readers(audienceOfChannel(channel)).map((id) => new ObjectId(id))
        : (await this.access.readersOf(channel, MAX_EVERYONE + 1)).map(({ userId }) => userId);
    return recipients.length > MAX_EVERYONE ? [] : recipients;
  }
}

function noticeOf({ _id: channelId, groupId }: ChannelDocument, message: MessageDocument): MentionNotice {
  return {
    kind: 'mention',
    actorId: message.senderId,
    ...(groupId && { groupId }),
    channelId,
    messageId: message._id,
  };
}
