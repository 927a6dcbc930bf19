import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { duplicateIndex } from '../db/mongodb';
import type { Transactions } from '../db/transaction';
import type { PageQuery } from '../models/common.model';
import {
  toGroup,
  toMember,
  type CreateGroupInput,
  type Group,
  type GroupDocument,
  type Member,
  type MembershipDocument,
} from '../models/group.model';
import type { Caller } from '../models/session.model';
import type { UserDocument } from '../models/user.model';
import { cutPage, type Page } from '../utils/cursor';
import { AppError } from '../utils/errors';
import type { Access } from './access';
import type { EventBus } from './event-bus';
import { notAMember, type Memberships } from './memberships';
import type { UserService } from './user.service';

/** Groups and who is in them. */
export class GroupService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly memberships: Memberships,
    private readonly users: UserService,
    private readonly bus: EventBus,
  ) {}

  /** Makes a group with the caller as its owner. @throws AppError forbidden, group_name_taken */
  async create(caller: Caller, input: CreateGroupInput): Promise<Group> {
    this.access.requireServer(caller, 'group.create');
    const now = new Date();
    const group: GroupDocument = {
      _id: new ObjectId(),
      name: input.name,
      description: input.description,
      visibility: input.visibility,
      joinPolicy: input.joinPolicy,
      createdBy: caller.userId,
      memberCount: 1,
      channelCount: 0,
      defaultChannelId: null,
      archivedAt: null,
      createdAt: now,
      updatedAt: now,
    };
    const owner: MembershipDocument = {
      _id: new ObjectId(),
      groupId: group._id,
      userId: caller.userId,
      role: 'owner',
      joinedAt: now,
    };
    try {
      await this.transactions.run(async () => {
        await this.collections.memberships.insertOne(owner);
        await this.collections.groups.insertOne(group);
      });
    } catch (error) {
      if (duplicateIndex(error) === 'name_unique') {
        throw new AppError('group_name_taken', 'A group with this name exists.');
      }
      throw error;
    }
    const created = toGroup(group, 'owner');
    await this.bus.publish({ type: 'member.added', groupId: group._id, userId: caller.userId });
    await this.bus.tell({ kind: 'users', userIds: [caller.userId] }, 'group:added', { group: created });
    return created;
  }

  /** The groups that the caller is a member of, in the order of their ids. */
  async listMine(caller: Caller, query: PageQuery): Promise<Page<Group>> {
    const memberships = await this.collections.memberships
      .find({
        userId: caller.userId,
        ...(query.cursor && { groupId: { $gt: new ObjectId(query.cursor) } }),
      })
      .sort({ groupId: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(memberships, query.limit, (last) => last.groupId.toHexString());
    const roles = new Map(page.items.map(({ groupId, role }) => [groupId.toHexString(), role]));
    const groups = await this.collections.groups
      .find({ _id: { $in: page.items.map(({ groupId }) => groupId) } })
      .sort({ _id: 1 })
      .toArray();
    return {
      items: groups.map((group) => toGroup(group, roles.get(group._id.toHexString()) ?? null)),
      nextCursor: page.nextCursor,
    };
  }

  /** @throws AppError not_found */
  async get(caller: Caller, groupId: string): Promise<Group> {
    const { group, membership } = await this.access.group(caller, 'group.read', groupId);
    return toGroup(group, membership?.role ?? null);
  }

  /**
   * Joins a public group; joining again changes nothing.
   * @throws AppError not_found, banned, approval_required, group_archived
   */
  async join(caller: Caller, groupId: string): Promise<Group> {
    const { group, membership } = await this.access.group(caller, 'group.join', groupId);
    if (membership) return toGroup(group, membership.role);
    const user = await this.users.requireLiving(caller.userId.toHexString());
    await this.memberships.add(group._id, user, 'member');
    return this.get(caller, groupId);
  }

  /** @throws AppError not_found, not_a_member, last_owner */
  async leave(caller: Caller, groupId: string): Promise<void> {
    const { group, membership } = await this.access.group(caller, 'group.read', groupId);
    if (!membership) throw new AppError('not_a_member', 'Only members of the group may do this.');
    await this.memberships.remove(group._id, caller.userId, 'left');
  }

  /** The members of a group in the order in which they joined. @throws AppError not_found, not_a_member */
  async listMembers(caller: Caller, groupId: string, query: PageQuery): Promise<Page<Member>> {
    const { group } = await this.access.group(caller, 'group.list_members', groupId);
    const memberships = await this.collections.memberships
      .find({ groupId: group._id, ...(query.cursor && { _id: { $gt: new ObjectId(query.cursor) } }) })
      .sort({ _id: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(memberships, query.limit, (last) => last._id.toHexString());
    const users = await this.users.byIds(page.items.map(({ userId }) => userId));
    const withUser = page.items.flatMap((membership): [MembershipDocument, UserDocument][] => {
      const user = users.get(membership.userId.toHexString());
      return user ? [[membership, user]] : [];
    });
    return {
      items: withUser.map(([membership, user]) => toMember(membership, user)),
      nextCursor: page.nextCursor,
    };
  }

  /**
   * Takes a user in; takes the role admin. A user who is a member already stays what they are.
   * @returns the member, and whether they are new.
   * @throws AppError not_found, not_a_member, forbidden, group_archived
   */
  async addMember(
    caller: Caller,
    groupId: string,
    userId: string,
  ): Promise<{ member: Member; added: boolean }> {
    const { group } = await this.access.group(caller, 'member.add', groupId);
    const user = await this.users.requireLiving(userId);
    const added = await this.memberships.add(group._id, user, 'member');
    const membership = await this.collections.memberships.findOne({ groupId: group._id, userId: user._id });
    if (!membership) throw notAMember();
    return { member: toMember(membership, user), added };
  }

  /**
   * Removes a user: takes the role admin, and a role above theirs unless they remove themselves. When this
   * resolves, the user hears nothing more of the group on any device.
   * @throws AppError not_found, not_a_member, forbidden, last_owner
   */
  async removeMember(caller: Caller, groupId: string, userId: string): Promise<void> {
    const subjectId = new ObjectId(userId);
    if (subjectId.equals(caller.userId)) {
      await this.leave(caller, groupId);
      return;
    }
    const { group } = await this.access.group(caller, 'member.remove', groupId, { subjectId });
    if (!(await this.memberships.remove(group._id, subjectId, 'removed'))) throw notAMember();
  }
}
