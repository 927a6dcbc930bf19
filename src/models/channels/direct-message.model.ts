import { ObjectId } from 'mongodb';
import { z } from 'zod';
import { channelSchema } from '../channel.model';
import { idSchema, limitSchema, nextCursorOut } from '../kernel/common.model';
import { timeCursor } from '../kernel/time-cursor.model';
import { publicUserSchema } from '../user.model';

/** The maximum number of participants of a direct conversation, including the one who starts it. */
export const MAX_PARTICIPANTS = 10;

/** Returns the unique key of the conversation of two users, the same for either order. */
export function directKeyOf(one: ObjectId, other: ObjectId): string {
  return [one.toHexString(), other.toHexString()].sort().join(':');
}

/** Returns the two users of a key. */
export function userIdsOfDirectKey(directKey: string): ObjectId[] {
  return directKey.split(':').map((id) => new ObjectId(id));
}

const userIds = z
  .array(idSchema)
  .min(1)
  .max(MAX_PARTICIPANTS - 1)
  .refine((ids) => new Set(ids).size === ids.length, 'must not contain a user twice');

export const startDirectInput = z
  .strictObject({
    userIds: userIds.meta({
      description: 'The other participants: one for a conversation of two, or up to nine.',
    }),
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
    people: z.array(publicUserSchema).meta({
      description: 'The participants, including the caller; always both users in a conversation of two.',
    }),
  })
  .meta({ id: 'Conversation' });
export type Conversation = z.output<typeof conversationSchema>;
export const conversationReply = z.strictObject({ conversation: conversationSchema });
export const conversationsReply = z.strictObject({
  conversations: z.array(conversationSchema),
  nextCursor: nextCursorOut,
});
