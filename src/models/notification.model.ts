import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, nextCursorOut, pageQuery, timeOut } from './common.model';

export const NOTIFICATION_KINDS = [
  'group.added',
  'group.removed',
  'group.banned',
  'group.role_changed',
  'group.deleted',
  'join_request.received',
  'join_request.approved',
  'join_request.rejected',
  'invite.received',
  'channel.added',
  'channel.muted',
  'channel.banned',
  /** To whom it was handed over. */
  'channel.transferred',
  'scheduled_message.failed',
  'report.received',
  'report.resolved',
  'warning',
  'mention',
] as const;
export type NotificationKind = (typeof NOTIFICATION_KINDS)[number];

/** Something that a user should know of, kept until they have read it. */
export interface NotificationDocument {
  _id: ObjectId;
  userId: ObjectId;
  kind: NotificationKind;
  /** Who did it; null when that is not told. */
  actorId: ObjectId | null;
  groupId: ObjectId | null;
  channelId: ObjectId | null;
  messageId: ObjectId | null;
  /** The reason, the role, the note: what there is to say in words. */
  text: string;
  createdAt: Date;
  readAt: Date | null;
}

export const notificationParams = z.strictObject({ notificationId: idSchema });
export const notificationsQuery = pageQuery.extend({
  unread: z.enum(['true']).optional().meta({ description: 'Only what has not been read yet.' }),
});
export type NotificationsQuery = z.output<typeof notificationsQuery>;
export const readAllQuery = z.strictObject({
  upTo: idSchema.optional().meta({
    description:
      'The newest that the user has seen: what came after it stays unread. All, if it is left out.',
  }),
});
export type ReadAllQuery = z.output<typeof readAllQuery>;

export const notificationSchema = z
  .strictObject({
    id: idOut,
    kind: z.enum(NOTIFICATION_KINDS),
    actorId: idOut.nullable(),
    groupId: idOut.nullable(),
    channelId: idOut.nullable(),
    messageId: idOut.nullable(),
    text: z.string().meta({ description: 'The reason, role or note that goes with it.' }),
    createdAt: timeOut,
    readAt: timeOut.nullable(),
  })
  .meta({ id: 'Notification' });
export type Notification = z.output<typeof notificationSchema>;

const unread = z.number().int().meta({ description: 'How many are unread now.' });
export const notificationsReply = z.strictObject({
  notifications: z.array(notificationSchema),
  nextCursor: nextCursorOut,
  unread,
});
export const notificationReply = z.strictObject({ notification: notificationSchema, unread });
export const unreadReply = z.strictObject({ unread });
/** What the user's devices hear when something was read on one of them. */
export const notificationReadEvent = z.strictObject({
  notificationId: idOut.nullable().meta({ description: 'Null when it is not about a single one.' }),
  upTo: idOut.nullable().meta({ description: 'All up to this one, if it is about more than one.' }),
  unread,
});
export const notificationDeletedEvent = z.strictObject({ notificationId: idOut, unread });

export function toNotification(notification: NotificationDocument): Notification {
  const { _id, kind, actorId, groupId, channelId, messageId, text, createdAt, readAt } = notification;
  return {
    id: _id.toHexString(),
    kind,
    actorId: actorId?.toHexString() ?? null,
    groupId: groupId?.toHexString() ?? null,
    channelId: channelId?.toHexString() ?? null,
    messageId: messageId?.toHexString() ?? null,
    text,
    createdAt: createdAt.toISOString(),
    readAt: readAt?.toISOString() ?? null,
  };
}
