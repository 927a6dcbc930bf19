import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  toStoredAttachment,
  type StoredAttachment,
  type UploadDocument,
} from '../../models/files/attachment.model';
import type { ChannelDocument } from '../../models/channel.model';
import type { StoredMessageCall } from '../../models/messages/call-message.model';
import type { MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import { mayMention } from '../../utils/mention-names';
import type { Access } from '../access/access';
import { attachmentUsed, uploadNotFound, type Attachments } from '../files/attachments';
import { TurnLoader } from '../kernel/turn-loader';
import type { Mentions } from './mentions';
import { requireUndeleted } from './message-changes';

/** A message that waits in the queue of its channel. */
export interface MessageDraft {
  sender: Caller;
  clientMessageId: string;
  body: string;
  /** A message of the thread in which it is a reply: the root, or any reply. */
  threadId?: ObjectId;
  /** The message that it replies to, as a quote. */
  replyToId?: ObjectId;
  /** The message that it forwards, and whose text it takes. */
  forwardOf?: ObjectId;
  /** The uploads to attach, in this order. */
  attachmentIds?: ObjectId[];
  /** The scheduled message that is being sent: its uploads are reserved for it. */
  scheduledId?: ObjectId;
  /** The call that it is about: then the server writes it, whatever its sender may do in the channel. */
  call?: StoredMessageCall;
  /** SHA-256 of the input: it distinguishes a repeated send from another message under the same client id. */
  digest: string;
}

/** The content of a message, and the messages and users that it refers to. */
export type MessageContent = Pick<
  MessageDocument,
  | 'body'
  | 'attachments'
  | 'threadId'
  | 'replyToId'
  | 'mentionIds'
  | 'mentionsEveryone'
  | 'forwardedFrom'
  | 'call'
>;

/** A message to which a draft refers. */
type ReferencedMessage = Pick<MessageDocument, '_id' | 'channelId' | 'threadId' | 'replyCount' | 'deletedAt'>;

/** Whether a draft of a user refers to nothing, so that its content is its text. */
export function isPlain({
  body,
  threadId,
  replyToId,
  forwardOf,
  attachmentIds,
  call,
}: MessageDraft): boolean {
  return !threadId && !replyToId && !forwardOf && !attachmentIds && !call && !mayMention(body);
}

/**
 * Composes the stored content of drafts: looks up the messages, uploads and users to which they refer, with the same
 * queries for the drafts of all channels that are composed in one turn. A draft without references costs no query.
 */
export class MessageComposer {
  private readonly messageLoader: TurnLoader<ObjectId, ReferencedMessage>;
  private readonly uploadLoader: TurnLoader<ObjectId, UploadDocument>;

  constructor(
    private readonly collections: Collections,
    transactions: Pick<Transactions, 'outside'>,
    private readonly access: Access,
    private readonly mentions: Mentions,
    private readonly attachments: Attachments,
  ) {
    this.messageLoader = new TurnLoader(transactions, (ids) => this.readReferenced([...ids.values()]));
    this.uploadLoader = new TurnLoader(transactions, (ids) => attachments.find([...ids.values()]));
  }

  /** @returns for each draft, in order, its content, or the error for which it cannot be sent. */
  async compose(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
  ): Promise<(MessageContent | AppError)[]> {
    const [referenced, mentioned, uploads, forwarded] = await Promise.all([
      this.findReferenced(channel._id, drafts),
      this.mentions.find(channel, drafts),
      this.findUploads(drafts),
      Promise.all(drafts.map(async (draft) => (draft.forwardOf ? this.composeForwarded(draft) : undefined))),
    ]);
    const taken = new Set<string>();
    return drafts.map((draft, index) => {
      const { body, threadId, replyToId, call } = draft;
      if (call) return { body, call };
      const forwardedContent = forwarded[index];
      if (forwardedContent) return forwardedContent;
      const thread = threadId && rootOf(referenced.get(threadId.toHexString()));
      const quoted = replyToId && referenced.get(replyToId.toHexString());
      if ((threadId && !thread) || (replyToId && !quoted)) return noReferencedMessage();
      if (thread instanceof AppError) return thread;
      if (quoted?.deletedAt) return messageDeleted();
      const attachments = attachmentsOf(draft, uploads, taken);
      if (attachments instanceof AppError) return attachments;
      const { userIds, everyone } = mentioned[index]!;
      return {
        body,
        ...(attachments.length > 0 && { attachments }),
        ...(thread && { threadId: thread }),
        ...(quoted && { replyToId: quoted._id }),
        ...(userIds.length > 0 && { mentionIds: userIds }),
        ...(everyone && { mentionsEveryone: everyone }),
      };
    });
  }

  /** The content of a forwarded message. It names the first author, however often it is forwarded. */
  private async composeForwarded({
    sender,
    forwardOf,
  }: MessageDraft): Promise<MessageContent | AppError | undefined> {
    if (!forwardOf) return undefined;
    try {
      const { message } = await this.access.message(sender, 'message.forward', forwardOf);
      requireUndeleted(message);
      const { _id: messageId, senderId, createdAt } = message;
      const attachments = await this.existing(message.attachments);
      if (message.body === '' && attachments.length === 0) return messageDeleted();
      return {
        body: message.body,
        ...(attachments.length > 0 && { attachments }),
        forwardedFrom: message.forwardedFrom ?? { messageId, senderId, createdAt },
      };
    } catch (error) {
      if (error instanceof AppError) return error;
      throw error;
    }
  }

  /** The attachments whose uploads still exist: the forwarded message may be deleted at any time. */
  private async existing(attachments: readonly StoredAttachment[] = []): Promise<StoredAttachment[]> {
    const found = await this.attachments.find(attachments.map(({ uploadId }) => uploadId));
    return attachments.filter(({ uploadId }) => found.has(uploadId.toHexString()));
  }

  /** The messages of the channel to which drafts refer, by id in hexadecimal digits. */
  private async findReferenced(
    channelId: ObjectId,
    drafts: readonly MessageDraft[],
  ): Promise<Map<string, ReferencedMessage>> {
    const ids = drafts.flatMap(({ threadId, replyToId }) => [threadId ?? [], replyToId ?? []].flat());
    if (ids.length === 0) return new Map();
    const found = await this.messageLoader.load(ids.map((id) => [id.toHexString(), id]));
    const ofChannel = new Map<string, ReferencedMessage>();
    for (const id of ids) {
      const message = found.get(id.toHexString());
      if (message?.channelId.equals(channelId)) ofChannel.set(id.toHexString(), message);
    }
    return ofChannel;
  }

  private async readReferenced(ids: ObjectId[]): Promise<Map<string, ReferencedMessage>> {
    const projection = { channelId: 1, threadId: 1, replyCount: 1, deletedAt: 1 };
    const rows = await this.collections.messages
      .find<ReferencedMessage>({ _id: { $in: ids } }, { projection })
      .toArray();
    return new Map(rows.map((row) => [row._id.toHexString(), row]));
  }

  /** The uploads of drafts, by id in hexadecimal digits. */
  private async findUploads(drafts: readonly MessageDraft[]): Promise<ReadonlyMap<string, UploadDocument>> {
    const ids = drafts.flatMap(({ attachmentIds = [] }) => attachmentIds);
    if (ids.length === 0) return new Map();
    return this.uploadLoader.load(ids.map((id) => [id.toHexString(), id]));
  }
}

/**
 * Returns the attachments of a draft. The uploads must belong to the sender, and no message or other draft of the batch
 * may have them.
 * @param taken the ids of the uploads of earlier drafts, in hexadecimal digits; those of this draft are added.
 */
function attachmentsOf(
  { sender, attachmentIds = [], scheduledId }: MessageDraft,
  uploads: ReadonlyMap<string, UploadDocument>,
  taken: Set<string>,
): StoredAttachment[] | AppError {
  const own = attachmentIds.flatMap((id) => {
    const upload = uploads.get(id.toHexString());
    return upload?.userId.equals(sender.userId) ? [upload] : [];
  });
  if (own.length < attachmentIds.length) return uploadNotFound();
  const free = own.filter(
    ({ _id, uses, reservedFor }) =>
      uses === 0 && !taken.has(_id.toHexString()) && (!reservedFor || scheduledId?.equals(reservedFor)),
  );
  if (free.length < own.length) return attachmentUsed();
  for (const { _id } of free) taken.add(_id.toHexString());
  return free.map(toStoredAttachment);
}

/** Returns the root of the thread of a message. A thread with a deleted root continues, but none can begin there. */
function rootOf(message: ReferencedMessage | undefined): ObjectId | AppError | undefined {
  if (!message) return undefined;
  if (message.threadId) return message.threadId;
  return message.deletedAt && !message.replyCount ? messageDeleted() : message._id;
}

/** The same error for a message of another channel as for one that does not exist. */
function noReferencedMessage(): AppError {
  return new AppError('not_found', 'There is no such message to reply to.');
}

function messageDeleted(): AppError {
  return new AppError('message_deleted', 'The message has been deleted.');
}
