import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ObjectId, type Filter } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import { MAX_PREVIEWS, type LinkPreview } from '../models/link-preview.model';
import {
  toMessage,
  type EditMessageInput,
  type HistoryQuery,
  type Message,
  type MessageDocument,
  type MessagesReply,
  type SendMessageInput,
} from '../models/message.model';
import type { Caller } from '../models/session.model';
import { AppError } from '../utils/errors';
import { linksIn } from '../utils/links';
import { audienceOfChannel, type Access } from './access';
import type { ChannelChanges } from './channel-changes';
import type { ChannelQueue } from './channel-queue';
import type { EventBus } from './event-bus';
import type { MessageDraft } from './message-composer';
import type { SentMessage } from './message-writer';
import { searchFieldsOf } from './search-terms';

/** Sending, changing and reading messages. */
export class MessageService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly changes: ChannelChanges,
    private readonly queue: ChannelQueue<MessageDraft, SentMessage>,
    private readonly bus: EventBus,
  ) {}

  /**
   * Sends a message. It resolves once the message is on disk and has gone out to those who hear the channel.
   * The same `clientMessageId` again resolves to the first message, with `created` false, and changes nothing.
   *
   * The message takes its place in the channel's line at once, so messages that one client sends behind each
   * other keep their order; whether the caller may write there is decided when it is written.
   * @throws AppError not_found, client_message_id_reused, message_deleted (one that it refers to), …
   */
  send(caller: Caller, channelId: string, input: SendMessageInput): Promise<SentMessage> {
    const id = new ObjectId(channelId);
    const { clientMessageId, body, threadId, replyToId } = input;
    return this.queue.add(id, {
      sender: caller,
      clientMessageId,
      body,
      ...(threadId !== undefined && { threadId: new ObjectId(threadId) }),
      ...(replyToId !== undefined && { replyToId: new ObjectId(replyToId) }),
      digest: digestOf(id, input),
    });
  }

  /** Changes the text of one's own message. @throws AppError not_found, forbidden, message_deleted */
  async edit(caller: Caller, messageId: string, input: EditMessageInput): Promise<Message> {
    const { message } = await this.access.message(caller, 'message.edit', messageId);
    return this.change(message, (current) => {
      if (current.deletedAt) throw new AppError('message_deleted', 'The message has been deleted.');
      if (current.body === input.body) return undefined;
      const search = searchFieldsOf(input.body, current.senderId.toHexString());
      const links = linksIn(input.body, MAX_PREVIEWS);
      const linkPreviews = current.linkPreviews?.filter(({ url }) => links.includes(url));
      return { body: input.body, search, editedAt: new Date(), ...(linkPreviews && { linkPreviews }) };
    });
  }

  /**
   * Deletes a message: its author may, and moderators of the group. The place in the channel stays, without
   * the text. Deleting again changes nothing.
   * @throws AppError not_found, forbidden
   */
  async delete(caller: Caller, messageId: string): Promise<Message> {
    const { message } = await this.access.message(caller, 'message.delete', messageId);
    return this.change(message, (current) =>
      current.deletedAt ? undefined : { body: '', search: null, linkPreviews: [], deletedAt: new Date() },
    );
  }

  /**
   * Gives a message the previews of its links; not if it has another text by now. Nobody asks for it, so nobody's
   * right is looked at.
   * @param body the text that the previews are of.
   */
  async setLinkPreviews(messageId: ObjectId, body: string, linkPreviews: LinkPreview[]): Promise<void> {
    const message = await this.collections.messages.findOne({ _id: messageId });
    if (!message) return;
    await this.change(message, (current) =>
      current.body !== body || isDeepStrictEqual(current.linkPreviews, linkPreviews)
        ? undefined
        : { linkPreviews },
    );
  }

  /** A page of a channel's history by `seq`. @throws AppError not_found */
  async history(caller: Caller, channelId: string, query: HistoryQuery): Promise<MessagesReply> {
    const id = new ObjectId(channelId);
    await this.access.channel(caller, 'channel.read', id);
    const filter: Filter<MessageDocument> = { channelId: id };
    if (query.before !== undefined) filter.seq = { $lt: query.before };
    if (query.after !== undefined) filter.seq = { $gt: query.after };
    const rows = await this.collections.messages
      .find(filter)
      .sort({ seq: query.after === undefined ? -1 : 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = rows.slice(0, query.limit);
    return {
      messages: page.map(toMessage),
      nextCursor: rows.length > query.limit ? (page.at(-1)?.seq ?? null) : null,
    };
  }

  /**
   * Applies a change in the channel's line, under the channel's next revision.
   * @param decide sees the message as it is when its turn comes; undefined leaves it as it is.
   */
  private change(
    { _id, channelId }: MessageDocument,
    decide: (current: MessageDocument) => Partial<MessageDocument> | undefined,
  ): Promise<Message> {
    return this.queue.alone(channelId, () =>
      this.transactions.run(async () => {
        const current = await this.collections.messages.findOne({ _id });
        if (!current) throw noMessage();
        const fields = decide(current);
        if (!fields) return toMessage(current);
        const channel = await this.changes.take(channelId);
        const changed = await this.collections.messages.findOneAndUpdate(
          { _id },
          { $set: { ...fields, revision: channel.revision } },
          { returnDocument: 'after' },
        );
        if (!changed) throw noMessage();
        const message = toMessage(changed);
        await this.bus.tell(
          audienceOfChannel(channel),
          changed.deletedAt ? 'message:deleted' : 'message:updated',
          { message },
        );
        return message;
      }),
    );
  }
}

/** Stays what it is for ever: messages are stored with it. No body has a NUL, so nothing else looks like references. */
function digestOf(channelId: ObjectId, { body, threadId, replyToId }: SendMessageInput): string {
  const said = `${channelId.toHexString()}\n${body}`;
  const refers = threadId !== undefined || replyToId !== undefined;
  const all = refers ? `${said}\0${threadId ?? ''}\0${replyToId ?? ''}` : said;
  return createHash('sha256').update(all).digest('base64url');
}

function noMessage(): AppError {
  return new AppError('not_found', 'There is no such message.');
}
