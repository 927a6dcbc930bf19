import { randomBytes } from 'node:crypto';
import { ObjectId, type Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { PageQuery } from '../../models/kernel/common.model';
import { toGroup, type Group, type GroupDocument } from '../../models/group.model';
import {
  INVITE_LIFETIME_MS,
  toInvite,
  toReceivedInvite,
  type CreateInviteInput,
  type Invite,
  type InviteDocument,
  type ReceivedInvite,
} from '../../models/groups/invite.model';
import type { Caller } from '../../models/identity/session.model';
import { toPersonRecord } from '../../models/user.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import { isUnexpired } from '../access/access-rules';
import type { AuditService } from '../audit/audit.service';
import type { Blocks } from '../users/blocks';
import type { EventBus } from '../kernel/event-bus';
import type { GuardedWrites } from '../access/guarded-writes';
import type { Memberships } from './memberships';
import type { NotificationService } from '../notifications/notification.service';
import type { PendingAdmissions } from './pending-admissions';
import type { ThrottleService } from '../operations/throttle.service';
import { hashToken } from '../identity/token.service';
import type { UserService } from '../user.service';

/** The random bytes of a code: too many to guess it. */
const CODE_BYTES = 16;

/** The dependencies of InviteService. */
export interface InviteServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  writes: GuardedWrites;
  admissions: PendingAdmissions;
  memberships: Memberships;
  users: UserService;
  blocks: Blocks;
  throttle: ThrottleService;
  notifications: NotificationService;
  audit: AuditService;
  bus: EventBus;
}

/** Manages invites to groups: by code, for everybody who has it, and for single users. */
export class InviteService {
  constructor(private readonly deps: InviteServiceDeps) {}

  /**
   * Creates an invite; requires the role admin, and a role above the one that the invite gives. Only a hash of the code is
   * stored. An earlier invite of the same user is replaced. A user who has blocked the caller does not see the invite.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, member_already, banned, rate_limited (the caller
   * has notified the user too often)
   */
  create(
    caller: Caller,
    groupId: string,
    input: CreateInviteInput,
  ): Promise<{ invite: Invite; code: string | null }> {
    const subjectId = input.userId === undefined ? undefined : new ObjectId(input.userId);
    return this.deps.writes.inGroup(
      caller,
      'invite.create',
      groupId,
      {
        newRole: input.role,
        ...(subjectId && { subjectId }),
      },
      async ({ group }) => {
        const now = Date.now();
        const code = subjectId ? null : randomBytes(CODE_BYTES).toString('base64url');
        const invite: InviteDocument = {
          _id: new ObjectId(),
          groupId: group._id,
          ...(code !== null && { hash: hashToken(code) }),
          ...(subjectId && { userId: subjectId }),
          role: input.role,
          uses: 0,
          usesLeft: subjectId ? 1 : (input.maxUses ?? null),
          createdBy: caller.userId,
          createdAt: new Date(now),
          expiresAt:
            input.expiresAt === undefined ? new Date(now + INVITE_LIFETIME_MS) : timeOf(input.expiresAt),
        };
        if (subjectId) await this.prepareInvitee(caller, group, subjectId);
        await this.deps.collections.invites.insertOne(invite);
        if (subjectId) await this.notifyInvitee(caller, subjectId, invite, group);
        await this.record('invite.created', caller, invite, { role: invite.role });
        return { invite: toInvite(invite), code };
      },
    );
  }

  /** Lists the valid invites of a group, the oldest first; requires the role admin. @throws AppError not_found, … */
  async list(caller: Caller, groupId: string, query: PageQuery): Promise<Page<Invite>> {
    const { group } = await this.deps.access.group(caller, 'invite.manage', groupId);
    const rows = await this.find({ groupId: group._id }, query);
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    return { items: page.items.map(toInvite), nextCursor: page.nextCursor };
  }

  /** Revokes an invite; requires the role admin. @throws AppError not_found, not_a_member, forbidden */
  revoke(caller: Caller, groupId: string, inviteId: string): Promise<void> {
    return this.deps.writes.inGroup(caller, 'invite.manage', groupId, {}, async ({ group }) => {
      const which = { _id: new ObjectId(inviteId), groupId: group._id };
      const invite = await this.deps.collections.invites.findOne(which);
      if (!invite) throw new AppError('not_found', 'There is no such invite.');
      await this.deps.admissions.endInvites(which);
      await this.record('invite.revoked', caller, invite);
    });
  }

  /**
   * Joins a group by a code. An existing member keeps their role, and the use is not counted.
   * @throws AppError invite_invalid, banned, group_archived
   */
  accept(caller: Caller, code: string): Promise<Group> {
    return this.deps.transactions.run(async () => {
      const invite = await this.deps.collections.invites.findOne({ hash: hashToken(code) });
      if (!invite || !isUnexpired(invite)) throw inviteInvalid();
      return this.enter(caller, invite);
    });
  }

  /**
   * Lists the valid invites for the caller, the oldest first. Invites of users whom the caller has blocked are left out, so
   * a page may have fewer items than requested.
   */
  async listMine({ userId }: Caller, query: PageQuery): Promise<Page<ReceivedInvite>> {
    const page = cutPage(await this.find({ userId }, query), query.limit, (last) => last._id.toHexString());
    if (page.items.length === 0) return { items: [], nextCursor: null };
    const blocked = await this.deps.blocks.findBlocked(
      userId,
      page.items.map(({ createdBy }) => createdBy),
    );
    const groups = await this.deps.collections.groups
      .find({ _id: { $in: page.items.map(({ groupId }) => groupId) } })
      .toArray();
    const byId = new Map(groups.map((group) => [group._id.toHexString(), group]));
    const inviters = await this.deps.users.findByIds(page.items.map(({ createdBy }) => createdBy));
    const items = page.items.flatMap((invite) => {
      if (blocked.has(invite.createdBy.toHexString())) return [];
      const group = byId.get(invite.groupId.toHexString());
      const inviter = inviters.get(invite.createdBy.toHexString());
      return group && inviter ? [toReceivedInvite(invite, group, inviter)] : [];
    });
    return { items, nextCursor: page.nextCursor };
  }

  /** Joins a group by an invite for the caller. @throws AppError not_found, banned, group_archived */
  acceptMine(caller: Caller, inviteId: string): Promise<Group> {
    return this.deps.transactions.run(async () => {
      const invite = await this.deps.collections.invites.findOne({
        _id: new ObjectId(inviteId),
        userId: caller.userId,
      });
      if (!invite || !isUnexpired(invite)) throw new AppError('not_found', 'There is no such invite.');
      return this.enter(caller, invite);
    });
  }

  /** Declines an invite for the caller. @throws AppError not_found */
  declineMine({ userId }: Caller, inviteId: string): Promise<void> {
    return this.deps.transactions.run(async () => {
      const which = { _id: new ObjectId(inviteId), userId };
      const invite = await this.deps.collections.invites.findOne(which);
      if (!invite) throw new AppError('not_found', 'There is no such invite.');
      await this.deps.admissions.endInvites(which);
    });
  }

  private async enter(caller: Caller, invite: InviteDocument): Promise<Group> {
    const { group, membership } = await this.deps.access.group(caller, 'group.accept_invite', invite.groupId);
    if (membership) return toGroup(group, membership.role);
    if (invite.usesLeft === 0) throw inviteInvalid();
    const user = await this.deps.users.requireUndeleted(caller.userId.toHexString());
    await this.deps.memberships.add(group._id, user, invite.role);
    // An invite for one user was removed when the user became a member.
    if (!invite.userId) await this.spend(invite);
    const joined = await this.deps.access.group(caller, 'group.read', group._id);
    return toGroup(joined.group, invite.role);
  }

  /** Counts a use of an invite. @throws AppError invite_invalid when it is used up, which rolls the transaction back */
  private async spend({ _id, usesLeft }: InviteDocument): Promise<void> {
    const limited = usesLeft !== null;
    const { modifiedCount } = await this.deps.collections.invites.updateOne(
      { _id, ...(limited && { usesLeft: { $gt: 0 } }) },
      { $inc: { uses: 1, ...(limited && { usesLeft: -1 }) } },
    );
    if (modifiedCount === 0) throw inviteInvalid();
  }

  /** Checks that a user can be invited, and ends earlier invites. @throws AppError not_found, member_already, rate_limited */
  private async prepareInvitee(
    caller: Caller,
    { _id: groupId }: GroupDocument,
    userId: ObjectId,
  ): Promise<void> {
    await this.deps.users.requireFindable(userId.toHexString());
    await this.deps.users.lockUndeleted(userId.toHexString());
    await this.deps.throttle.requireMayContact(caller.userId.toHexString(), userId.toHexString());
    if (await this.deps.collections.memberships.findOne({ groupId, userId })) {
      throw new AppError('member_already', 'The user is already a member of this group.');
    }
    await this.deps.admissions.endInvites({ groupId, userId });
  }

  /** Publishes an invite to its user, unless the user has blocked the caller. */
  private async notifyInvitee(
    caller: Caller,
    userId: ObjectId,
    invite: InviteDocument,
    group: GroupDocument,
  ): Promise<void> {
    const notices = await this.deps.notifications.store([userId], {
      kind: 'invite.received',
      actorId: caller.userId,
      groupId: group._id,
      text: group.name,
    });
    if (notices.length === 0) return;
    const inviter = await this.deps.users.requireUser(caller.userId.toHexString());
    await this.deps.bus.publish({
      type: 'invite.received',
      userId,
      invite,
      group,
      inviter: toPersonRecord(inviter),
    });
    await this.deps.notifications.publishAll(notices);
  }

  private record(
    action: 'invite.created' | 'invite.revoked',
    { userId: actorId, address }: Caller,
    { _id, groupId, userId }: InviteDocument,
    more: Record<string, string> = {},
  ): Promise<void> {
    const details = { inviteId: _id.toHexString(), userId: userId?.toHexString() ?? null, ...more };
    return this.deps.audit.record({ action, actorId, targetId: groupId, address, details });
  }

  private find(which: Filter<InviteDocument>, { cursor, limit }: PageQuery): Promise<InviteDocument[]> {
    return this.deps.collections.invites
      .find({
        ...which,
        $or: [{ expiresAt: null }, { expiresAt: { $gt: new Date() } }],
        ...(cursor && { _id: { $gt: new ObjectId(cursor) } }),
      })
      .sort({ _id: 1 })
      .limit(limit + 1)
      .toArray();
  }
}

const timeOf = (time: string | null) => (time === null ? null : new Date(time));

/** The error is the same for an invite that never existed, is used up, has expired or was revoked. */
function inviteInvalid(): AppError {
  return new AppError('invite_invalid', 'The invite is not valid, was used up or has expired.');
}
