import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { ChannelDocument } from '../models/channel.model';
import type { GroupDocument, GroupRole, MembershipDocument } from '../models/group.model';
import type { Caller } from '../models/session.model';
import { AppError } from '../utils/errors';
import type { AuditService } from './audit.service';
import type { Audience } from './event-bus';

const RANK: Record<GroupRole, number> = { owner: 3, admin: 2, moderator: 1, member: 0 };

/** Whether a role in a group has at least the rights of another. */
export function hasRank(role: GroupRole | undefined, atLeast: GroupRole): boolean {
  return role !== undefined && RANK[role] >= RANK[atLeast];
}

/** A group, and what the caller is in it. */
export interface GroupAccess {
  group: GroupDocument;
  membership: MembershipDocument | null;
  /** What the caller may do there: their role as a member; a super admin is as good as an owner. */
  role: GroupRole | null;
}

/** A channel that the caller may read, and what they are in its group. */
export interface ChannelAccess {
  channel: ChannelDocument;
  role: GroupRole;
}

/** What a user hears. A private channel counts only while they are a member of its group. */
export interface UserAudiences {
  groupIds: ObjectId[];
  privateChannels: { channelId: ObjectId; groupId: ObjectId }[];
}

/**
 * The one place that decides who may do what. What the caller may not know to exist is answered with
 * `not_found`, never with `forbidden`. A super admin passes everywhere, and where no other rule lets them in,
 * the audit log says so first.
 */
export class Access {
  constructor(
    private readonly collections: Collections,
    private readonly audit: AuditService,
    private readonly groupCreation: 'everyone' | 'group_admins',
  ) {}

  /** @throws AppError forbidden */
  requireSuperAdmin(caller: Caller): void {
    if (!isSuperAdmin(caller)) throw new AppError('forbidden', 'Only super admins may do this.');
  }

  /** By GROUP_CREATION every account may create groups, or only two global roles. @throws AppError forbidden */
  requireGroupCreation(caller: Caller): void {
    if (this.groupCreation === 'everyone' || caller.role !== 'client') return;
    throw new AppError('forbidden', 'Only group admins may create groups on this server.');
  }

  /**
   * A group that the caller may see: a public one, or one they are a member of.
   * @throws AppError not_found
   */
  async seeGroup(caller: Caller, groupId: string): Promise<GroupAccess> {
    const access = await this.findGroup(caller, groupId);
    if (access.group.visibility === 'private' && !access.membership)
      await this.passAsSuperAdmin(caller, access.group);
    return access;
  }

  /**
   * A group in which the caller has at least the given role.
   * @throws AppError not_found, not_a_member, forbidden
   */
  async requireGroupRole(
    caller: Caller,
    groupId: string,
    atLeast: GroupRole,
  ): Promise<GroupAccess & { role: GroupRole }> {
    const { group, membership, role } = await this.findGroup(caller, groupId);
    if (!hasRank(membership?.role, atLeast) && isSuperAdmin(caller))
      await this.passAsSuperAdmin(caller, group);
    else if (!membership && group.visibility === 'private') throw noGroup();
    else if (!membership) throw new AppError('not_a_member', 'Only members of the group may do this.');
    else if (!hasRank(membership.role, atLeast)) {
      throw new AppError('forbidden', `This takes the role ${atLeast} in the group.`);
    }
    return { group, membership, role: role ?? 'owner' };
  }

  /**
   * A channel that the caller may read: they are a member of its group and, if it is private, of the channel.
   * @throws AppError not_found
   */
  async readChannel(caller: Caller, channelId: ObjectId): Promise<ChannelAccess> {
    const channel = await this.collections.channels.findOne({ _id: channelId });
    if (!channel) throw noChannel();
    const [membership, channelMember] = await Promise.all([
      this.collections.memberships.findOne({ groupId: channel.groupId, userId: caller.userId }),
      channel.visibility === 'private'
        ? this.collections.channelMembers.findOne({ channelId, userId: caller.userId })
        : undefined,
    ]);
    if (!membership || channelMember === null) {
      if (!isSuperAdmin(caller)) throw noChannel();
      await this.passAsSuperAdmin(caller, channel);
    }
    return { channel, role: membership?.role ?? 'owner' };
  }

  /** Those of the users who may write in a channel, by id in hexadecimal digits: they are who may read it. */
  async writersOf(channel: ChannelDocument, userIds: ObjectId[]): Promise<Set<string>> {
    const among = { $in: userIds };
    const [memberships, channelMembers] = await Promise.all([
      this.collections.memberships.find({ groupId: channel.groupId, userId: among }).toArray(),
      channel.visibility === 'private'
        ? this.collections.channelMembers.find({ channelId: channel._id, userId: among }).toArray()
        : undefined,
    ]);
    const inGroup = new Set(memberships.map(({ userId }) => userId.toHexString()));
    if (!channelMembers) return inGroup;
    return new Set(channelMembers.map(({ userId }) => userId.toHexString()).filter((id) => inGroup.has(id)));
  }

  /**
   * A channel that the caller may change or delete: they can read it, and made it or administer its group.
   * @throws AppError not_found, forbidden
   */
  async manageChannel(caller: Caller, channelId: ObjectId): Promise<ChannelAccess> {
    const access = await this.readChannel(caller, channelId);
    if (!access.channel.createdBy.equals(caller.userId)) await this.requireRank(caller, access, 'admin');
    return access;
  }

  /** Asks for a role in the group of a channel that the caller can read. @throws AppError forbidden */
  async requireRank(caller: Caller, { channel, role }: ChannelAccess, atLeast: GroupRole): Promise<void> {
    if (hasRank(role, atLeast)) return;
    if (!isSuperAdmin(caller))
      throw new AppError('forbidden', `This takes the role ${atLeast} in the group.`);
    await this.passAsSuperAdmin(caller, channel);
  }

  /** The private channels of a group that the caller is a member of. */
  async privateChannelIds(caller: Caller, groupId: ObjectId): Promise<ObjectId[]> {
    const rows = await this.collections.channelMembers
      .find({ userId: caller.userId, groupId }, { projection: { channelId: 1 } })
      .toArray();
    return rows.map((row) => row.channelId);
  }

  /** Everything that a user hears: their groups, and the private channels in them that they are a member of. */
  async audiencesOf(userId: ObjectId): Promise<UserAudiences> {
    const [memberships, channelMembers] = await Promise.all([
      this.collections.memberships.find({ userId }, { projection: { groupId: 1 } }).toArray(),
      this.collections.channelMembers
        .find({ userId }, { projection: { channelId: 1, groupId: 1 } })
        .toArray(),
    ]);
    return { groupIds: memberships.map(({ groupId }) => groupId), privateChannels: channelMembers };
  }

  private async findGroup(caller: Caller, groupId: string): Promise<GroupAccess> {
    const _id = new ObjectId(groupId);
    const [group, membership] = await Promise.all([
      this.collections.groups.findOne({ _id }),
      this.collections.memberships.findOne({ groupId: _id, userId: caller.userId }),
    ]);
    if (!group) throw noGroup();
    return { group, membership, role: isSuperAdmin(caller) ? 'owner' : (membership?.role ?? null) };
  }

  /** Lets a super admin in where they are no member, after the audit log has it. @throws AppError not_found */
  private async passAsSuperAdmin(caller: Caller, resource: GroupDocument | ChannelDocument): Promise<void> {
    const kind = 'groupId' in resource ? 'channel' : 'group';
    if (!isSuperAdmin(caller)) throw kind === 'group' ? noGroup() : noChannel();
    await this.audit.record({
      action: 'super_admin.entered',
      actorId: caller.userId,
      targetId: resource._id,
      address: caller.address,
      details: { kind },
    });
  }
}

function isSuperAdmin(caller: Caller): boolean {
  return caller.role === 'super_admin';
}

function noGroup(): AppError {
  return new AppError('not_found', 'There is no such group.');
}

/** Who hears what happens in a channel. */
export function audienceOfChannel(channel: ChannelDocument): Audience {
  return channel.visibility === 'public'
    ? { kind: 'group', groupId: channel.groupId }
    : { kind: 'channel', channelId: channel._id };
}

export function noChannel(): AppError {
  return new AppError('not_found', 'There is no such channel.');
}
