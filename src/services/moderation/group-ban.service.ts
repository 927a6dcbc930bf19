import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { PageQuery } from '../../models/kernel/common.model';
import { toGroupBan, type BanInput, type GroupBan } from '../../models/moderation/group-ban.model';
import type { Caller } from '../../models/identity/session.model';
import type { Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import { isUnexpired } from '../access/access-rules';
import type { AuditService } from '../audit/audit.service';
import type { GuardedWrites } from '../access/guarded-writes';
import type { Memberships } from '../groups/memberships';
import type { NotificationService } from '../notifications/notification.service';
import { pageOfUsers } from '../users/user-pages';
import type { PendingAdmissions } from '../groups/pending-admissions';
import type { UserService } from '../user.service';

/** The dependencies of GroupBanService. */
export interface GroupBanServiceDeps {
  collections: Collections;
  access: Access;
  writes: GuardedWrites;
  admissions: PendingAdmissions;
  memberships: Memberships;
  users: UserService;
  notifications: NotificationService;
  audit: AuditService;
}

/** Bans from groups, until a time or indefinitely. */
export class GroupBanService {
  constructor(private readonly deps: GroupBanServiceDeps) {}

  /**
   * Bans a user; requires the role moderator, and a role above theirs. When this resolves, a member has been removed from
   * the group on all devices, and their join requests and invites have ended. A second ban replaces reason and end. Users
   * who were neither members nor had asked or been invited to join are not notified.
   * @throws AppError not_found, not_a_member, forbidden, last_owner, bad_request (oneself)
   */
  ban(caller: Caller, groupId: string, userId: string, input: BanInput): Promise<GroupBan> {
    const subjectId = new ObjectId(userId);
    return this.deps.writes.inGroup(caller, 'member.ban', groupId, { subjectId }, async ({ group }) => {
      if (subjectId.equals(caller.userId)) throw new AppError('bad_request', 'You cannot ban yourself.');
      const user = await this.deps.users.lockUndeleted(userId);
      const wasMember = await this.deps.memberships.remove(group._id, subjectId, 'banned');
      const now = new Date();
      const expiresAt = input.expiresAt === undefined ? null : new Date(input.expiresAt);
      const key = { groupId: group._id, userId: subjectId };
      const before = await this.deps.collections.groupBans.findOne(key);
      const wasPending = await this.deps.admissions.settle(group._id, subjectId, 'lapsed');
      const isNotified =
        wasMember || wasPending || (before !== null && isUnexpired(before) && before.isTold !== false);
      const ban = await this.deps.collections.groupBans.findOneAndUpdate(
        key,
        {
          $set: {
            reason: input.reason,
            bannedBy: caller.userId,
            isTold: isNotified,
            createdAt: now,
            expiresAt,
          },
          $setOnInsert: { _id: new ObjectId() },
        },
        { upsert: true, returnDocument: 'after' },
      );
      if (!ban) throw new Error('A ban was not written.');
      if (isNotified) {
        await this.deps.notifications.notify([subjectId], {
          kind: 'group.banned',
          actorId: caller.userId,
          groupId: group._id,
          text: input.reason,
        });
      }
      await this.record('member.banned', caller, group._id, {
        userId: subjectId.toHexString(),
        reason: input.reason,
        until: expiresAt?.toISOString() ?? null,
      });
      return toGroupBan(ban, user);
    });
  }

  /** Ends a ban; requires the role moderator. @throws AppError not_found, not_a_member, forbidden */
  unban(caller: Caller, groupId: string, userId: string): Promise<void> {
    return this.deps.writes.inGroup(caller, 'member.unban', groupId, {}, async ({ group }) => {
      const ban = await this.deps.collections.groupBans.findOneAndDelete({
        groupId: group._id,
        userId: new ObjectId(userId),
        ...inForce(),
      });
      if (!ban) throw new AppError('not_found', 'The user is not banned from the group.');
      await this.record('member.unbanned', caller, group._id, { userId: ban.userId.toHexString() });
    });
  }

  /** The bans in force, the oldest first; requires the role moderator. @throws AppError not_found, … */
  async list(caller: Caller, groupId: string, query: PageQuery): Promise<Page<GroupBan>> {
    const { group } = await this.deps.access.group(caller, 'group.moderate', groupId);
    const filter = { groupId: group._id, ...inForce() };
    return pageOfUsers(this.deps.users, this.deps.collections.groupBans, filter, query, toGroupBan);
  }

  private record(
    action: 'member.banned' | 'member.unbanned',
    { userId: actorId, address }: Caller,
    targetId: ObjectId,
    details: Record<string, string | null>,
  ): Promise<void> {
    return this.deps.audit.record({ action, actorId, targetId, address, details });
  }
}

/** Excludes expired bans, which the database removes with a delay. */
const inForce = () => ({ $or: [{ expiresAt: null }, { expiresAt: { $gt: new Date() } }] });
