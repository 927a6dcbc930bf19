import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, limitSchema, multilineText, timeOut, wholeNumberText } from './common.model';

/** The longest message, in UTF-16 code units. */
export const MAX_MESSAGE_LENGTH = 8000;

export interface MessageDocument {
  _id: ObjectId;
  channelId: ObjectId;
  /** Its place in the channel: unique, growing, never reused. */
  seq: number;
  /** The number of the channel's change that last touched it. */
  revision: number;
  senderId: ObjectId;
  /** What the sender called it, unique per sender: a send that is repeated finds the first. */
  clientMessageId: string;
  /** SHA-256 of what was first sent, to tell a repeated send from another message under the same id. */
  sentDigest: string;
  /** Empty once deleted. */
  body: string;
  createdAt: Date;
  editedAt: Date | null;
  deletedAt: Date | null;
}

const clientMessageId = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 printable ASCII characters without spaces')
  .meta({ description: 'Made by the client, unique per sender. Sending again with the same id is safe.' });

const body = multilineText(MAX_MESSAGE_LENGTH);

export const sendMessageInput = z.strictObject({ clientMessageId, body }).meta({ id: 'SendMessageInput' });
export type SendMessageInput = z.output<typeof sendMessageInput>;

export const editMessageInput = z.strictObject({ body }).meta({ id: 'EditMessageInput' });
export type EditMessageInput = z.output<typeof editMessageInput>;

export const messageParams = z.strictObject({ messageId: idSchema });

const seqBound = wholeNumberText(0, Number.MAX_SAFE_INTEGER);

export const historyQuery = z
  .strictObject({
    before: seqBound.optional().meta({ description: 'Only messages with a smaller `seq`, newest first.' }),
    after: seqBound.optional().meta({ description: 'Only messages with a greater `seq`, oldest first.' }),
    limit: limitSchema(50, 200),
  })
  .refine(
    (query) => query.before === undefined || query.after === undefined,
    'takes before or after, not both',
  );
export type HistoryQuery = z.output<typeof historyQuery>;

export const messageSchema = z
  .strictObject({
    id: idOut,
    channelId: idOut,
    seq: z.number().int(),
    revision: z.number().int(),
    senderId: idOut,
    clientMessageId: z.string(),
    body: z.string().meta({ description: 'Empty once the message is deleted.' }),
    createdAt: timeOut,
    editedAt: timeOut.nullable(),
    deletedAt: timeOut.nullable(),
  })
  .meta({ id: 'Message' });
export type Message = z.output<typeof messageSchema>;

export const messageReply = z.strictObject({ message: messageSchema });

export const messagesReply = z.strictObject({
  messages: z.array(messageSchema),
  nextCursor: z
    .number()
    .int()
    .nullable()
    .meta({ description: 'A `seq`: pass it as `before` or `after`, as in the call; null at the end.' }),
});
export type MessagesReply = z.output<typeof messagesReply>;

/** The payloads of the socket events. */
export const sendMessageEvent = z.strictObject({ channelId: idSchema, clientMessageId, body });
export const editMessageEvent = z.strictObject({ messageId: idSchema, body });

export function toMessage(message: MessageDocument): Message {
  return {
    id: message._id.toHexString(),
    channelId: message.channelId.toHexString(),
    seq: message.seq,
    revision: message.revision,
    senderId: message.senderId.toHexString(),
    clientMessageId: message.clientMessageId,
    body: message.body,
    createdAt: message.createdAt.toISOString(),
    editedAt: message.editedAt?.toISOString() ?? null,
    deletedAt: message.deletedAt?.toISOString() ?? null,
  };
}
