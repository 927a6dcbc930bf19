import { ObjectId } from 'mongodb';
import { z } from 'zod';
import { channelSchema } from '../channel.model';
import { idSchema, limitSchema, nextCursorOut } from '../kernel/common.model';
import { timeCursor } from '../kernel/time-cursor.model';
import { publicUserSchema } from '../user.model';

/** The most people in one direct conversation, with the one who starts it. */
export const MAX_PARTICIPANTS = 10;

/** By which the one conversation of two people is found, whoever of them asks. */
export function directKeyOf(one: ObjectId, other: ObjectId): string {
  return [one.toHexString(), other.toHexString()].sort().join(':');
}

/** The two people of a key. */
export function userIdsOfDirectKey(directKey: string): ObjectId[] {
  return directKey.split(':').map((id) => new ObjectId(id));
}

const userIds = z
  .array(idSchema)
  .min(1)
  .max(MAX_PARTICIPANTS - 1)
  .refine((ids) => new Set(ids).size === ids.length, 'must not name anybody twice');

export const startDirectInput = z
  .strictObject({
    userIds: userIds.meta({ description: 'The others: one for a conversation of two, or up to nine.' }),
  })
  .meta({ id: 'StartDirectInput' });
export type StartDirectInput = z.output<typeof startDirectInput>;

export const addPeopleInput = z.strictObject({ userIds }).meta({ id: 'AddPeopleInput' });
export type AddPeopleInput = z.output<typeof addPeopleInput>;

export const conversationsQuery = z.strictObject({
  cursor: timeCursor.optional(),
  limit: limitSchema(50, 200),
});
export type ConversationsQuery = z.output<typeof conversationsQuery>;

export const conversationSchema = z
  .strictObject({
    channel: channelSchema,
    people: z
      .array(publicUserSchema)
      .meta({ description: 'Who is in it, the caller too. Of a conversation of two it is always both.' }),
  })
  .meta({ id: 'Conversation' });
export type Conversation = z.output<typeof conversationSchema>;
export const conversationReply = z.strictObject({ conversation: conversationSchema });
export const conversationsReply = z.strictObject({
  conversations: z.array(conversationSchema),
  nextCursor: nextCursorOut,
});
