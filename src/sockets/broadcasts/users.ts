import { toNotification } from '../../models/notifications/notification.model';
import { toPreferences } from '../../models/users/preferences.model';
import { toDraft } from '../../models/writing/draft.model';
import { toScheduledMessage } from '../../models/writing/scheduled-message.model';
import { presenceChanged } from './presence';
import { readers, to, users, type BroadcastsOf } from './broadcast.types';

/** Broadcasts of events of a single user: account, preferences, presence, notifications and drafts. */
export const userBroadcasts = {
  // Broadcaster notifies and disconnects the sockets of the session.
  'session.revoked': null,
  'user.changed': null,
  'block.changed': null,
  'preferences.changed': {
    after: ({ preferences }) => [
      to(users(preferences._id), 'preferences:updated', { preferences: toPreferences(preferences) }),
    ],
  },
  'presence.changed': { everywhere: presenceChanged },
  'presence.reported': null,
  'typing.changed': {
    after: ({ audience, excluded, userId, typing }) => [
      to({ ...audience, excluded }, 'typing:changed', {
        channelId: audience.channelId.toHexString(),
        userId: userId.toHexString(),
        typing,
      }),
    ],
  },
  'notification.created': {
    after: ({ notification, unread, silent, audience }) => [
      to(readers([notification.userId], audience), 'notification:created', {
        notification: toNotification(notification),
        unread,
        silent,
      }),
    ],
  },
  'notification.read': {
    after: ({ userId, notificationId, upTo, unread }) => [
      to(users(userId), 'notification:read', {
        notificationId: notificationId?.toHexString() ?? null,
        upTo: upTo?.toHexString() ?? null,
        unread,
      }),
    ],
  },
  'notification.deleted': {
    after: ({ userId, notificationId, unread }) => [
      to(users(userId), 'notification:deleted', { notificationId: notificationId.toHexString(), unread }),
    ],
  },
  'draft.saved': {
    after: ({ draft }) => [
      to(users(draft.userId), 'draft:changed', {
        channelId: draft.channelId.toHexString(),
        threadId: draft.threadId?.toHexString() ?? null,
        draft: toDraft(draft),
      }),
    ],
  },
  'draft.removed': {
    after: ({ userId, channelId, threadId }) => [
      to(users(userId), 'draft:changed', {
        channelId: channelId.toHexString(),
        threadId: threadId?.toHexString() ?? null,
        draft: null,
      }),
    ],
  },
  'scheduled_message.changed': {
    after: ({ scheduledMessage }) => [
      to(users(scheduledMessage.userId), 'scheduled_message:changed', {
        scheduledMessage: toScheduledMessage(scheduledMessage),
      }),
    ],
  },
  'scheduled_message.sent': {
    after: ({ userId, scheduledMessageId, messageId }) => [
      to(users(userId), 'scheduled_message:removed', {
        scheduledMessageId: scheduledMessageId.toHexString(),
        messageId: messageId.toHexString(),
      }),
    ],
  },
  'scheduled_message.deleted': {
    after: ({ userId, scheduledMessageId }) => [
      to(users(userId), 'scheduled_message:removed', {
        scheduledMessageId: scheduledMessageId.toHexString(),
        messageId: null,
      }),
    ],
  },
} satisfies BroadcastsOf<
  | 'session.revoked'
  | 'user.changed'
  | 'block.changed'
  | 'preferences.changed'
  | 'presence.changed'
  | 'presence.reported'
  | 'typing.changed'
  | 'notification.created'
  | 'notification.read'
  | 'notification.deleted'
  | 'draft.saved'
  | 'draft.removed'
  | 'scheduled_message.changed'
  | 'scheduled_message.sent'
  | 'scheduled_message.deleted'
>;
