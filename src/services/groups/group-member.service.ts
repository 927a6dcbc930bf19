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

/** What GroupMemberService works with. */
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

/** Who is in a group, and as what. Who may is decided in the transaction that does it. */
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

  /** @throws AppError not_found, not_a_member, last_owner */
  leave(caller: Caller, groupId: string): Promise<void> {
    return this.deps.writes.inGroup(caller, 'group.read', groupId, {}, async ({ group, membership }) => {
      if (!membership) throw new AppError('not_a_member', 'Only members of the group may do this.');
      await this.deps.memberships.remove(group._id, caller.userId, 'left');
    });
  }

  /** The members of a group in the order in which they joined. @throws AppError not_found, not_a_member */
  async list(caller: Caller, groupId: string, query: MembersQuery): Promise<Page<Member>> {
    const { group } = await this.deps.access.group(caller, 'group.list_members', groupId);
    const which = { groupId: group._id, ...(query.role && { role: query.role }) };
    return pageOfUsers(this.deps.users, this.deps.collections.memberships, which, query, toMember);
  }

  /**
   * Takes a user in; takes the role admin. A user who is a member already stays what they are.
   * @returns the member, and whether they are new.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, banned, consent_required (they want to be
   * invited, or have blocked the caller), rate_limited (the caller has notified them too often)
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
   * Removes a user: takes the role admin, and a role above theirs unless they remove themselves. When this
   * resolves, the user hears nothing more of the group on any device.
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
   * Gives a member another role: takes the role admin and a role above theirs and above the new one; owners
   * give every role, and everybody may give themselves a lesser one.
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
   * Hands a group over to a member; takes the role owner. The caller, who was an owner, is an admin from then on.
   * @throws AppError not_found, not_a_member, forbidden, group_archived
   */
  transfer(caller: Caller, groupId: string, userId: string): Promise<Group> {
    return this.deps.writes.inGroup(caller, 'group.transfer', groupId, {}, async ({ group, membership }) => {
      const _id = new ObjectId(userId);
      const target = await this.deps.collections.memberships.findOne({ groupId: group._id, userId: _id });
      if (!target) throw notAMember();
      // A super admin from outside takes it from all who own it.
      const own = membership?.role === 'owner' ? caller.userId : undefined;
      if (own?.equals(_id)) return toGroup(group, 'owner');
      await this.handOver(group, userId, caller, (owner) => !own || owner.equals(own));
      const after = await this.deps.access.group(caller, 'group.read', groupId);
      return toGroup(after.group, after.membership?.role ?? null);
    });
  }

  /**
   * Hands a group over to anybody, who is taken in if they are not a member. It does not ask who may hand it over,
   * only whether they may be taken in.
   * @param stepsDown which of its owners are admins from then on; all of them, if it is left out.
   * @throws AppError not_found when there is no such user, consent_required when they have blocked the caller
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
    // Who is out of a private group can no longer look up what it is called.
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
