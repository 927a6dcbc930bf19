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
  revision: z.number().int().meta({ description: 'The revision of the channel that this change made.' }),
  memberCount: z.number().int().meta({ description: 'How many members the channel has now.' }),
});

/**
 * Every event that the server sends: who hears it, and the schema of its payload. The TypeScript types of
 * services, clients and tests follow from it.
 */
export const SERVER_EVENTS = {
  'auth:expiring': {
    summary: 'To this socket: its access token expires soon. Get a new one and send it with `auth:refresh`.',
    payload: authExpiringEvent,
  },
  'auth:ended': {
    summary: 'To this socket: the server closes it because its session has ended, and for which reason.',
    payload: authEndedEvent,
  },

  'socket:ended': {
    summary:
      'To this socket: the server closes it because of what the client has sent, and for which reason.',
    payload: socketEndedEvent,
  },
  'server:closing': {
    summary:
      'To everybody: the server is shutting down. Connect again after this many milliseconds, which differ from socket to socket.',
    payload: serverClosingEvent,
  },

  'message:created': {
    summary: 'To all who can read the channel, the sender included, on all devices.',
    payload: messageReply,
  },
  'message:updated': {
    summary:
      'To all who can read the channel: the text, the reactions, the pin, the link previews or the number of replies changed.',
    payload: messageReply,
  },
  'message:deleted': {
    summary: 'To all who can read the channel: the text is empty now, `deletedAt` is set, `seq` stays.',
    payload: messageReply,
  },

  'group:added': {
    summary: 'To a user, on all devices: they are a member of this group from now on.',
    payload: z.strictObject({ group: groupSchema }),
  },
  'group:updated': {
    summary: 'To the members of a group: name, description, visibility, avatar, archive or counters changed.',
    payload: z.strictObject({ group: sharedGroupSchema }),
  },
  'group:removed': {
    summary: 'To a user, on all devices: they are no longer in this group, or it was deleted.',
    payload: z.strictObject({ groupId: idOut, reason: z.enum(REMOVAL_REASONS) }),
  },
  'member:added': {
    summary: 'To the members of a group: somebody is a member from now on.',
    payload: z.strictObject({ groupId: idOut, member: memberSchema }),
  },
  'member:updated': {
    summary: 'To the members of a group: somebody has another role.',
    payload: z.strictObject({ groupId: idOut, member: memberSchema }),
  },
  'member:removed': {
    summary: 'To the members of a group: somebody left it or was removed.',
    payload: z.strictObject({ groupId: idOut, userId: idOut }),
  },
  'join_request:created': {
    summary: 'To the admins of a group: somebody asks to join it.',
    payload: z.strictObject({ joinRequest: joinRequestSchema }),
  },
  'join_request:ended': {
    summary:
      'To the admins of a group, and to the user who asked to join: the request was decided, withdrawn, or has lapsed.',
    payload: z.strictObject({ groupId: idOut, userId: idOut, outcome: z.enum(REQUEST_OUTCOMES) }),
  },
  'invite:received': {
    summary: 'To a user, on all devices: they are invited into a group.',
    payload: z.strictObject({ invite: receivedInviteSchema }),
  },
  'invite:ended': {
    summary: 'To a user, on all devices: an invite was accepted, declined or withdrawn.',
    payload: z.strictObject({ inviteId: idOut, groupId: idOut }),
  },

  'channel:added': {
    summary:
      'To those who can read a channel from now on: it is new, it was opened, they were added, or a ban has ended.',
    payload: z.strictObject({ channel: channelSchema }),
  },
  'channel:updated': {
    summary: 'To all who can read the channel: its name, topic, settings or counters changed.',
    payload: z.strictObject({ channel: channelSchema }),
  },
  'channel:removed': {
    summary:
      'To those who can no longer read a channel: it was deleted or made private, or they left it, were removed or banned.',
    payload: z.strictObject({
      channelId: idOut,
      groupId: idOut.nullable(),
      reason: z.enum(REMOVAL_REASONS),
    }),
  },
  'channel_member:added': {
    summary: 'To those in a private channel or direct conversation: somebody was added.',
    payload: channelMemberEvent,
  },
  'channel_member:removed': {
    summary: 'To those in a private channel or direct conversation: somebody left it or was removed.',
    payload: channelMemberEvent,
  },
  'channel_member:cleared': {
    summary:
      'To those who were in a private channel: it is open to the whole group now and has no members of its own. `channel:added` follows.',
    payload: channelMemberEvent.omit({ userId: true }),
  },
  'channel:restricted': {
    summary:
      'To a user, on all devices: they were muted or banned in a channel; `kind` is null when that has ended.',
    payload: z.strictObject({
      channelId: idOut,
      kind: z.enum(RESTRICTION_KINDS).nullable(),
      reason: z.string(),
      expiresAt: timestampOut.nullable(),
    }),
  },

  'channel:seen': {
    summary:
      'To all who can read a channel of at most 50 people: how far people have read. Sent once a second at most.',
    payload: channelSeenEvent,
  },
  'channel_setting:updated': {
    summary: 'To a user, on all devices: which messages of a channel they are notified of.',
    payload: channelSettingReply,
  },
  'thread:updated': {
    summary: 'To a user, on all devices: they follow a thread, no longer follow it, or have read more of it.',
    payload: threadFollowReply,
  },
  'bookmark:added': {
    summary: 'To a user, on all devices: they have bookmarked a message.',
    payload: bookmarkReply,
  },
  'bookmark:removed': {
    summary: 'To a user, on all devices: they have removed a bookmark, or the message was deleted.',
    payload: bookmarkRemoved,
  },

  'channel:read': {
    summary: 'To a user, on all devices: how far they have read a channel, and what is unread.',
    payload: z.strictObject({ read: channelReadSchema }),
  },

  'presence:changed': {
    summary:
      'To those who have a group or a conversation in common with the users named: their status changed. The lists hold ids of users. Sent once a second at most; users receive their own status, too.',
    payload: presenceChangedEvent,
  },
  'typing:changed': {
    summary:
      'To all others who can read the channel: somebody types, or has stopped. It ends by itself, and with a message of that user.',
    payload: typingChangedEvent,
  },
  'scheduled_message:changed': {
    summary: 'To a user, on all devices: a message was scheduled or changed, or could not be sent.',
    payload: scheduledMessageReply,
  },
  'scheduled_message:removed': {
    summary: 'To a user, on all devices: a scheduled message was sent (`messageId`) or deleted (null).',
    payload: scheduledMessageRemovedEvent,
  },
  'draft:changed': {
    summary: 'To a user, on all devices: a draft was saved; `draft` is null when it was removed.',
    payload: draftChangedEvent,
  },

  'notification:created': {
    summary: 'To a user, on all devices: there is a new notification.',
    payload: z.strictObject({
      notification: notificationSchema,
      unread: z.number().int(),
      silent: z.boolean().meta({
        description: 'Show it without a sound or a pop-up: the user does not want to be disturbed.',
      }),
    }),
  },
  'notification:read': {
    summary:
      'To a user, on all devices: one notification was read (`notificationId`), all up to one (`upTo`), or all (both are null).',
    payload: notificationReadEvent,
  },
  'notification:deleted': {
    summary: 'To a user, on all devices: a notification was deleted.',
    payload: notificationDeletedEvent,
  },
  'preferences:updated': {
    summary: 'To a user, on all devices: their preferences as they are now.',
    payload: z.strictObject({ preferences: preferencesSchema }),
  },

  'maintenance:changed': {
    summary:
      'To everybody: maintenance began, changed or ended. While it is enabled, the server answers super admins only.',
    payload: maintenanceSchema,
  },
  'announcement:created': {
    summary: 'To everybody: there is a new announcement.',
    payload: z.strictObject({ announcement: announcementSchema }),
  },
  'announcement:ended': {
    summary:
      'To everybody: somebody has ended an announcement. It is not sent for one that ends at its own time.',
    payload: z.strictObject({ announcementId: idOut }),
  },
} as const satisfies Record<string, { summary: string; payload: z.ZodType }>;

export type ServerEvent = keyof typeof SERVER_EVENTS;
export type ServerPayload<Event extends ServerEvent> = z.output<(typeof SERVER_EVENTS)[Event]['payload']>;
