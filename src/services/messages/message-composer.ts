import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import {
  toStoredAttachment,
  type StoredAttachment,
  type UploadDocument,
} from '../../models/files/attachment.model';
import type { ChannelDocument } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import { attachmentUsed, uploadNotFound, type Attachments } from '../files/attachments';
import type { Mentions } from './mentions';
import { requireUndeleted } from './message-changes';

/** A message that waits to be written. */
export interface MessageDraft {
  sender: Caller;
  clientMessageId: string;
  body: string;
  /** The message in whose thread it is a reply: the root, or any of its replies. */
  threadId?: ObjectId;
  /** The message that it quotes. */
  replyToId?: ObjectId;
  /** The message that it forwards: the text is that one's. */
  forwardOf?: ObjectId;
  /** The uploads that it is to have, in this order. */
  attachmentIds?: ObjectId[];
  /** The scheduled message that it was: its uploads are kept for it. */
  scheduledId?: ObjectId;
  /** SHA-256 of all that was asked for, by which a repeated send is told from another message. */
  digest: string;
}

/** What a message says, and to what and whom it refers. */
export type MessageContent = Pick<
  MessageDocument,
  'body' | 'attachments' | 'threadId' | 'replyToId' | 'mentionIds' | 'mentionsEveryone' | 'forwardedFrom'
>;

/** A message to which others refer. */
type Referred = Pick<MessageDocument, '_id' | 'threadId' | 'replyCount' | 'deletedAt'>;

/**
 * Makes of drafts what will be stored of them: looks up what they refer to and whom they mention. A draft that
 * does neither costs no query.
 */
export class MessageComposer {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly mentions: Mentions,
    private readonly attachments: Attachments,
  ) {}

  /** @returns for each draft, in their order, its content, or why it cannot be sent. */
  async compose(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
  ): Promise<(MessageContent | AppError)[]> {
    const [referred, mentioned, uploads, forwarded] = await Promise.all([
      this.referred(channel._id, drafts),
      this.mentions.find(channel, drafts),
      this.attachments.find(drafts.flatMap(({ attachmentIds = [] }) => attachmentIds)),
      Promise.all(drafts.map((draft) => this.forwarded(draft))),
    ]);
    const taken = new Set<string>();
    return drafts.map((draft, index) => {
      const { body, threadId, replyToId } = draft;
      const words = forwarded[index];
      if (words) return words;
      const thread = threadId && rootOf(referred.get(threadId.toHexString()));
      const quoted = replyToId && referred.get(replyToId.toHexString());
      if ((threadId && !thread) || (replyToId && !quoted)) return nothingThere();
      if (thread instanceof AppError) return thread;
      if (quoted?.deletedAt) return deletedAlready();
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

  /** The words that a draft forwards. Under the first author's name, however often they are passed on. */
  private async forwarded({
    sender,
    forwardOf,
  }: MessageDraft): Promise<MessageContent | AppError | undefined> {
    if (!forwardOf) return undefined;
    try {
      const { message } = await this.access.message(sender, 'message.read', forwardOf);
      requireUndeleted(message);
      const { _id: messageId, senderId, createdAt } = message;
      const attachments = await this.stillThere(message.attachments);
      if (message.body === '' && attachments.length === 0) return deletedAlready();
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

  /** A file can go at any time, with the message that is being forwarded. */
  private async stillThere(attachments: readonly StoredAttachment[] = []): Promise<StoredAttachment[]> {
    const found = await this.attachments.find(attachments.map(({ uploadId }) => uploadId));
    return attachments.filter(({ uploadId }) => found.has(uploadId.toHexString()));
  }

  /** The messages of the channel to which drafts refer, by id in hexadecimal digits. */
  private async referred(
    channelId: ObjectId,
    drafts: readonly MessageDraft[],
  ): Promise<Map<string, Referred>> {
    const ids = drafts.flatMap(({ threadId, replyToId }) => [threadId ?? [], replyToId ?? []].flat());
    if (ids.length === 0) return new Map();
    const projection = { threadId: 1, replyCount: 1, deletedAt: 1 };
    const rows = await this.collections.messages
      .find<Referred>({ _id: { $in: ids }, channelId }, { projection })
      .toArray();
    return new Map(rows.map((row) => [row._id.toHexString(), row]));
  }
}

/**
 * The files that a draft is to have: its sender's, that no message has, nor another draft of the batch.
 * @param taken notes them, by id in hexadecimal digits.
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

/** The root of the thread that is meant by a message. Under a deleted one a thread goes on, but none begins. */
function rootOf(meant: Referred | undefined): ObjectId | AppError | undefined {
  if (!meant) return undefined;
  if (meant.threadId) return meant.threadId;
  return meant.deletedAt && !meant.replyCount ? deletedAlready() : meant._id;
}

/** The same for a message of another channel as for one that does not exist. */
function nothingThere(): AppError {
  return new AppError('not_found', 'There is no such message to reply to.');
}

function deletedAlready(): AppError {
  return new AppError('message_deleted', 'The message has been deleted.');
}
