import { z } from 'zod';
import { announcementSchema } from './announcement.model';
import { bookmarkGone, bookmarkReply } from './bookmark.model';
import { channelSettingReply } from './channel-setting.model';
import { channelReadSchema } from './channel-summary.model';
import { channelSchema, RESTRICTION_KINDS } from './channel.model';
import { idOut, timeOut } from './common.model';
import { draftChangedEvent } from './draft.model';
import { groupSchema, memberSchema, sharedGroupSchema } from './group.model';
import { receivedInviteSchema } from './invite.model';
import { joinRequestSchema, REQUEST_OUTCOMES } from './join-request.model';
import { maintenanceSchema } from './maintenance.model';
import { messageReply } from './message.model';
import { notificationDeletedEvent, notificationReadEvent, notificationSchema } from './notification.model';
import { preferencesSchema } from './preferences.model';
import { presenceChangedEvent } from './presence.model';
import { channelSeenEvent } from './receipt.model';
import { threadFollowReply } from './thread.model';
import { scheduledMessageRemovedEvent, scheduledMessageReply } from './scheduled-message.model';
import { authEndedEvent, authExpiringEvent } from './session.model';
import { serverClosingEvent, socketEndedEvent } from './socket.model';
import { typingChangedEvent } from './typing.model';

/** Why somebody is no longer in a group or a channel, as far as they hear of it themselves. */
export const DEPARTURES = ['left', 'removed', 'banned', 'deleted', 'closed'] as const;
export type Departure = (typeof DEPARTURES)[number];

const channelMemberEvent = z.strictObject({
  channelId: idOut,
  userId: idOut,
  revision: z.number().int().meta({ description: "The channel's, of this change." }),
  memberCount: z.number().int().meta({ description: 'How many are in the channel now.' }),
});

/**
 * Every event that the server sends: who hears it, and the schema of its payload. The TypeScript types of
 * services, clients and tests follow from it.
 */
export const SERVER_EVENTS = {
  'auth:expiring': {
    summary: 'The access token of this socket ends soon: get a new one and send it with `auth:refresh`.',
    payload: authExpiringEvent,
  },
  'auth:ended': { summary: 'The server closes this socket, and why.', payload: authEndedEvent },

  'socket:ended': {
    summary: 'The server closes this socket for what it has sent, and why.',
    payload: socketEndedEvent,
  },
  'server:closing': {
    summary:
      'The server goes down. Connect again after so many milliseconds: each socket is told another number.',
    payload: serverClosingEvent,
  },

  'message:created': { summary: 'To all who read the channel, the sender too.', payload: messageReply },
  'message:updated': { summary: 'To all who read the channel.', payload: messageReply },
  'message:deleted': { summary: 'To all who read the channel: the text is gone.', payload: messageReply },

  'group:added': {
    summary: 'To a user, on all devices: they are a member of this group from now on.',
    payload: z.strictObject({ group: groupSchema }),
  },
  'group:updated': {
    summary: 'To the members of a group: name, description, visibility, avatar, archive or counters changed.',
    payload: z.strictObject({ group: sharedGroupSchema }),
  },
  'group:removed': {
    summary: 'To a user: they are no longer in this group, or it is gone.',
    payload: z.strictObject({ groupId: idOut, reason: z.enum(DEPARTURES) }),
  },
  'member:added': {
    summary: 'To the members of a group.',
    payload: z.strictObject({ groupId: idOut, member: memberSchema }),
  },
  'member:updated': {
    summary: 'To the members of a group: somebody has another role.',
    payload: z.strictObject({ groupId: idOut, member: memberSchema }),
  },
  'member:removed': {
    summary: 'To the members of a group: somebody left it or was taken out.',
    payload: z.strictObject({ groupId: idOut, userId: idOut }),
  },
  'join_request:created': {
    summary: 'To the admins of a group: somebody asks to come in.',
    payload: z.strictObject({ joinRequest: joinRequestSchema }),
  },
  'join_request:ended': {
    summary: 'To the admins of a group, and to the user who had asked: there is nothing to decide any more.',
    payload: z.strictObject({ groupId: idOut, userId: idOut, outcome: z.enum(REQUEST_OUTCOMES) }),
  },
  'invite:received': {
    summary: 'To a user, on all devices: they are invited into a group.',
    payload: z.strictObject({ invite: receivedInviteSchema }),
  },
  'invite:ended': {
    summary: 'To a user, on all devices: an invite was accepted, declined or taken back.',
    payload: z.strictObject({ inviteId: idOut, groupId: idOut }),
  },

  'channel:added': {
    summary: 'A channel that one can read from now on: new, opened, or one was taken in.',
    payload: z.strictObject({ channel: channelSchema }),
  },
  'channel:updated': {
    summary: 'To all who read the channel.',
    payload: z.strictObject({ channel: channelSchema }),
  },
  'channel:removed': {
    summary: 'A channel that one cannot read any more: deleted, closed, or one was taken out.',
    payload: z.strictObject({
      channelId: idOut,
      groupId: idOut.nullable(),
      reason: z.enum(DEPARTURES),
    }),
  },
  'channel_member:added': {
    summary: 'To those in a private channel or direct conversation.',
    payload: channelMemberEvent,
  },
  'channel_member:removed': {
    summary: 'To those in a private channel or direct conversation.',
    payload: channelMemberEvent,
  },
  'channel_member:cleared': {
    summary: 'To those who were in a private channel: it opens to the group, and has no members of its own.',
    payload: channelMemberEvent.omit({ userId: true }),
  },
  'channel:restricted': {
    summary: 'To a user: what they may not do in a channel from now on; null when they may again.',
    payload: z.strictObject({
      channelId: idOut,
      kind: z.enum(RESTRICTION_KINDS).nullable(),
      reason: z.string(),
      expiresAt: timeOut.nullable(),
    }),
  },

  'channel:seen': {
    summary: 'To all who read a channel of at most 50 people, gathered: how far people have read.',
    payload: channelSeenEvent,
  },
  'channel_setting:updated': {
    summary: 'To a user, on all devices: what they want to be told of in a channel.',
    payload: channelSettingReply,
  },
  'thread:updated': {
    summary: 'To a user, on all devices: they follow a thread now, or do not, or have read more of it.',
    payload: threadFollowReply,
  },
  'bookmark:added': { summary: 'To a user, on all devices.', payload: bookmarkReply },
  'bookmark:removed': {
    summary: 'To a user, on all devices: they have taken it away, or the message is gone.',
    payload: bookmarkGone,
  },

  'channel:read': {
    summary: 'To a user, on all devices: they have read a channel up to here.',
    payload: z.strictObject({ read: channelReadSchema }),
  },

  'presence:changed': {
    summary:
      'Who of those with whom one has a group or a conversation in common is seen another way now, oneself included. Once a second at most.',
    payload: presenceChangedEvent,
  },
  'typing:changed': {
    summary: `To those who read a channel, but for whom it is about. It ends by a message of theirs, too, and by itself.`,
    payload: typingChangedEvent,
  },
  'scheduled_message:changed': {
    summary:
      'To a user, on all devices: a message is to be sent later, otherwise than before, or has failed.',
    payload: scheduledMessageReply,
  },
  'scheduled_message:removed': {
    summary: 'To a user, on all devices: it was sent or deleted.',
    payload: scheduledMessageRemovedEvent,
  },
  'draft:changed': { summary: 'To a user, on all devices.', payload: draftChangedEvent },

  'notification:created': {
    summary: 'To a user, on all devices; `silent` while they do not want to be disturbed.',
    payload: z.strictObject({
      notification: notificationSchema,
      unread: z.number().int(),
      silent: z.boolean().meta({
        description: 'Show it, and neither ring nor pop up: the user does not want to be disturbed.',
      }),
    }),
  },
  'notification:read': {
    summary: 'To a user, on all devices: one notification was read, or all up to one, or all.',
    payload: notificationReadEvent,
  },
  'notification:deleted': { summary: 'To a user, on all devices.', payload: notificationDeletedEvent },
  'preferences:updated': {
    summary: 'To a user, on all devices: the preferences as they are now.',
    payload: z.strictObject({ preferences: preferencesSchema }),
  },

  'maintenance:changed': {
    summary: 'To everybody: while it is enabled, the server answers super admins only.',
    payload: maintenanceSchema,
  },
  'announcement:created': {
    summary: 'To everybody.',
    payload: z.strictObject({ announcement: announcementSchema }),
  },
  'announcement:ended': {
    summary: 'To everybody: somebody has ended it. None is sent for one that ends at the time it named.',
    payload: z.strictObject({ announcementId: idOut }),
  },
} as const satisfies Record<string, { summary: string; payload: z.ZodType }>;

export type ServerEvent = keyof typeof SERVER_EVENTS;
export type ServerPayload<Event extends ServerEvent> = z.output<(typeof SERVER_EVENTS)[Event]['payload']>;
