import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, nextCursorOut, pageQuery, timestampOut } from '../kernel/common.model';

/** How users are told of a kind of thing. */
interface NotificationRule {
  /** Whether they are told who did it. */
  namesActor: boolean;
  /**
   * What of it reaches somebody who has blocked whoever did it: `nothing`, the bare `fact` without the words and the
   * name of the person, or `everything`, where the words are the server's own.
   */
  fromBlocked: 'nothing' | 'fact' | 'everything';
  /**
   * Whether it is done to its recipient and can be done over and over again. It then takes the place of one of the
   * same kind and place that has not been read, and counts against what one person may cause another in an hour.
   */
  repeatable: boolean;
}

const rule = (
  fromBlocked: NotificationRule['fromBlocked'],
  { namesActor = true, repeatable = true }: Partial<NotificationRule> = {},
): NotificationRule => ({ fromBlocked, namesActor, repeatable });

/** Every kind of notification. A new one has to say here what of it reaches somebody who has blocked its actor. */
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
  /** To whom it was handed over. */
  'channel.transferred': rule('fact'),
  'scheduled_message.failed': rule('everything', { repeatable: false }),
  'report.received': rule('everything', { namesActor: false, repeatable: false }),
  'report.resolved': rule('everything', { namesActor: false, repeatable: false }),
  warning: rule('fact', { namesActor: false, repeatable: false }),
  mention: rule('nothing', { repeatable: false }),
} as const satisfies Record<string, NotificationRule>;
export type NotificationKind = keyof typeof NOTIFICATION_RULES;
export const NOTIFICATION_KINDS = Object.keys(NOTIFICATION_RULES) as [
  NotificationKind,
  ...NotificationKind[],
];

/** Something that a user should know of, kept until they have read it. */
export interface NotificationDocument {
  _id: ObjectId;
  userId: ObjectId;
  kind: NotificationKind;
  /** Who did it; null when nobody did, or when that is not told. */
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
export type NotificationParams = z.output<typeof notificationParams>;
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
    createdAt: timestampOut,
    readAt: timestampOut.nullable(),
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
