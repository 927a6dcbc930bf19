import { z } from 'zod';
import { announcementSchema } from '../operations/announcement.model';
import { bookmarkRemoved, bookmarkReply } from '../messages/bookmark.model';
import { channelSettingReply } from '../channels/channel-setting.model';
import { channelReadSchema } from '../channels/channel-summary.model';
import { channelSchema, RESTRICTION_KINDS } from '../channel.model';
import { idOut, timestampOut } from './common.model';
import { draftChangedEvent } from '../writing/draft.model';
import { REMOVAL_REASONS, groupSchema, memberSchema, sharedGroupSchema } from '../group.model';
import { receivedInviteSchema } from '../groups/invite.model';
import { joinRequestSchema, REQUEST_OUTCOMES } from '../groups/join-request.model';
import { maintenanceSchema } from '../operations/maintenance.model';
import { messageReply } from '../message.model';
import {
  notificationDeletedEvent,
  notificationReadEvent,
  notificationSchema,
} from '../notifications/notification.model';
import { callRemovedEvent, callReply, callRingingEvent } from '../video-call.model';
import { preferencesSchema } from '../users/preferences.model';
import { presenceChangedEvent } from '../presence/presence.model';
import { channelSeenEvent } from '../reading/receipt.model';
import { threadFollowReply } from '../messages/thread.model';
import { scheduledMessageRemovedEvent, scheduledMessageReply } from '../writing/scheduled-message.model';
import { authEndedEvent, authExpiringEvent } from '../identity/session.model';
import { serverClosingEvent, socketEndedEvent } from './socket.model';
import { typingChangedEvent } from '../presence/typing.model';

const channelMemberEvent = z.strictObject({
  channelId: idOut,
  userId: idOut,
  revision: z.number().int().meta({ description: 'The revision of the channel after this change.' }),
  memberCount: z.number().int().meta({ description: 'The number of members after this change.' }),
});

/**
 * Every event that the server sends: its audience, and the schema of its payload. The TypeScript types of services,
 * clients and tests derive from it.
 */
export const SERVER_EVENTS = {
  'auth:expiring': {
    summary:
      'To this socket: its access token expires soon. Obtain a new one and send it with `auth:refresh`.',
    payload: authExpiringEvent,
  },
  'auth:ended': {
    summary: 'To this socket: the server closes it because its session has ended for the given reason.',
    payload: authEndedEvent,
  },

  'socket:ended': {
    summary:
      'To this socket: the server closes it because of what the client has sent, for the given reason.',
    payload: socketEndedEvent,
  },
  'server:closing': {
    summary:
      'To everybody: the server is shutting down. Reconnect after the given number of milliseconds, which differs between sockets.',
    payload: serverClosingEvent,
  },

  'message:created': {
    summary: 'To all readers of the channel, including all devices of the sender: a message was sent.',
    payload: messageReply,
  },
  'message:updated': {
    summary:
      'To all readers of the channel: the text, reactions, pin, link previews, reply count or call of a message changed.',
    payload: messageReply,
  },
  'message:deleted': {
    summary:
      'To all readers of the channel: a message was deleted. Its text is empty, `deletedAt` is set, and `seq` is kept.',
    payload: messageReply,
  },

  'group:added': {
    summary: 'To a user, on all devices: they are now a member of this group.',
    payload: z.strictObject({ group: groupSchema }),
  },
  'group:updated': {
    summary:
      'To the members of a group: its name, description, visibility, avatar, archive state or counters changed.',
    payload: z.strictObject({ group: sharedGroupSchema }),
  },
  'group:removed': {
    summary: 'To a user, on all devices: they are no longer in this group, or it was deleted.',
    payload: z.strictObject({ groupId: idOut, reason: z.enum(REMOVAL_REASONS) }),
  },
  'member:added': {
    summary: 'To the members of a group: a user became a member.',
    payload: z.strictObject({ groupId: idOut, member: memberSchema }),
  },
  'member:updated': {
    summary: 'To the members of a group: the role of a member changed.',
    payload: z.strictObject({ groupId: idOut, member: memberSchema }),
  },
  'member:removed': {
    summary: 'To the members of a group: a user left or was removed.',
    payload: z.strictObject({ groupId: idOut, userId: idOut }),
  },
  'join_request:created': {
    summary: 'To the admins of a group: a user requests to join it.',
    payload: z.strictObject({ joinRequest: joinRequestSchema }),
  },
  'join_request:ended': {
    summary:
      'To the admins of a group, and to the user who requested to join: the request was decided, withdrawn, or has lapsed.',
    payload: z.strictObject({ groupId: idOut, userId: idOut, outcome: z.enum(REQUEST_OUTCOMES) }),
  },
  'invite:received': {
    summary: 'To a user, on all devices: they were invited to a group.',
    payload: z.strictObject({ invite: receivedInviteSchema }),
  },
  'invite:ended': {
    summary: 'To a user, on all devices: an invite was accepted, declined or withdrawn.',
    payload: z.strictObject({ inviteId: idOut, groupId: idOut }),
  },

  'channel:added': {
    summary:
      'To the users who can now read a channel: it was created or made public, they were added, or a ban ended.',
    payload: z.strictObject({ channel: channelSchema }),
  },
  'channel:updated': {
    summary: 'To all readers of the channel: its name, topic, settings or counters changed.',
    payload: z.strictObject({ channel: channelSchema }),
  },
  'channel:removed': {
    summary:
      'To the users who can no longer read a channel: it was deleted or made private, or they left, were removed or were banned.',
    payload: z.strictObject({
      channelId: idOut,
      groupId: idOut.nullable(),
      reason: z.enum(REMOVAL_REASONS),
    }),
  },
  'channel_member:added': {
    summary: 'To the members of a private channel or direct conversation: a user was added.',
    payload: channelMemberEvent,
  },
  'channel_member:removed': {
    summary: 'To the members of a private channel or direct conversation: a user left or was removed.',
    payload: channelMemberEvent,
  },
  'channel_member:cleared': {
    summary:
      'To the former members of a private channel: it became public to the group and has no members of its own any more. `channel:added` follows.',
    payload: channelMemberEvent.omit({ userId: true }),
  },
  'channel:restricted': {
    summary:
      'To a user, on all devices: they were muted or banned in a channel. `kind` is null when the restriction has ended.',
    payload: z.strictObject({
      channelId: idOut,
      kind: z.enum(RESTRICTION_KINDS).nullable(),
      reason: z.string(),
      expiresAt: timestampOut.nullable(),
    }),
  },

  'channel:seen': {
    summary:
      'To all readers of a channel with at most 50 members: read markers moved. Sent at most once a second.',
    payload: channelSeenEvent,
  },
  'channel_setting:updated': {
    summary: 'To a user, on all devices: the notification setting of a channel changed.',
    payload: channelSettingReply,
  },
  'thread:updated': {
    summary: 'To a user, on all devices: they followed or unfollowed a thread, or read more of it.',
    payload: threadFollowReply,
  },
  'bookmark:added': {
    summary: 'To a user, on all devices: they bookmarked a message.',
    payload: bookmarkReply,
  },
  'bookmark:removed': {
    summary: 'To a user, on all devices: they removed a bookmark, or the bookmarked message was deleted.',
    payload: bookmarkRemoved,
  },

  'channel:read': {
    summary: 'To a user, on all devices: their read marker or unread counts of a channel changed.',
    payload: z.strictObject({ read: channelReadSchema }),
  },

  'presence:changed': {
    summary:
      'To the users who share a group or conversation with the listed users: their status changed. The lists contain user ids. Sent at most once a second; users also receive their own status.',
    payload: presenceChangedEvent,
  },
  'typing:changed': {
    summary:
      'To all other readers of the channel: a user is typing or has stopped. Typing also ends after a timeout, and with a message of that user.',
    payload: typingChangedEvent,
  },
  'scheduled_message:changed': {
    summary: 'To a user, on all devices: a scheduled message was created or changed, or could not be sent.',
    payload: scheduledMessageReply,
  },
  'scheduled_message:removed': {
    summary:
      'To a user, on all devices: a scheduled message was sent (`messageId` is set) or deleted (`messageId` is null).',
    payload: scheduledMessageRemovedEvent,
  },
  'draft:changed': {
    summary: 'To a user, on all devices: a draft was saved, or removed if `draft` is null.',
    payload: draftChangedEvent,
  },

  'call:ringing': {
    summary:
      'To a user, on all devices: they are being called. It stops as soon as their state in the call is no longer `ringing`.',
    payload: callRingingEvent,
  },
  'call:updated': {
    summary:
      'To all readers of the channel: a call was started, changed or ended. Ignore a call with a lower `version` than one you know.',
    payload: callReply,
  },
  'call:removed': {
    summary:
      'To a user, on all devices: they may no longer be in a call, because they lost access to its channel.',
    payload: callRemovedEvent,
  },

  'notification:created': {
    summary: 'To a user, on all devices: they have a new notification.',
    payload: z.strictObject({
      notification: notificationSchema,
      unread: z.number().int(),
      silent: z.boolean().meta({
        description: 'If true, show it without sound or pop-up, because the user has set do not disturb.',
      }),
    }),
  },
  'notification:read': {
    summary:
      'To a user, on all devices: one notification was marked as read (`notificationId`), all up to one (`upTo`), or all (both are null).',
    payload: notificationReadEvent,
  },
  'notification:deleted': {
    summary: 'To a user, on all devices: a notification was deleted.',
    payload: notificationDeletedEvent,
  },
  'preferences:updated': {
    summary: 'To a user, on all devices: their preferences changed.',
    payload: z.strictObject({ preferences: preferencesSchema }),
  },

  'maintenance:changed': {
    summary:
      'To everybody: maintenance began, changed or ended. During maintenance, the server answers only super admins.',
    payload: maintenanceSchema,
  },
  'announcement:created': {
    summary: 'To everybody: an announcement was published.',
    payload: z.strictObject({ announcement: announcementSchema }),
  },
  'announcement:ended': {
    summary:
      'To everybody: an administrator ended an announcement. It is not sent for announcements that expire.',
    payload: z.strictObject({ announcementId: idOut }),
  },
} as const satisfies Record<string, { summary: string; payload: z.ZodType }>;

export type ServerEvent = keyof typeof SERVER_EVENTS;
export type ServerPayload<Event extends ServerEvent> = z.output<(typeof SERVER_EVENTS)[Event]['payload']>;
