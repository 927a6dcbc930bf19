import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import {
  attachmentIdsInput,
  attachmentSchema,
  toAttachment,
  type StoredAttachment,
} from './files/attachment.model';
import { linkPreviewSchema, type LinkPreview } from './writing/link-preview.model';
import { idOut, idSchema, messageText, timestampOut } from './kernel/common.model';
import { reactionSchema, toReaction, type StoredReaction } from './messages/reaction.model';

/** The longest message, in UTF-16 code units. */
export const MAX_MESSAGE_LENGTH = 8000;

export interface MessageDocument {
  _id: ObjectId;
  channelId: ObjectId;
  /** Its place in the channel: unique, growing, never reused. */
  seq: number;
  /** How many messages outside of threads the channel had with it. */
  mainSeq: number;
  /** The number of the channel's change that last touched it. */
  revision: number;
  senderId: ObjectId;
  /** What the sender called it, unique per sender: a send that is repeated finds the first. */
  clientMessageId: string;
  /** SHA-256 of what was first sent, to tell a repeated send from another message under the same id. */
  sentDigest: string;
  /** Empty once deleted, and may be where there are files. */
  body: string;
  /** Its files, in their order. Missing without any. */
  attachments?: StoredAttachment[];
  /** The root message of the thread that it stands in. Missing outside of threads. */
  threadId?: ObjectId;
  /** Of a root: its replies that have not been deleted. Missing until there was one. */
  replyCount?: number;
  /** Of a root: when the newest of those was sent. Missing without any. */
  lastReplyAt?: Date;
  /** The message of the same channel that it quotes. */
  replyToId?: ObjectId;
  /** Others of the channel whom the text names, but for those who have blocked the sender. Missing without any. */
  mentionIds?: ObjectId[];
  /** Whether it is for everybody in the channel, or for those who were connected when it was sent. */
  mentionsEveryone?: EveryoneMention;
  /** In the order in which each emoji was first used. Missing without any. */
  reactions?: StoredReaction[];
  /** When and by whom it was pinned. Missing unless it is. */
  pinnedAt?: Date;
  pinnedBy?: ObjectId;
  /** The revision by which it was pinned: pins are listed by it. */
  pinnedRevision?: number;
  /** Everybody whom it has mentioned so far, once it was edited: nobody is told twice. */
  notifiedIds?: ObjectId[];
  /** Whether it mentioned everybody before it was edited. */
  everyoneNotified?: true;
  /** Whose words these are, when it was forwarded. */
  forwardedFrom?: ForwardedFrom;
  /** Of the pages that it links to. Missing as long as there are none. */
  linkPreviews?: LinkPreview[];
  /** By what it is found; null once deleted. */
  search: MessageSearchFields | null;
  createdAt: Date;
  editedAt: Date | null;
  deletedAt: Date | null;
}

/** By which messages are found that stand in no thread. */
export const OUTSIDE_THREADS = { threadId: { $exists: false } };

/** `@channel` and `@here`. */
export const EVERYONE_MENTIONS = ['channel', 'here'] as const;
export type EveryoneMention = (typeof EVERYONE_MENTIONS)[number];

/** Where a forwarded text was first written. */
export interface ForwardedFrom {
  messageId: ObjectId;
  senderId: ObjectId;
  createdAt: Date;
}

/** What a message is found by beside its body: made from the body, and gone with it. */
export interface MessageSearchFields {
  /**
   * The folded words, in order, each behind a space, or behind a line feed if it is of a script that writes
   * without spaces; a space ends the last one. What the index finds is held against it.
   */
  text: string;
  /** What the text index holds beside the words: their beginnings, the sender, whether there are links or files. */
  keys: string;
}

export const clientMessageIdSchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 printable ASCII characters without spaces')
  .meta({ description: 'Made by the client, unique per sender. Sending again with the same id is safe.' });

const clientMessageId = clientMessageIdSchema;
const body = messageText(MAX_MESSAGE_LENGTH);

const newMessage = {
  clientMessageId,
  body: body.default('').meta({ description: 'May be empty where there are files.' }),
  attachmentIds: attachmentIdsInput.optional(),
  threadId: idSchema.optional().meta({
    description: 'Reply in the thread of this message; of a reply, in the thread that it stands in.',
  }),
  replyToId: idSchema.optional().meta({ description: 'Quote this message of the same channel.' }),
};

/** Whether there is a text or a file to send. */
export const hasContent = ({
  body: text,
  attachmentIds = [],
}: Pick<SendMessageInput, 'body' | 'attachmentIds'>) => text !== '' || attachmentIds.length > 0;
export const NO_CONTENT = { path: ['body'], message: 'must not be blank without attachments' };

export const sendMessageInput = z
  .strictObject(newMessage)
  .refine(hasContent, NO_CONTENT)
  .meta({ id: 'SendMessageInput' });
export type SendMessageInput = z.output<z.ZodObject<typeof newMessage>>;

export const editMessageInput = z.strictObject({ body }).meta({ id: 'EditMessageInput' });
export type EditMessageInput = z.output<typeof editMessageInput>;

export const forwardMessageInput = z
  .strictObject({ channelId: idSchema.meta({ description: 'Where it is forwarded to.' }), clientMessageId })
  .meta({ id: 'ForwardMessageInput' });
export type ForwardMessageInput = z.output<typeof forwardMessageInput>;

export const messageParams = z.strictObject({ messageId: idSchema });
export type MessageParams = z.output<typeof messageParams>;

export const messageSchema = z
  .strictObject({
    id: idOut,
    channelId: idOut,
    seq: z.number().int(),
    revision: z.number().int(),
    senderId: idOut,
    clientMessageId: z.string(),
    body: z
      .string()
      .meta({ description: 'Empty once the message is deleted; may be where there are files.' }),
    attachments: z.array(attachmentSchema).meta({ description: 'Its files. None once it is deleted.' }),
    threadId: idOut.nullable().meta({ description: 'The root of the thread that it stands in.' }),
    replyCount: z
      .number()
      .int()
      .meta({ description: 'How many replies are in its thread, without deleted ones.' }),
    lastReplyAt: timestampOut.nullable(),
    replyToId: idOut.nullable().meta({ description: 'The message of the same channel that it quotes.' }),
    mentionIds: z.array(idOut).meta({ description: 'Others of the channel whom the text names.' }),
    mentionsEveryone: z
      .enum(EVERYONE_MENTIONS)
      .nullable()
      .meta({ description: '`@channel`: all of the channel; `@here`: those who were connected.' }),
    reactions: z.array(reactionSchema).meta({ description: 'In the order in which each was first used.' }),
    pinnedAt: timestampOut.nullable(),
    pinnedBy: idOut.nullable(),
    forwardedFrom: z
      .strictObject({
        messageId: idOut.meta({ description: 'It opens for those who may read it.' }),
        senderId: idOut,
        createdAt: timestampOut,
      })
      .nullable()
      .meta({ description: 'Whose words these are, when it was forwarded.' }),
    linkPreviews: z
      .array(linkPreviewSchema)
      .meta({ description: 'Of pages that the text links to; they come a moment after the message.' }),
    createdAt: timestampOut,
    editedAt: timestampOut.nullable(),
    deletedAt: timestampOut.nullable(),
  })
  .meta({ id: 'Message' });
export type Message = z.output<typeof messageSchema>;

export const messageReply = z.strictObject({ message: messageSchema });

/** The payloads of the socket events. */
export const sendMessageEvent = z
  .strictObject({ channelId: idSchema, ...newMessage })
  .refine(hasContent, NO_CONTENT);
export const forwardMessageEvent = z.strictObject({
  messageId: idSchema,
  channelId: idSchema,
  clientMessageId,
});
export const editMessageEvent = z.strictObject({ messageId: idSchema, body });

export function toMessage(message: MessageDocument): Message {
  const { forwardedFrom = null } = message;
  return {
    id: message._id.toHexString(),
    channelId: message.channelId.toHexString(),
    seq: message.seq,
    revision: message.revision,
    senderId: message.senderId.toHexString(),
    clientMessageId: message.clientMessageId,
    body: message.body,
    attachments: message.attachments?.map(toAttachment) ?? [],
    threadId: message.threadId?.toHexString() ?? null,
    replyCount: message.replyCount ?? 0,
    lastReplyAt: message.lastReplyAt?.toISOString() ?? null,
    replyToId: message.replyToId?.toHexString() ?? null,
    mentionIds: message.mentionIds?.map((id) => id.toHexString()) ?? [],
    mentionsEveryone: message.mentionsEveryone ?? null,
    reactions: message.reactions?.map(toReaction) ?? [],
    pinnedAt: message.pinnedAt?.toISOString() ?? null,
    pinnedBy: message.pinnedBy?.toHexString() ?? null,
    forwardedFrom: forwardedFrom && {
      messageId: forwardedFrom.messageId.toHexString(),
      senderId: forwardedFrom.senderId.toHexString(),
      createdAt: forwardedFrom.createdAt.toISOString(),
    },
    linkPreviews: message.linkPreviews ?? [],
    createdAt: message.createdAt.toISOString(),
    editedAt: message.editedAt?.toISOString() ?? null,
    deletedAt: message.deletedAt?.toISOString() ?? null,
  };
}
