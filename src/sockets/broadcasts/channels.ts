import type { ObjectId } from 'mongodb';
import { toChannel, type ChannelDocument } from '../../models/channel.model';
import type { RemovalReason } from '../../models/group.model';
import { audienceOfChannel } from '../../services/access/access';
import { to, users, type Audience, type BroadcastsOf, type WireEvent } from './broadcast.types';

/** Clients of the audience can read a channel from now on. */
function added(audience: Audience, channel: ChannelDocument): WireEvent {
  return to(audience, 'channel:added', { channel: toChannel(channel) });
}

/** Clients of the audience can no longer read a channel. */
function removed(
  audience: Audience,
  channelId: ObjectId,
  groupId: ObjectId | null,
  reason: RemovalReason,
): WireEvent {
  return to(audience, 'channel:removed', {
    channelId: channelId.toHexString(),
    groupId: groupId?.toHexString() ?? null,
    reason,
  });
}

function memberChange({ _id, revision, memberCount }: ChannelDocument, userId: ObjectId) {
  return { channelId: _id.toHexString(), userId: userId.toHexString(), revision, memberCount };
}

export const channelBroadcasts = {
  'channel.created': { after: ({ channel }) => [added(audienceOfChannel(channel), channel)] },
  'channel.updated': {
    after: ({ channel }) => [
      to(audienceOfChannel(channel), 'channel:updated', { channel: toChannel(channel) }),
    ],
  },
  'channel.opened': { after: ({ channel }) => [added(audienceOfChannel(channel), channel)] },
  'channel.closed': {
    after: ({ groupId, channelId, memberIds }) => [
      removed(
        { kind: 'public_channel', groupId, channelId, excluded: memberIds },
        channelId,
        groupId,
        'closed',
      ),
    ],
  },
  'channel.deleted': {
    before: ({ channel, reason }) => [
      removed(audienceOfChannel(channel), channel._id, channel.groupId, reason),
    ],
  },
  'channel_member.added': {
    after: ({ channel, userId, isNew }) => [
      ...(isNew ? [added(users(userId), channel)] : []),
      to({ kind: 'channel', channelId: channel._id }, 'channel_member:added', memberChange(channel, userId)),
    ],
  },
  'channel_member.removed': {
    after: ({ channel, userId, reason }) => [
      ...(reason ? [removed(users(userId), channel._id, channel.groupId, reason)] : []),
      to(
        { kind: 'channel', channelId: channel._id },
        'channel_member:removed',
        memberChange(channel, userId),
      ),
    ],
  },
  'channel_members.cleared': {
    before: ({ channelId, revision }) => [
      to({ kind: 'channel', channelId }, 'channel_member:cleared', {
        channelId: channelId.toHexString(),
        revision,
        memberCount: 0,
      }),
    ],
  },
  'channel_setting.changed': {
    after: ({ userId, setting }) => [to(users(userId), 'channel_setting:updated', { setting })],
  },
  'channel.read': { after: ({ userId, read }) => [to(users(userId), 'channel:read', { read })] },
  'channel.seen': {
    after: ({ channel, seen }) => [
      to(audienceOfChannel(channel), 'channel:seen', {
        channelId: channel._id.toHexString(),
        seen: seen.map(({ userId, readSeq }) => ({ userId: userId.toHexString(), readSeq })),
      }),
    ],
  },
  'channel_ban.added': {
    after: ({ channelId, groupId, userId, isNew }) =>
      isNew ? [removed(users(userId), channelId, groupId, 'banned')] : [],
  },
  'channel_ban.ended': {
    after: ({ userId, channel }) => (channel ? [added(users(userId), channel)] : []),
  },
  'channel_restriction.set': {
    after: ({ restriction: { channelId, userId, kind, expiresAt }, shownReason }) => [
      to(users(userId), 'channel:restricted', {
        channelId: channelId.toHexString(),
        kind,
        reason: shownReason,
        expiresAt: expiresAt?.toISOString() ?? null,
      }),
    ],
  },
  'channel_restriction.ended': {
    after: ({ channelId, userId }) => [
      to(users(userId), 'channel:restricted', {
        channelId: channelId.toHexString(),
        kind: null,
        reason: '',
        expiresAt: null,
      }),
    ],
  },
} satisfies BroadcastsOf<
  | 'channel.created'
  | 'channel.updated'
  | 'channel.opened'
  | 'channel.closed'
  | 'channel.deleted'
  | 'channel_member.added'
  | 'channel_member.removed'
  | 'channel_members.cleared'
  | 'channel_setting.changed'
  | 'channel.read'
  | 'channel.seen'
  | 'channel_ban.added'
  | 'channel_ban.ended'
  | 'channel_restriction.set'
  | 'channel_restriction.ended'
>;
