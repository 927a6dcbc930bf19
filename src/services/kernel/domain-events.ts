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

/** The status of a user on one node, with the audiences that they belong to. */
export interface PresenceReport {
  userId: ObjectId;
  status: PresenceStatus;
  audiences: {
    groupIds: ObjectId[];
    privateChannels: { channelId: ObjectId; groupId: ObjectId | null }[];
    bannedFrom: ObjectId[];
  };
}

type MessageEvent =
  | { type: 'message.created'; channel: ChannelDocument; message: MessageDocument }
  /** The text has changed. */
  | { type: 'message.edited'; channel: ChannelDocument; message: MessageDocument }
  /** Something other than the text has changed: reactions, the pin, link previews, the number of replies, the call. */
  | { type: 'message.updated'; channel: ChannelDocument; message: MessageDocument }
  | { type: 'message.deleted'; channel: ChannelDocument; message: MessageDocument }
  /** A user follows a thread, no longer follows it, or has read more of it. */
  | { type: 'thread_follow.changed'; follow: ThreadFollowDocument; audience: ChannelAudience }
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
  /**
   * The statuses of users on one node, for the other nodes.
   * @property part `change`: of users whose status has changed. `first` to `last`: together of all who are present.
   */
  | {
      type: 'presence.reported';
      nodeId: string;
      part: 'change' | 'first' | 'next' | 'last';
      users: PresenceReport[];
    }
  /** @property excluded readers of the channel who do not receive it. */
  | {
      type: 'typing.changed';
      audience: ChannelAudience;
      excluded: ObjectId[];
      userId: ObjectId;
      typing: boolean;
    }
  /** @property silent whether the user has turned on do not disturb. */
  | {
      type: 'notification.created';
      notification: NotificationDocument;
      unread: number;
      silent: boolean;
      /** The readers of the channel that it is about; null if its user may see it in any case. */
      audience: ChannelAudience | null;
    }
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
  /** Another node is there from now on, or asks for the state that this node publishes. */
  | { type: 'node.joined'; nodeId: string }
  /**
   * Another node has stopped, or has died: then it may not have published what it had written.
   * @property returningMs how long the clients of a node that has stopped take to connect to other nodes.
   */
  | { type: 'node.left'; nodeId: string; isDead: boolean; returningMs: number }
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
  /** Which nodes receive it: the one that publishes it (`node`), or also all others (`all`). */
  scope: 'node' | 'all';
  /**
   * Whether `publish` resolves only when all nodes have confirmed it: necessary if the event takes away a right, or changes
   * what nodes cache to decide about rights. Implies the scope `all`.
   */
  confirmed: boolean;
  /** Whether it may change what a user may read or write, so that earlier decisions must be made again. */
  changesRights: boolean;
}

const NODE: EventTraits = { scope: 'node', confirmed: false, changesRights: false };
const ALL: EventTraits = { scope: 'all', confirmed: false, changesRights: false };
const CONFIRMED: EventTraits = { scope: 'all', confirmed: true, changesRights: false };
const RIGHTS: EventTraits = { scope: 'all', confirmed: false, changesRights: true };
const CONFIRMED_RIGHTS: EventTraits = { scope: 'all', confirmed: true, changesRights: true };

/** The traits of each type of event. */
export const DOMAIN_EVENTS: Readonly<Record<DomainEventType, EventTraits>> = {
  'message.created': ALL,
  'message.edited': ALL,
  'message.updated': ALL,
  'message.deleted': ALL,
  'thread_follow.changed': ALL,
  'bookmark.added': ALL,
  'bookmark.removed': ALL,

  'group.created': CONFIRMED_RIGHTS,
  'group.updated': RIGHTS,
  'group.deleted': CONFIRMED_RIGHTS,
  'member.added': CONFIRMED_RIGHTS,
  'member.removed': CONFIRMED_RIGHTS,
  'member.role_changed': RIGHTS,
  'join_request.created': ALL,
  'join_request.ended': ALL,
  'invite.received': ALL,
  'invite.ended': ALL,

  'channel.created': RIGHTS,
  'channel.updated': RIGHTS,
  'channel.opened': RIGHTS,
  'channel.closed': RIGHTS,
  'channel.deleted': CONFIRMED_RIGHTS,
  'channel_member.added': CONFIRMED_RIGHTS,
  'channel_member.removed': CONFIRMED_RIGHTS,
  'channel_members.cleared': CONFIRMED_RIGHTS,
  'channel_setting.changed': ALL,
  'channel.read': ALL,
  'channel.seen': ALL,

  'channel_ban.added': CONFIRMED_RIGHTS,
  'channel_ban.ended': CONFIRMED_RIGHTS,
  'channel_restriction.set': RIGHTS,
  'channel_restriction.ended': RIGHTS,

  'session.revoked': CONFIRMED_RIGHTS,
  'user.changed': CONFIRMED_RIGHTS,
  'preferences.changed': CONFIRMED,
  'block.changed': CONFIRMED_RIGHTS,
  'presence.changed': NODE,
  'presence.reported': ALL,
  'typing.changed': ALL,
  'notification.created': ALL,
  'notification.read': ALL,
  'notification.deleted': ALL,

  'draft.saved': ALL,
  'draft.removed': ALL,
  'scheduled_message.changed': ALL,
  'scheduled_message.sent': ALL,
  'scheduled_message.deleted': ALL,

  'call.changed': CONFIRMED,

  'maintenance.changed': CONFIRMED_RIGHTS,
  'announcement.created': ALL,
  'announcement.ended': ALL,
  'access.changed': CONFIRMED_RIGHTS,
  'node.joined': NODE,
  'node.left': NODE,
  'events.missed': { scope: 'node', confirmed: false, changesRights: true },
};
