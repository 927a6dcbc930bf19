import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { MAX_PREVIEWS, type LinkPreview } from '../models/writing/link-preview.model';
import {
  toMessage,
  type EditMessageInput,
  type ForwardMessageInput,
  type Message,
  type MessageDocument,
  type SendMessageInput,
} from '../models/message.model';
import type { Caller } from '../models/identity/session.model';
import { toMessageCall, type StoredMessageCall } from '../models/messages/call-message.model';
import { linksIn } from '../utils/links';
import type { AuditService } from './audit/audit.service';
import type { BatchQueue } from './kernel/keyed-queue';
import { MentionNotifications } from './messages/mention-notifications';
import type { Mentions } from './messages/mentions';
import { noContent, requireUndeleted, type MessageChanges } from './messages/message-changes';
import type { MessageDraft } from './messages/message-composer';
import type { MessageEraser } from './messages/message-eraser';
import type { SentMessage } from './messages/message-writer';
import type { NotificationService } from './notifications/notification.service';
import type { ReadService } from './reading/read.service';
import { searchFieldsOf } from './search/search-terms';
import type { SlowMode } from './messages/slow-mode';

/** The dependencies of MessageService. */
export interface MessageServiceDeps {
  collections: Collections;
  sends: BatchQueue<MessageDraft, SentMessage>;
  changes: MessageChanges;
  eraser: MessageEraser;
  slowMode: SlowMode;
  mentions: Mentions;
  mentionNotifications: MentionNotifications;
  notifications: NotificationService;
  reads: ReadService;
  audit: AuditService;
}

/** Sends and changes messages. */
export class MessageService {
  constructor(private readonly deps: MessageServiceDeps) {}

  /**
   * Sends a message. Resolves when the message is durable and has been published to the readers of the channel.
   * A repeated `clientMessageId` resolves to the first message, with `created` false, and changes nothing.
   *
   * The message enters the queue of the channel synchronously, so successive messages of one client keep their order.
   * Access is decided when it is written.
   * @param scheduledId the scheduled message that is being sent.
   * @throws AppError not_found, client_message_id_reused, message_deleted (a message that it refers to), attachment_used, …
   */
  send(
    caller: Caller,
    channelId: string,
    input: SendMessageInput,
    scheduledId?: ObjectId,
  ): Promise<SentMessage> {
    const id = new ObjectId(channelId);
    const { clientMessageId, body, threadId, replyToId, attachmentIds = [] } = input;
    return this.deps.sends.add(id, {
      sender: caller,
      clientMessageId,
      body,
      ...(threadId !== undefined && { threadId: new ObjectId(threadId) }),
      ...(replyToId !== undefined && { replyToId: new ObjectId(replyToId) }),
      ...(attachmentIds.length > 0 && { attachmentIds: attachmentIds.map((each) => new ObjectId(each)) }),
      ...(scheduledId && { scheduledId }),
      digest: digestOf(id, input),
    });
  }

  /**
   * Sends the text and files of a message that the caller may read to a channel where they may write. The forwarded
   * message names the original author and mentions nobody. Otherwise as `send`.
   * @throws AppError not_found (of the message or the channel), message_deleted, client_message_id_reused, …
   */
  forward(caller: Caller, messageId: string, input: ForwardMessageInput): Promise<SentMessage> {
    const channelId = new ObjectId(input.channelId);
    return this.deps.sends.add(channelId, {
      sender: caller,
      clientMessageId: input.clientMessageId,
      body: '',
      forwardOf: new ObjectId(messageId),
      digest: sha256(`${channelId.toHexString()}\0forward\0${messageId}`),
    });
  }

  /**
   * Changes the text of the caller's own message; its files remain. Moderators can read the earlier versions. Users whom
   * it mentions for the first time are notified.
   * @throws AppError not_found, forbidden, announcement_only, slow_mode, message_deleted, validation_failed (neither text nor files would remain), …
   */
  edit(caller: Caller, messageId: string, { body }: EditMessageInput): Promise<Message> {
    return this.deps.changes.asCaller(caller, 'message.edit', messageId, async (found) => {
      const { message: current, channel } = found;
      requireUndeleted(current);
      if (body === '' && !current.attachments) throw noContent();
      if (current.body === body) return toMessage(current);
      await this.deps.slowMode.recordChange(found, caller.userId);
      const [mentioned] = await this.deps.mentions.find(channel, [{ sender: caller, body }]);
      const { userIds, everyone } = mentioned!;
      const editedAt = new Date();
      const notifiedBefore = MentionNotifications.notifiedSoFar(current);
      const all = [...(notifiedBefore.notifiedIds ?? []), ...userIds];
      const notifiedIds = [...new Map(all.map((id) => [id.toHexString(), id])).values()];
      const links = linksIn(body, MAX_PREVIEWS);
      const linkPreviews = current.linkPreviews?.filter(({ url }) => links.includes(url));
      const fields: Partial<MessageDocument> = {
        body,
        editedAt,
        search: searchFieldsOf(body, current.senderId.toHexString(), current.attachments),
        ...(linkPreviews && { linkPreviews }),
        ...(userIds.length > 0 && { mentionIds: userIds }),
        ...(everyone && { mentionsEveryone: everyone }),
        ...(notifiedIds.length > 0 && { notifiedIds }),
        ...((everyone ?? notifiedBefore.everyoneNotified) && { everyoneNotified: true }),
      };
      const removed = (['mentionIds', 'mentionsEveryone'] as const).filter(
        (field) => fields[field] === undefined,
      );
      await this.deps.collections.messageEdits.insertOne({
        _id: new ObjectId(),
        messageId: current._id,
        body: current.body,
        writtenAt: current.editedAt ?? current.createdAt,
        replacedAt: editedAt,
      });
      const { message } = await this.deps.changes.apply(
        current,
        () => ({
          $set: fields,
          ...(removed.length > 0 && { $unset: Object.fromEntries(removed.map((field) => [field, true])) }),
        }),
        'message.edited',
      );
      const notifications = await this.deps.mentionNotifications.store(channel, message, notifiedBefore);
      await this.deps.notifications.publishToReaders(channel._id, notifications);
      return toMessage(message);
    });
  }

  /**
   * Sets the link previews of a message, unless its text has changed. The server calls this, so no access is checked.
   * @param body the text for which the previews were fetched.
   */
  async setLinkPreviews(messageId: ObjectId, body: string, linkPreviews: LinkPreview[]): Promise<void> {
    await this.deps.changes.asServer(messageId, async (current) => {
      if (current.body !== body || isDeepStrictEqual(current.linkPreviews, linkPreviews)) return;
      await this.deps.changes.apply(current, () => ({ $set: { linkPreviews } }));
    });
  }

  /**
   * Writes the message about a call in a channel, on behalf of the user who started it. Their rights are not checked: they were when the
   * call was started. Repeating it has no effect.
   * @throws AppError not_found if the channel no longer exists
   */
  async sendCall(channelId: ObjectId, startedBy: ObjectId, call: StoredMessageCall): Promise<ObjectId> {
    const callId = call.callId.toHexString();
    const { message } = await this.deps.sends.add(channelId, {
      // There is no session and no address, and the role is not used.
      sender: { userId: startedBy, sessionId: call.callId, role: 'client', address: '' },
      // Clients cannot send an id with a space, so no message of theirs can have this one.
      clientMessageId: `call ${callId} ${channelId.toHexString()}`,
      body: '',
      call: { ...call, participantIds: [startedBy] },
      digest: sha256(`${channelId.toHexString()}\0call\0${callId}`),
    });
    return new ObjectId(message.id);
  }

  /**
   * Updates a message about a call, unless it shows this state already or has been deleted. The message counts as read
   * for users who join the call, if they have read everything before it. The server calls this, so no access is checked.
   * Part of the caller's transaction.
   */
  async setCall(messageId: ObjectId, call: StoredMessageCall): Promise<void> {
    await this.deps.changes.asServer(messageId, async (current) => {
      if (!current.call || isDeepStrictEqual(toMessageCall(current.call), toMessageCall(call))) return;
      const known = new Set(current.call.participantIds.map((id) => id.toHexString()));
      const joined = call.participantIds.filter((id) => !known.has(id.toHexString()));
      const { channel } = await this.deps.changes.apply(current, () => ({ $set: { call } }));
      await this.deps.reads.markNextRead(channel, current, joined);
    });
  }

  /**
   * Deletes a message; requires its author or a moderator of the group. An empty message with its number remains in the
   * channel. Idempotent.
   * @throws AppError not_found, forbidden, …
   */
  delete(caller: Caller, messageId: string): Promise<Message> {
    return this.deps.changes.asCaller(caller, 'message.delete', messageId, async ({ message: current }) => {
      if (current.deletedAt) return toMessage(current);
      if (!current.senderId.equals(caller.userId)) {
        await this.deps.audit.record({
          action: 'message.deleted',
          actorId: caller.userId,
          targetId: current._id,
          address: caller.address,
          details: { senderId: current.senderId.toHexString(), channelId: current.channelId.toHexString() },
        });
      }
      return toMessage(await this.deps.eraser.erase(current));
    });
  }
}

/**
 * Returns the digest of a send. Its format must not change: it is stored with messages. A body contains no NUL, so it
 * cannot imitate the references that follow it.
 */
function digestOf(
  channelId: ObjectId,
  { body, threadId, replyToId, attachmentIds = [] }: SendMessageInput,
): string {
  const text = `${channelId.toHexString()}\n${body}`;
  if (attachmentIds.length > 0) {
    return sha256([text, threadId ?? '', replyToId ?? '', attachmentIds.join()].join('\0'));
  }
  const hasReferences = threadId !== undefined || replyToId !== undefined;
  return sha256(hasReferences ? `${text}\0${threadId ?? ''}\0${replyToId ?? ''}` : text);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
