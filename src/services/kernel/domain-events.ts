import type { ObjectId } from 'mongodb';
import type { ChannelDocument, ChannelRestrictionDocument } from '../../models/channel.model';
import type { ChannelSetting } from '../../models/channels/channel-setting.model';
import type { ChannelRead } from '../../models/channels/channel-summary.model';
import type { RemovalReason, GroupDocument, MembershipDocument } from '../../models/group.model';
import type { InviteDocument } from '../../models/groups/invite.model';
import type { JoinRequestDocument, RequestOutcome } from '../../models/groups/join-request.model';
import type { RevocationReason } from '../../models/identity/session.model';
import type { MessageDocument } from '../../models/message.model';
import type { BookmarkDocument } from '../../models/messages/bookmark.model';
import type { ThreadFollowDocument } from '../../models/messages/thread.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import type { AnnouncementDocument } from '../../models/operations/announcement.model';
import type { MaintenanceState } from '../../models/operations/maintenance.model';
import type { PresenceStatus } from '../../models/presence/presence.model';
import type { PersonRecord } from '../../models/user.model';
import type { VideoCallDocument } from '../../models/video-call.model';
import type { PreferencesDocument } from '../../models/users/preferences.model';
import type { DraftDocument } from '../../models/writing/draft.model';
import type { ScheduledMessageDocument } from '../../models/writing/scheduled-message.model';

/** The users who read a channel, as data. */
export type ChannelAudience =
  /** All members of the group, except those who are banned from this channel of it. */
  | { kind: 'public_channel'; groupId: ObjectId; channelId: ObjectId }
  /** The members of a private channel or of a direct conversation. */
  | { kind: 'channel'; channelId: ObjectId };

/** The new status of a user, and the groups and private channels whose members learn of it. */
export interface PresenceChange {
  userId: string;
  status: PresenceStatus;
  groupIds: string[];
  channelIds: string[];
}

type MessageEvent =
  | { type: 'message.created'; channel: ChannelDocument; message: MessageDocument }
  /** The text has changed. */
  | { type: 'message.edited'; channel: ChannelDocument; message: MessageDocument }
  /** Something other than the text has changed: reactions, the pin, link previews, the number of replies, the call. */
  | { type: 'message.updated'; channel: ChannelDocument; message: MessageDocument }
  | { type: 'message.deleted'; channel: ChannelDocument; message: MessageDocument }
  /** A user follows a thread, no longer follows it, or has read more of it. */
  | { type: 'thread_follow.changed'; follow: ThreadFollowDocument }
  | { type: 'bookmark.added'; bookmark: BookmarkDocument; message: MessageDocument }
  | { type: 'bookmark.removed'; userIds: ObjectId[]; messageId: ObjectId };

type GroupEvent =
  /** `owner` is its only member. */
  | { type: 'group.created'; group: GroupDocument; owner: MembershipDocument }
  | { type: 'group.updated'; group: GroupDocument }
  | { type: 'group.deleted'; groupId: ObjectId }
  | { type: 'member.added'; group: GroupDocument; membership: MembershipDocument; person: PersonRecord }
  | { type: 'member.removed'; groupId: ObjectId; userId: ObjectId; reason: RemovalReason }
  | { type: 'member.role_changed'; membership: MembershipDocument; person: PersonRecord }
  | { type: 'join_request.created'; request: JoinRequestDocument; person: PersonRecord; adminIds: ObjectId[] }
  | {
      type: 'join_request.ended';
      groupId: ObjectId;
      userId: ObjectId;
      outcome: RequestOutcome;
      adminIds: ObjectId[];
    }
  | {
      type: 'invite.received';
      userId: ObjectId;
      invite: InviteDocument;
      group: GroupDocument;
      inviter: PersonRecord;
    }
  | { type: 'invite.ended'; userId: ObjectId; inviteId: ObjectId; groupId: ObjectId };

/** In `channel`, `memberCount` is the number of its members, also of a public channel (see ChannelCounts). */
type ChannelEvent =
  /** A public channel is new. A private one is new to each of its members: `channel_member.added`. */
  | { type: 'channel.created'; channel: ChannelDocument }
  | { type: 'channel.updated'; channel: ChannelDocument }
  /** A private channel has become public. `channel_members.cleared` is published before it. */
  | { type: 'channel.opened'; channel: ChannelDocument }
  /** A public channel has become private. The users in `memberIds` keep access, and are added to its members next. */
  | { type: 'channel.closed'; groupId: ObjectId; channelId: ObjectId; memberIds: ObjectId[] }
  | { type: 'channel.deleted'; channel: ChannelDocument; reason: RemovalReason }
  /** @property isNew whether the user did not know the channel before. */
  | { type: 'channel_member.added'; channel: ChannelDocument; userId: ObjectId; isNew: boolean }
  /** @property reason undefined when another event covers it, such as the removal from the whole group. */
  | { type: 'channel_member.removed'; channel: ChannelDocument; userId: ObjectId; reason?: RemovalReason }
  /** The channel has become public and no longer has a list of members. */
  | { type: 'channel_members.cleared'; channelId: ObjectId; revision: number }
  | { type: 'channel_setting.changed'; userId: ObjectId; setting: ChannelSetting }
  /** A user has moved their read marker. */
  | { type: 'channel.read'; userId: ObjectId; read: ChannelRead }
  /** Read receipts: how far some of its readers have read a channel. */
  | { type: 'channel.seen'; channel: ChannelDocument; seen: { userId: ObjectId; readSeq: number }[] };

type ModerationEvent =
  /**
   * A user may no longer read a channel.
   * @property isNew false when the user was banned before, and only the terms of the ban have changed.
   */
  | {
      type: 'channel_ban.added';
      channelId: ObjectId;
      groupId: ObjectId;
      userId: ObjectId;
      isNew: boolean;
    }
  /**
   * The ban of a user has ended.
   * @property isMember whether the user is in the channel's own list of members.
   * @property channel the channel that the user may read again; null when they are not in its group, or not in the private
   *   channel.
   */
  | {
      type: 'channel_ban.ended';
      channelId: ObjectId;
      groupId: ObjectId;
      userId: ObjectId;
      isMember: boolean;
      channel: ChannelDocument | null;
    }
  /** @property shownReason the reason as shown to the user; empty if it is hidden from them. */
  | { type: 'channel_restriction.set'; restriction: ChannelRestrictionDocument; shownReason: string }
  /** Published only for users who may know of the channel. */
  | { type: 'channel_restriction.ended'; channelId: ObjectId; userId: ObjectId };

type UserEvent =
  | { type: 'session.revoked'; sessionId: ObjectId; userId: ObjectId; reason: RevocationReason }
  /** The role or the state of an account has changed. */
  | { type: 'user.changed'; userId: ObjectId }
  /** The stored document, in which `extras` is text: keys chosen by clients could have a meaning in extended JSON. */
  | { type: 'preferences.changed'; preferences: PreferencesDocument }
  /** `userId` has blocked `blockedId`, or has ended the block. */
  | { type: 'block.changed'; userId: ObjectId; blockedId: ObjectId }
  | { type: 'presence.changed'; changes: PresenceChange[] }
  /** @property excluded readers of the channel who do not receive it. */
  | {
      type: 'typing.changed';
      audience: ChannelAudience;
      excluded: ObjectId[];
      userId: ObjectId;
      typing: boolean;
    }
  /** @property silent whether the user has turned on do not disturb. */
  | { type: 'notification.created'; notification: NotificationDocument; unread: number; silent: boolean }
  /** One notification (`notificationId`), all up to one (`upTo`), or all of a user (both are null). */
  | {
      type: 'notification.read';
      userId: ObjectId;
      notificationId: ObjectId | null;
      upTo: ObjectId | null;
      unread: number;
    }
  | { type: 'notification.deleted'; userId: ObjectId; notificationId: ObjectId; unread: number };

type WritingEvent =
  | { type: 'draft.saved'; draft: DraftDocument }
  | { type: 'draft.removed'; userId: ObjectId; channelId: ObjectId; threadId: ObjectId | null }
  /** A message was scheduled or changed, or could not be sent. */
  | { type: 'scheduled_message.changed'; scheduledMessage: ScheduledMessageDocument }
  | { type: 'scheduled_message.sent'; userId: ObjectId; scheduledMessageId: ObjectId; messageId: ObjectId }
  | { type: 'scheduled_message.deleted'; userId: ObjectId; scheduledMessageId: ObjectId };

/**
 * A call has changed.
 * @property audience the readers of its channel; null if the channel no longer exists.
 * @property rung the users who are called from now on.
 * @property silent those of them who have turned on do not disturb.
 * @property removed the users who may no longer be in the call, or be called.
 */
interface CallChanged {
  type: 'call.changed';
  call: VideoCallDocument;
  audience: ChannelAudience | null;
  rung: ObjectId[];
  silent: ObjectId[];
  removed: ObjectId[];
}

type ServerEvent =
  | { type: 'maintenance.changed'; state: MaintenanceState }
  | { type: 'announcement.created'; announcement: AnnouncementDocument }
  | { type: 'announcement.ended'; announcementId: ObjectId }
  /** Another process has written to what decides who may write to a channel. Only `AccessVersion` sends it. */
  | { type: 'access.changed' }
  /** Events of other nodes may not have reached this one, so everything that it caches may be outdated. */
  | { type: 'events.missed' };

/** Something that has happened and is durable. The names are in the past tense. */
export type DomainEvent =
  | MessageEvent
  | GroupEvent
  | ChannelEvent
  | ModerationEvent
  | UserEvent
  | WritingEvent
  | CallChanged
  | ServerEvent;

export type DomainEventType = DomainEvent['type'];
export type DomainEventOf<Type extends DomainEventType> = Extract<DomainEvent, { type: Type }>;

/** How an event is delivered, and what it may change. */
export interface EventTraits {
  /**
   * Which nodes receive it: the one that publishes it (`node`), or also all others (`all`), before `publish` resolves. An
   * event is for all nodes if it changes something that they cache, such as rights or audiences.
   */
  scope: 'node' | 'all';
  /** Whether it may change what a user may read or write, so that earlier decisions must be made again. */
  changesRights: boolean;
}

const NO_RIGHTS: EventTraits = { scope: 'node', changesRights: false };
const RIGHTS_ON_NODE: EventTraits = { scope: 'node', changesRights: true };
const RIGHTS_ON_ALL_NODES: EventTraits = { scope: 'all', changesRights: true };

/** The traits of each type of event. */
export const DOMAIN_EVENTS: Readonly<Record<DomainEventType, EventTraits>> = {
  'message.created': NO_RIGHTS,
  'message.edited': NO_RIGHTS,
  'message.updated': NO_RIGHTS,
  'message.deleted': NO_RIGHTS,
  'thread_follow.changed': NO_RIGHTS,
  'bookmark.added': NO_RIGHTS,
  'bookmark.removed': NO_RIGHTS,

  'group.created': RIGHTS_ON_ALL_NODES,
  'group.updated': RIGHTS_ON_NODE,
  'group.deleted': RIGHTS_ON_ALL_NODES,
  'member.added': RIGHTS_ON_ALL_NODES,
  'member.removed': RIGHTS_ON_ALL_NODES,
  'member.role_changed': RIGHTS_ON_NODE,
  'join_request.created': NO_RIGHTS,
  'join_request.ended': NO_RIGHTS,
  'invite.received': NO_RIGHTS,
  'invite.ended': NO_RIGHTS,

  'channel.created': RIGHTS_ON_NODE,
  'channel.updated': RIGHTS_ON_NODE,
  'channel.opened': RIGHTS_ON_NODE,
  'channel.closed': RIGHTS_ON_NODE,
  'channel.deleted': RIGHTS_ON_ALL_NODES,
  'channel_member.added': RIGHTS_ON_ALL_NODES,
  'channel_member.removed': RIGHTS_ON_ALL_NODES,
  'channel_members.cleared': RIGHTS_ON_ALL_NODES,
  'channel_setting.changed': NO_RIGHTS,
  'channel.read': NO_RIGHTS,
  'channel.seen': NO_RIGHTS,

  'channel_ban.added': RIGHTS_ON_ALL_NODES,
  'channel_ban.ended': RIGHTS_ON_ALL_NODES,
  'channel_restriction.set': RIGHTS_ON_NODE,
  'channel_restriction.ended': RIGHTS_ON_NODE,

  'session.revoked': RIGHTS_ON_ALL_NODES,
  'user.changed': RIGHTS_ON_ALL_NODES,
  'preferences.changed': { scope: 'all', changesRights: false },
  'block.changed': RIGHTS_ON_ALL_NODES,
  'presence.changed': NO_RIGHTS,
  'typing.changed': NO_RIGHTS,
  'notification.created': NO_RIGHTS,
  'notification.read': NO_RIGHTS,
  'notification.deleted': NO_RIGHTS,

  'draft.saved': NO_RIGHTS,
  'draft.removed': NO_RIGHTS,
  'scheduled_message.changed': NO_RIGHTS,
  'scheduled_message.sent': NO_RIGHTS,
  'scheduled_message.deleted': NO_RIGHTS,

  'call.changed': { scope: 'all', changesRights: false },

  'maintenance.changed': RIGHTS_ON_ALL_NODES,
  'announcement.created': NO_RIGHTS,
  'announcement.ended': NO_RIGHTS,
  'access.changed': RIGHTS_ON_ALL_NODES,
  'events.missed': RIGHTS_ON_NODE,
};
