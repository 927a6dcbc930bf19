import { ObjectId, type Collection, type Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type {
  AdminChannelsQuery,
  AdminGroupsQuery,
  InspectedChannel,
  InspectedGroup,
} from '../../models/admin/admin-group.model';
import { type Channel } from '../../models/channel.model';
import { toSharedGroup, type GroupDocument, type SharedGroup } from '../../models/group.model';
import { encodePrefixCursor, type PrefixCursor } from '../../models/kernel/prefix-cursor.model';
import type { Caller } from '../../models/identity/session.model';
import { toPublicUser, type PublicUser } from '../../models/user.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { searchKey } from '../../utils/name-keys';
import { channelNotFound, type Access } from '../access/access';
import type { ChannelMembershipService } from '../channels/channel-membership.service';
import type { ChannelService } from '../channel.service';
import type { ChannelCounts } from '../channels/channel-counts';
import type { GroupLifecycle } from '../groups/group-lifecycle';
import type { GroupMemberService } from '../groups/group-member.service';
import { pageByPrefix } from './prefix-pages';
import type { UserService } from '../user.service';

/** The maximum number of owners or members that are listed. */
const MAX_LISTED = 50;

/** The dependencies of AdminGroupService. */
export interface AdminGroupServiceDeps {
  collections: Collections;
  access: Access;
  counts: ChannelCounts;
  users: UserService;
  lifecycle: GroupLifecycle;
  members: GroupMemberService;
  channels: ChannelService;
  channelMembership: ChannelMembershipService;
}

/** Groups and channels for super admins, who need not be members. Their actions are recorded in the audit log. */
export class AdminGroupService {
  constructor(private readonly deps: AdminGroupServiceDeps) {}

  /** All groups, the newest first, or those whose names begin with a text, by name. @throws AppError forbidden */
  async list(caller: Caller, query: AdminGroupsQuery): Promise<Page<SharedGroup>> {
    this.deps.access.requireSuperAdmin(caller);
    const page = await this.page(this.deps.collections.groups, query, filterOf(query));
    return { ...page, items: page.items.map(toSharedGroup) };
  }

  /** All channels and direct conversations; as `list`. @throws AppError forbidden */
  async listChannels(caller: Caller, query: AdminChannelsQuery): Promise<Page<Channel>> {
    this.deps.access.requireSuperAdmin(caller);
    const { kind, groupId } = query;
    const conditions = {
      ...filterOf(query),
      ...(groupId && { groupId: new ObjectId(groupId) }),
      // Direct conversations have no names.
      ...((kind ?? query.query) && { kind: kind ?? 'group' }),
    };
    const page = await this.page(this.deps.collections.channels, query, conditions);
    return { ...page, items: await this.deps.counts.showAll(page.items) };
  }

  /** A group with its owners and counts. @throws AppError forbidden, not_found */
  async inspect(caller: Caller, groupId: string): Promise<InspectedGroup> {
    const group = await this.requireGroup(caller, groupId);
    const about = { groupId: group._id };
    const { memberships, channels, groupBans, reports } = this.deps.collections;
    const [owners, inChannels, bans, open, claimed] = await Promise.all([
      memberships
        .find({ ...about, role: 'owner' })
        .limit(MAX_LISTED)
        .toArray(),
      channels
        .aggregate<{ _id: null; count: number; messages: number }>([
          { $match: about },
          { $group: { _id: null, count: { $sum: 1 }, messages: { $sum: '$seq' } } },
        ])
        .toArray(),
      groupBans.countDocuments(about),
      reports.countDocuments({ ...about, state: 'open' }),
      reports.countDocuments({ ...about, state: 'claimed' }),
    ]);
    const { count = 0, messages = 0 } = inChannels[0] ?? {};
    return {
      group: toSharedGroup(group),
      owners: await this.toPublicUsers(owners),
      counts: {
        members: group.memberCount,
        publicChannels: group.channelCount,
        privateChannels: count - group.channelCount,
        messages,
        bans,
        waitingReports: open + claimed,
      },
    };
  }

  /** A channel with its members and counts. @throws AppError forbidden, not_found */
  async inspectChannel(caller: Caller, channelId: string): Promise<InspectedChannel> {
    this.deps.access.requireSuperAdmin(caller);
    const _id = new ObjectId(channelId);
    const { channels, channelMembers, channelRestrictions } = this.deps.collections;
    const [channel, members, restrictions] = await Promise.all([
      channels.findOne({ _id }),
      channelMembers.find({ channelId: _id }).limit(MAX_LISTED).toArray(),
      channelRestrictions.countDocuments({ channelId: _id }),
    ]);
    if (!channel) throw channelNotFound();
    return {
      channel: await this.deps.counts.show(channel),
      // Without stale entries of older versions.
      members: await this.toPublicUsers(await this.deps.access.keepMembers(channel, members)),
      counts: { messages: channel.seq, restrictions },
    };
  }

  /** @throws AppError forbidden, not_found */
  async archive(caller: Caller, groupId: string): Promise<SharedGroup> {
    this.deps.access.requireSuperAdmin(caller);
    return toSharedGroup(await this.deps.lifecycle.archive(new ObjectId(groupId), caller));
  }

  /** @throws AppError forbidden, not_found */
  async restore(caller: Caller, groupId: string): Promise<SharedGroup> {
    this.deps.access.requireSuperAdmin(caller);
    return toSharedGroup(await this.deps.lifecycle.restore(new ObjectId(groupId), caller));
  }

  /**
   * Transfers a group to any user: they become a member if they are not one yet, and the former owners become admins.
   * @throws AppError forbidden, not_found
   */
  async transfer(caller: Caller, groupId: string, userId: string): Promise<SharedGroup> {
    const group = await this.requireGroup(caller, groupId);
    await this.deps.members.handOver(group, userId, caller);
    return toSharedGroup(await this.requireGroup(caller, groupId));
  }

  /** Deletes a group with all of its content. @throws AppError forbidden, not_found */
  async delete(caller: Caller, groupId: string): Promise<void> {
    this.deps.access.requireSuperAdmin(caller);
    await this.deps.lifecycle.remove(new ObjectId(groupId), caller);
  }

  /** @throws AppError forbidden, not_found, direct_channel, group_archived */
  async archiveChannel(caller: Caller, channelId: string): Promise<Channel> {
    this.deps.access.requireSuperAdmin(caller);
    return this.deps.channels.archive(caller, channelId);
  }

  /** @throws AppError forbidden, not_found, direct_channel, group_archived */
  async restoreChannel(caller: Caller, channelId: string): Promise<Channel> {
    this.deps.access.requireSuperAdmin(caller);
    return this.deps.channels.restore(caller, channelId);
  }

  /**
   * Transfers a channel to a member of its group.
   * @throws AppError forbidden, not_found, direct_channel, group_archived, bad_request
   */
  async transferChannel(caller: Caller, channelId: string, userId: string): Promise<Channel> {
    this.deps.access.requireSuperAdmin(caller);
    return this.deps.channelMembership.transfer(caller, channelId, userId);
  }

  /** Deletes a channel with its messages. @throws AppError forbidden, not_found, direct_channel */
  async deleteChannel(caller: Caller, channelId: string): Promise<void> {
    this.deps.access.requireSuperAdmin(caller);
    await this.deps.channels.delete(caller, channelId);
  }

  private async page<Schema extends { _id: ObjectId; searchName?: string }>(
    collection: Collection<Schema>,
    {
      query,
      cursor,
      limit,
    }: { query?: string | undefined; cursor?: PrefixCursor | undefined; limit: number },
    conditions: Filter<Schema>,
  ): Promise<Page<Schema>> {
    if (query !== undefined) {
      const page = { prefix: searchKey(query), cursor, limit };
      return pageByPrefix(collection, 'searchName', page, { unique: false, conditions });
    }
    const rows = (await collection
      .find({ ...conditions, ...(cursor && { _id: { $lt: cursor._id } }) } as Filter<Schema>)
      .sort({ _id: -1 })
      .limit(limit + 1)
      .toArray()) as Schema[];
    return cutPage(rows, limit, ({ _id }) => encodePrefixCursor({ value: '', _id }));
  }

  private async requireGroup(caller: Caller, groupId: string): Promise<GroupDocument> {
    this.deps.access.requireSuperAdmin(caller);
    const group = await this.deps.collections.groups.findOne({ _id: new ObjectId(groupId) });
    if (!group) throw new AppError('not_found', 'There is no such group.');
    return group;
  }

  private async toPublicUsers(rows: readonly { userId: ObjectId }[]): Promise<PublicUser[]> {
    const users = await this.deps.users.findByIds(rows.map(({ userId }) => userId));
    return rows.flatMap(({ userId }) => {
      const user = users.get(userId.toHexString());
      return user ? [toPublicUser(user)] : [];
    });
  }
}

/** The filter that applies to groups and channels. */
function filterOf({ visibility, archived }: Pick<AdminGroupsQuery, 'visibility' | 'archived'>): {
  visibility?: 'public' | 'private';
  archivedAt?: null | { $type: 'date' };
} {
  return {
    ...(visibility && { visibility }),
    ...(archived !== undefined && { archivedAt: archived ? { $type: 'date' } : null }),
  };
}
