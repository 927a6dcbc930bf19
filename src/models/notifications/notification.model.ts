import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, nextCursorOut, pageQuery, timestampOut } from '../kernel/common.model';

/** How users are notified of one kind of event. */
interface NotificationRule {
  /** Whether the notification names the user who caused it. */
  namesActor: boolean;
  /**
   * What a recipient receives who has blocked the user who caused it: `nothing`; the `fact`, without the text and the
   * name of that user; or `everything`, for a text that the server itself wrote.
   */
  fromBlocked: 'nothing' | 'fact' | 'everything';
  /**
   * Whether a user can cause it again and again for the same recipient. It then replaces an unread notification of the
   * same kind and place, and counts towards the hourly limit of notifications that one user may cause another.
   */
  repeatable: boolean;
}

const rule = (
  fromBlocked: NotificationRule['fromBlocked'],
  { namesActor = true, repeatable = true }: Partial<NotificationRule> = {},
): NotificationRule => ({ fromBlocked, namesActor, repeatable });

/**
 * The rules of every kind of notification. A new kind must state what a recipient receives who has blocked its actor.
 */
export const NOTIFICATION_RULES = {
  'group.added': rule('nothing'),
  'group.removed': rule('fact'),
  'group.banned': rule('fact', { namesActor: false }),
  'group.role_changed': rule('everything'),
  'group.deleted': rule('fact', { repeatable: false }),
  'join_request.received': rule('nothing'),
  'join_request.approved': rule('fact'),
  'join_request.rejected': rule('fact'),
  'invite.received': rule('nothing'),
  'channel.added': rule('nothing'),
  'channel.muted': rule('fact', { namesActor: false }),
  'channel.banned': rule('fact', { namesActor: false }),
  /** For the new owner. */
  'channel.transferred': rule('fact'),
  'scheduled_message.failed': rule('everything', { repeatable: false }),
  'report.received': rule('everything', { namesActor: false, repeatable: false }),
  'report.resolved': rule('everything', { namesActor: false, repeatable: false }),
  warning: rule('fact', { namesActor: false, repeatable: false }),
  mention: rule('nothing', { repeatable: false }),
  'call.missed': rule('nothing'),
} as const satisfies Record<string, NotificationRule>;
export type NotificationKind = keyof typeof NOTIFICATION_RULES;
export const NOTIFICATION_KINDS = Object.keys(NOTIFICATION_RULES) as [
  NotificationKind,
  ...NotificationKind[],
];

/** A notification of a user. */
export interface NotificationDocument {
  _id: ObjectId;
  userId: ObjectId;
  kind: NotificationKind;
  /** The user who caused it; null if no user did, or if that is not disclosed. */
  actorId: ObjectId | null;
  groupId: ObjectId | null;
  channelId: ObjectId | null;
  messageId: ObjectId | null;
  /** The reason, the role or the note that belongs to it. */
  text: string;
  createdAt: Date;
  readAt: Date | null;
}

export const notificationParams = z.strictObject({ notificationId: idSchema });
export type NotificationParams = z.output<typeof notificationParams>;
export const notificationsQuery = pageQuery.extend({
  unread: z.enum(['true']).optional().meta({ description: 'Only unread notifications.' }),
});
export type NotificationsQuery = z.output<typeof notificationsQuery>;
export const readAllQuery = z.strictObject({
  upTo: idSchema.optional().meta({
    description:
      'The newest notification that the user has seen; later ones stay unread. Omit it to mark all as read.',
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
    text: z.string().meta({ description: 'The reason, role or note that belongs to the notification.' }),
    createdAt: timestampOut,
    readAt: timestampOut.nullable(),
  })
  .meta({ id: 'Notification' });
export type Notification = z.output<typeof notificationSchema>;

const unread = z.number().int().meta({ description: 'The number of unread notifications after this.' });
export const notificationsReply = z.strictObject({
  notifications: z.array(notificationSchema),
  nextCursor: nextCursorOut,
  unread,
});
export const notificationReply = z.strictObject({ notification: notificationSchema, unread });
export const unreadReply = z.strictObject({ unread });
/** The event that a user's devices receive when notifications were read on one of them. */
export const notificationReadEvent = z.strictObject({
  notificationId: idOut
    .nullable()
    .meta({ description: 'The notification that was read; null if several were.' }),
  upTo: idOut
    .nullable()
    .meta({ description: 'All notifications up to this one were read; null if a single one was, or all.' }),
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
