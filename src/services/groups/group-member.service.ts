import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  toGroup,
  toMember,
  type Group,
  type GroupDocument,
  type GroupRole,
  type Member,
  type MembersQuery,
} from '../../models/group.model';
import type { Caller } from '../../models/identity/session.model';
import type { Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { AuditActor } from './group-lifecycle';
import type { GuardedWrites } from '../access/guarded-writes';
import { notAMember, type Memberships } from './memberships';
import type { NotificationService } from '../notifications/notification.service';
import { pageOfUsers } from '../users/user-pages';
import type { ThrottleService } from '../operations/throttle.service';
import type { UserService } from '../user.service';

/** The dependencies of GroupMemberService. */
export interface GroupMemberServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  writes: GuardedWrites;
  memberships: Memberships;
  users: UserService;
  throttle: ThrottleService;
  notifications: NotificationService;
  audit: AuditService;
}

/** Manages the members of groups and their roles. Access is decided in the transaction of each change. */
export class GroupMemberService {
  constructor(private readonly deps: GroupMemberServiceDeps) {}

  /**
   * Joins a public group; joining again changes nothing.
   * @throws AppError not_found, banned, approval_required, group_archived
   */
  join(caller: Caller, groupId: string): Promise<Group> {
    return this.deps.writes.inGroup(caller, 'group.join', groupId, {}, async ({ group, membership }) => {
      if (membership) return toGroup(group, membership.role);
      const user = await this.deps.users.requireUndeleted(caller.userId.toHexString());
      await this.deps.memberships.add(group._id, user, 'member');
      const { group: joined } = await this.deps.access.group(caller, 'group.read', groupId);
      return toGroup(joined, 'member');
    });
  }

  /** Leaves a group. @throws AppError not_found, not_a_member, last_owner */
  leave(caller: Caller, groupId: string): Promise<void> {
    return this.deps.writes.inGroup(caller, 'group.read', groupId, {}, async ({ group, membership }) => {
      if (!membership) throw new AppError('not_a_member', 'Only members of the group may do this.');
      await this.deps.memberships.remove(group._id, caller.userId, 'left');
    });
  }

  /** Lists the members of a group, in the order in which they joined. @throws AppError not_found, not_a_member */
  async list(caller: Caller, groupId: string, query: MembersQuery): Promise<Page<Member>> {
    const { group } = await this.deps.access.group(caller, 'group.list_members', groupId);
    const which = { groupId: group._id, ...(query.role && { role: query.role }) };
    return pageOfUsers(this.deps.users, this.deps.collections.memberships, which, query, toMember);
  }

  /**
   * Adds a user; requires the role admin. An existing member keeps their role.
   * @returns the member, and whether they are new.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, banned, consent_required (the user wants
   * to be invited, or has blocked the caller), rate_limited (the caller has notified the user too often)
   */
  add(caller: Caller, groupId: string, userId: string): Promise<{ member: Member; added: boolean }> {
    const subjectId = new ObjectId(userId);
    return this.deps.writes.inGroup(caller, 'member.add', groupId, { subjectId }, async ({ group }) => {
      const user = await this.deps.users.requireFindable(userId);
      const added = await this.deps.memberships.add(group._id, user, 'member');
      if (added) {
        await this.deps.throttle.requireMayContact(caller.userId.toHexString(), userId);
        await this.notify(caller, user._id, 'group.added', group, '');
        await this.record('member.added', caller, group, { userId: user._id.toHexString() });
      }
      const membership = await this.deps.collections.memberships.findOne({
        groupId: group._id,
        userId: user._id,
      });
      if (!membership) throw notAMember();
      return { member: toMember(membership, user), added };
    });
  }

  /**
   * Removes a user; requires the role admin, and a role above that of the user, unless users remove themselves. When this
   * resolves, no device of the user receives events of the group any more.
   * @throws AppError not_found, not_a_member, forbidden, last_owner
   */
  remove(caller: Caller, groupId: string, userId: string): Promise<void> {
    const subjectId = new ObjectId(userId);
    if (subjectId.equals(caller.userId)) return this.leave(caller, groupId);
    return this.deps.writes.inGroup(caller, 'member.remove', groupId, { subjectId }, async ({ group }) => {
      if (!(await this.deps.memberships.remove(group._id, subjectId, 'removed'))) throw notAMember();
      await this.notify(caller, subjectId, 'group.removed', group, '');
      await this.record('member.removed', caller, group, { userId: subjectId.toHexString() });
    });
  }

  /**
   * Changes the role of a member; requires the role admin, and a role above both the old and the new one. Owners may give
   * every role, and all members may give themselves a lower one.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, last_owner
   */
  changeRole(caller: Caller, groupId: string, userId: string, role: GroupRole): Promise<Member> {
    const subjectId = new ObjectId(userId);
    return this.deps.writes.inGroup(
      caller,
      'member.change_role',
      groupId,
      {
        subjectId,
        newRole: role,
      },
      async ({ group }) => {
        const before = await this.deps.collections.memberships.findOne({
          groupId: group._id,
          userId: subjectId,
        });
        if (!before) throw notAMember();
        const user = await this.deps.users.requireUser(userId);
        const membership = await this.deps.memberships.changeRole(group._id, user, role);
        if (membership.role !== before.role) {
          if (!subjectId.equals(caller.userId)) {
            await this.notify(caller, subjectId, 'group.role_changed', group, role);
          }
          const details = { userId: subjectId.toHexString(), from: before.role, to: role };
          await this.record('member.role_changed', caller, group, details);
        }
        return toMember(membership, user);
      },
    );
  }

  /**
   * Transfers the ownership of a group to a member; requires the role owner. The caller becomes an admin.
   * @throws AppError not_found, not_a_member, forbidden, group_archived
   */
  transfer(caller: Caller, groupId: string, userId: string): Promise<Group> {
    return this.deps.writes.inGroup(caller, 'group.transfer', groupId, {}, async ({ group, membership }) => {
      const _id = new ObjectId(userId);
      const target = await this.deps.collections.memberships.findOne({ groupId: group._id, userId: _id });
      if (!target) throw notAMember();
      // A super admin who is not an owner replaces all owners.
      const own = membership?.role === 'owner' ? caller.userId : undefined;
      if (own?.equals(_id)) return toGroup(group, 'owner');
      await this.handOver(group, userId, caller, (owner) => !own || owner.equals(own));
      const after = await this.deps.access.group(caller, 'group.read', groupId);
      return toGroup(after.group, after.membership?.role ?? null);
    });
  }

  /**
   * Transfers the ownership of a group to any user, who is added if they are not a member. It does not check whether the
   * caller may transfer the group, only whether the user may be added.
   * @param stepsDown which owners become admins; by default all of them.
   * @throws AppError not_found when the user does not exist, consent_required when they have blocked the caller
   */
  handOver(
    group: GroupDocument,
    userId: string,
    by: Caller,
    stepsDown: (owner: ObjectId) => boolean = () => true,
  ): Promise<void> {
    return this.deps.transactions.run(async () => {
      const user = await this.deps.users.requireUndeleted(userId);
      const subjectId = user._id;
      if (!(await this.deps.collections.memberships.findOne({ groupId: group._id, userId: subjectId }))) {
        await this.deps.access.group(by, 'group.hand_over', group._id, { subjectId });
      }
      await this.deps.memberships.handOver(group._id, user, stepsDown);
      if (!user._id.equals(by.userId)) await this.notify(by, user._id, 'group.role_changed', group, 'owner');
      await this.record('group.transferred', by, group, { to: user._id.toHexString() });
    });
  }

  private notify(
    { userId: actorId }: AuditActor,
    userId: ObjectId,
    kind: 'group.added' | 'group.removed' | 'group.role_changed',
    { _id: groupId, name }: GroupDocument,
    role: string,
  ): Promise<unknown> {
    // A removed member can no longer look up the name of a private group.
    const text = kind === 'group.role_changed' ? role : name;
    return this.deps.notifications.notify([userId], { kind, actorId, groupId, text });
  }

  private record(
    action: 'member.added' | 'member.removed' | 'member.role_changed' | 'group.transferred',
    { userId: actorId, address }: AuditActor,
    { _id: targetId }: GroupDocument,
    details: Record<string, string>,
  ): Promise<void> {
    return this.deps.audit.record({ action, actorId, targetId, address, details });
  }
}
