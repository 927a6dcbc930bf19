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
import { linksIn } from '../utils/links';
import type { AuditService } from './audit/audit.service';
import type { BatchQueue } from './kernel/keyed-queue';
import { MentionNotices } from './messages/mention-notices';
import type { Mentions } from './messages/mentions';
import { nothingToSay, requireUndeleted, type MessageChanges } from './messages/message-changes';
import type { MessageDraft } from './messages/message-composer';
import type { MessageEraser } from './messages/message-eraser';
import type { SentMessage } from './messages/message-writer';
import { searchFieldsOf } from './search/search-terms';
import type { SlowMode } from './messages/slow-mode';

/** What MessageService works with. */
export interface MessageServiceDeps {
  collections: Collections;
  sends: BatchQueue<MessageDraft, SentMessage>;
  changes: MessageChanges;
  eraser: MessageEraser;
  slowMode: SlowMode;
  mentions: Mentions;
  notices: MentionNotices;
  audit: AuditService;
}

/** Sending and changing messages. */
export class MessageService {
  constructor(private readonly deps: MessageServiceDeps) {}

  /**
   * Sends a message. It resolves once the message is on disk and has gone out to those who hear the channel.
   * The same `clientMessageId` again resolves to the first message, with `created` false, and changes nothing.
   *
   * The message takes its place in the channel's line at once, so messages that one client sends behind each
   * other keep their order; whether the caller may write there is decided when it is written.
   * @param scheduledId the scheduled message that it was.
   * @throws AppError not_found, client_message_id_reused, message_deleted (one that it refers to), attachment_used, …
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
   * Sends the words and files of a message that the caller may read to a channel where they may write, under the
   * name of their author. Nobody is mentioned by it. As `send` otherwise.
   * @throws AppError not_found (of either), message_deleted, client_message_id_reused, …
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
   * Changes the text of one's own message; its files stay. Moderators can read what it said before; whom it mentions
   * for the first time is told.
   * @throws AppError not_found, forbidden, announcement_only, slow_mode, message_deleted, validation_failed when nothing would be left of it, …
   */
  edit(caller: Caller, messageId: string, { body }: EditMessageInput): Promise<Message> {
    return this.deps.changes.onTurn(caller, 'message.edit', messageId, async (found) => {
      const { message: current, channel } = found;
      requireUndeleted(current);
      if (body === '' && !current.attachments) throw nothingToSay();
      if (current.body === body) return toMessage(current);
      await this.deps.slowMode.change(found, caller.userId);
      const [mentioned] = await this.deps.mentions.find(channel, [{ sender: caller, body }]);
      const { userIds, everyone } = mentioned!;
      const editedAt = new Date();
      const told = MentionNotices.told(current);
      const all = [...(told.notifiedIds ?? []), ...userIds];
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
        ...((everyone ?? told.everyoneNotified) && { everyoneNotified: true }),
      };
      const gone = (['mentionIds', 'mentionsEveryone'] as const).filter(
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
          ...(gone.length > 0 && { $unset: Object.fromEntries(gone.map((field) => [field, true])) }),
        }),
        'message.edited',
      );
      await this.deps.notices.announce(channel, await this.deps.notices.store(channel, message, told));
      return toMessage(message);
    });
  }

  /**
   * Gives a message the previews of its links; not if it has another text by now. Nobody asks for it, so nobody's
   * right is looked at.
   * @param body the text that the previews are of.
   */
  async setLinkPreviews(messageId: ObjectId, body: string, linkPreviews: LinkPreview[]): Promise<void> {
    await this.deps.changes.byServer(messageId, async (current) => {
      if (current.body !== body || isDeepStrictEqual(current.linkPreviews, linkPreviews)) return;
      await this.deps.changes.apply(current, () => ({ $set: { linkPreviews } }));
    });
  }

  /**
   * Deletes a message: its author may, and moderators of the group. The place in the channel stays, without
   * the text. Deleting again changes nothing.
   * @throws AppError not_found, forbidden, …
   */
  delete(caller: Caller, messageId: string): Promise<Message> {
    return this.deps.changes.onTurn(caller, 'message.delete', messageId, async ({ message: current }) => {
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

/** Stays what it is for ever: messages are stored with it. No body has a NUL, so nothing else looks like references. */
function digestOf(
  channelId: ObjectId,
  { body, threadId, replyToId, attachmentIds = [] }: SendMessageInput,
): string {
  const said = `${channelId.toHexString()}\n${body}`;
  if (attachmentIds.length > 0) {
    return sha256([said, threadId ?? '', replyToId ?? '', attachmentIds.join()].join('\0'));
  }
  const refers = threadId !== undefined || replyToId !== undefined;
  return sha256(refers ? `${said}\0${threadId ?? ''}\0${replyToId ?? ''}` : said);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
