import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { MAX_ATTACHMENTS } from '../../models/files/attachment.model';
import { avatarUpload } from '../../models/files/avatar.model';
import type { ChannelSummary } from '../../models/channels/channel-summary.model';
import { toChannel, type Channel, type ChannelDocument } from '../../models/channel.model';
import { MAX_PAGE_SIZE } from '../../models/kernel/common.model';
import { toGroup, type GroupDocument, type GroupRole } from '../../models/group.model';
import { MAX_MESSAGE_LENGTH } from '../../models/message.model';
import {
  OVERVIEW_LIMITS,
  type Overview,
  type OverviewChannel,
  type OverviewDirect,
  type OverviewGroup,
  type ServerLimits,
} from '../../models/catch-up/overview.model';
import type { Caller } from '../../models/identity/session.model';
import { MAX_PASSWORD_BYTES, toPublicUser } from '../../models/user.model';
import { MAX_BODY_BYTES } from '../../utils/validation';
import type { Access } from '../access/access';
import type { AnnouncementService } from '../operations/announcement.service';
import type { CallHistory } from '../calls/call-history';
import type { ChannelCounts } from '../channels/channel-counts';
import type { ChannelSummaries } from '../channels/channel-summaries';
import type { InviteService } from '../groups/invite.service';
import type { JoinRequestService } from '../groups/join-request.service';
import type { NotificationService } from '../notifications/notification.service';
import type { PreferenceService } from '../users/preference.service';
import type { PresenceService } from '../presence/presence.service';
import type { UploadLimits } from '../files/upload.service';
import type { UserService } from '../user.service';

const LIMITS: Omit<ServerLimits, 'uploadBytes' | 'quotaBytes'> = {
  messageLength: MAX_MESSAGE_LENGTH,
  bodyBytes: MAX_BODY_BYTES,
  avatarBytes: avatarUpload.maxBytes,
  attachments: MAX_ATTACHMENTS,
  pageSize: MAX_PAGE_SIZE,
  passwordBytes: MAX_PASSWORD_BYTES,
};

/** The groups and channels of the caller. */
interface UserChannels {
  groups: GroupDocument[];
  /** The caller's roles by group id in hexadecimal digits. */
  roles: Map<string, GroupRole>;
  channels: ChannelDocument[];
  /** False if there are more than the limits of the overview. */
  complete: boolean;
}

/** The dependencies of OverviewService. */
export interface OverviewServiceDeps {
  collections: Collections;
  access: Access;
  users: UserService;
  summaries: ChannelSummaries;
  channelCounts: ChannelCounts;
  notifications: NotificationService;
  joinRequests: JoinRequestService;
  invites: InviteService;
  announcements: AnnouncementService;
  preferences: PreferenceService;
  presence: PresenceService;
  callHistory: CallHistory;
  uploads: UploadLimits;
}

/**
 * Returns all that a client needs at its start. The number of queries does not depend on the number of groups, channels
 * and messages.
 */
export class OverviewService {
  constructor(private readonly deps: OverviewServiceDeps) {}

  /** @throws AppError session_revoked if the account has been deleted */
  async get(caller: Caller): Promise<Overview> {
    const firstPage = { limit: OVERVIEW_LIMITS.admissions };
    const [me, userChannels, announcements, preferences, notifications, blocked, requests, invites] =
      await Promise.all([
        this.deps.users.me(caller),
        this.userChannels(caller.userId),
        this.deps.announcements.current(),
        this.deps.preferences.get(caller),
        this.deps.notifications.countUnread(caller.userId),
        this.blockedBy(caller.userId),
        this.deps.joinRequests.listMine(caller, firstPage),
        this.deps.invites.listMine(caller, firstPage),
      ]);
    const { channels } = userChannels;
    const directChannels = channels.filter(({ kind }) => kind === 'direct');
    const [summaries, membersByChannel, calls] = await Promise.all([
      this.deps.summaries.summarise(caller.userId, channels),
      this.deps.access.participantsOf(directChannels),
      this.deps.callHistory.activeIn(channels.map(({ _id }) => _id)),
    ]);
    const summaryOf: SummaryOf = (channelId) => summaries.get(channelId)!;
    const shown = await this.deps.channelCounts.showAll([...channels].sort(byPosition));
    const groups = groupsOf(userChannels, shown, summaryOf);
    const direct = directOf(directChannels, membersByChannel, summaryOf);
    const usersById = await this.deps.users.findByIds(
      distinct(senders(summaries).concat(...membersByChannel.values())),
    );
    const peers = distinct([...membersByChannel.values()].flat());
    const directUnread = sumOf(direct.map(({ summary }) => summary.unread));
    return {
      serverTime: new Date().toISOString(),
      me,
      groups,
      direct,
      users: [...usersById.values()].map(toPublicUser),
      presences: this.deps.presence.statusesOf(peers.filter((id) => !id.equals(caller.userId))),
      unread: {
        messages: sumOf(groups.map(({ unread }) => unread)) + directUnread,
        mentions: sumOf([...groups, ...direct.map(({ summary }) => summary)].map(({ mentions }) => mentions)),
        direct: directUnread,
        notifications,
      },
      joinRequests: requests.items,
      invites: invites.items,
      activeCalls: calls.slice(0, OVERVIEW_LIMITS.calls),
      announcements,
      preferences,
      blockedUserIds: blocked.slice(0, OVERVIEW_LIMITS.blocked).map((id) => id.toHexString()),
      limits: { ...LIMITS, uploadBytes: this.deps.uploads.limits, quotaBytes: this.deps.uploads.quota },
      complete:
        userChannels.complete &&
        blocked.length <= OVERVIEW_LIMITS.blocked &&
        calls.length <= OVERVIEW_LIMITS.calls &&
        requests.nextCursor === null &&
        invites.nextCursor === null,
    };
  }

  /** The groups of the user and the channels that they may read, up to the limits. */
  private async userChannels(userId: ObjectId): Promise<UserChannels> {
    const { groups, channels } = this.deps.collections;
    const bounds = { groups: OVERVIEW_LIMITS.groups, channels: OVERVIEW_LIMITS.channels };
    const readable = await this.deps.access.readable(userId, bounds);
    const [found, read] = await Promise.all([
      groups
        .find({ _id: { $in: readable.audiences.groupIds } }, { batchSize: OVERVIEW_LIMITS.groups + 1 })
        .toArray(),
      channels.find(readable.filter, atMost(OVERVIEW_LIMITS.channels)).toArray(),
    ]);
    return {
      groups: found,
      roles: new Map(readable.memberships.map(({ groupId, role }) => [groupId.toHexString(), role])),
      channels: read.slice(0, OVERVIEW_LIMITS.channels),
      complete: readable.complete && read.length <= OVERVIEW_LIMITS.channels,
    };
  }

  private async blockedBy(userId: ObjectId): Promise<ObjectId[]> {
    const rows = await this.deps.collections.blocks
      .find({ userId }, atMost(OVERVIEW_LIMITS.blocked))
      .sort({ _id: 1 })
      .toArray();
    return rows.map(({ blockedId }) => blockedId);
  }
}

/** Reads one row more than the bound, to detect whether there are more, in a single batch. */
const atMost = (bound: number) => ({ limit: bound + 1, batchSize: bound + 1 });

/** Returns the summary of a channel by its id in hexadecimal digits. */
type SummaryOf = (channelId: string) => ChannelSummary;

/** @param channels in the order in which they are shown. */
function groupsOf(
  { groups, roles }: UserChannels,
  channels: Channel[],
  summaryOf: SummaryOf,
): OverviewGroup[] {
  const inGroup = new Map<string, OverviewChannel[]>();
  for (const channel of channels) {
    const key = channel.groupId ?? '';
    const channelsOfGroup = inGroup.get(key) ?? [];
    channelsOfGroup.push({ channel, summary: summaryOf(channel.id) });
    inGroup.set(key, channelsOfGroup);
  }
  return groups
    .map((group) => {
      const id = group._id.toHexString();
      const channelsOfGroup = inGroup.get(id) ?? [];
      return {
        group: toGroup(group, roles.get(id) ?? null),
        unread: sumOf(channelsOfGroup.map(({ summary }) => summary.unread)),
        mentions: sumOf(channelsOfGroup.map(({ summary }) => summary.mentions)),
        channels: channelsOfGroup,
      };
    })
    .sort((one, other) => one.group.name.localeCompare(other.group.name, 'en'));
}

function directOf(
  channels: ChannelDocument[],
  membersByChannel: Map<string, ObjectId[]>,
  summaryOf: SummaryOf,
): OverviewDirect[] {
  const newest = ({ channel, summary }: OverviewDirect) =>
    summary.lastMessage?.createdAt ?? channel.createdAt;
  return channels
    .map((channel) => ({
      channel: toChannel(channel),
      summary: summaryOf(channel._id.toHexString()),
      userIds: (membersByChannel.get(channel._id.toHexString()) ?? []).map((id) => id.toHexString()),
    }))
    .sort((one, other) => (newest(one) < newest(other) ? 1 : -1));
}

/** The senders of the last messages. */
function senders(summaries: Map<string, ChannelSummary>): ObjectId[] {
  const ids = [...summaries.values()].flatMap(({ lastMessage }) => lastMessage?.senderId ?? []);
  return ids.map((id) => new ObjectId(id));
}

function distinct(ids: ObjectId[]): ObjectId[] {
  return [...new Map(ids.map((id) => [id.toHexString(), id])).values()];
}

function byPosition(one: ChannelDocument, other: ChannelDocument): number {
  return one.position - other.position || (one._id.toHexString() < other._id.toHexString() ? -1 : 1);
}

function sumOf(numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
