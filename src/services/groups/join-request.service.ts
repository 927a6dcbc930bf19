import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { PageQuery } from '../../models/kernel/common.model';
import { toMember, type Member } from '../../models/group.model';
import {
  toJoinRequest,
  toOwnJoinRequest,
  type JoinRequest,
  type JoinRequestDocument,
  type OwnJoinRequest,
} from '../../models/groups/join-request.model';
import type { Caller } from '../../models/identity/session.model';
import { toPersonRecord } from '../../models/user.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { EventBus } from '../kernel/event-bus';
import type { GuardedWrites } from '../access/guarded-writes';
import type { Memberships } from './memberships';
import type { NotificationService } from '../notifications/notification.service';
import { pageOfUsers } from '../users/user-pages';
import type { PendingAdmissions } from './pending-admissions';
import type { UserService } from '../user.service';

/** After what time a rejected user may ask again. */
const REPEAT_INTERVAL_MS = 24 * 3600_000;

/** The dependencies of JoinRequestService. */
export interface JoinRequestServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  writes: GuardedWrites;
  admissions: PendingAdmissions;
  memberships: Memberships;
  users: UserService;
  notifications: NotificationService;
  audit: AuditService;
  bus: EventBus;
}

/** Manages requests to join groups that require approval. */
export class JoinRequestService {
  constructor(private readonly deps: JoinRequestServiceDeps) {}

  /**
   * Requests to join a group. If there is a request already, it remains with its first note.
   * @returns the request, and whether it is new.
   * @throws AppError not_found, member_already, banned, group_archived, group_open, rate_limited (rejected recently)
   */
  create(
    caller: Caller,
    groupId: string,
    note: string,
  ): Promise<{ joinRequest: OwnJoinRequest; created: boolean }> {
    return this.deps.writes.inGroup(caller, 'group.request_to_join', groupId, {}, async ({ group }) => {
      const { joinRequests } = this.deps.collections;
      const own = { groupId: group._id, userId: caller.userId };
      const before = await joinRequests.findOne(own);
      if (before && !before.rejectedAt) {
        return { joinRequest: toOwnJoinRequest(before, group), created: false };
      }
      if (before?.rejectedAt) refuseEarlyRepeat(before.rejectedAt);
      const user = await this.deps.users.lockUndeleted(caller.userId.toHexString());
      const request: JoinRequestDocument = {
        _id: new ObjectId(),
        ...own,
        note,
        createdAt: new Date(),
        rejectedAt: null,
      };
      if (before) await joinRequests.deleteOne({ _id: before._id });
      // An upsert by the key: of two concurrent requests, one conflicts and runs again.
      const { _id, createdAt, rejectedAt } = request;
      await joinRequests.updateOne(
        own,
        { $setOnInsert: { _id, note, createdAt, rejectedAt } },
        { upsert: true },
      );
      const admins = await this.deps.access.usersWithRole(group._id, 'admin');
      const notices = await this.deps.notifications.store(admins, {
        kind: 'join_request.received',
        actorId: caller.userId,
        groupId: group._id,
        text: note,
      });
      // Admins who are not notified find the request in the list.
      const adminIds = notices.map(({ userId }) => userId);
      const person = toPersonRecord(user);
      await this.deps.bus.publish({ type: 'join_request.created', request, person, adminIds });
      await this.deps.notifications.publishAll(notices);
      return { joinRequest: toOwnJoinRequest(request, group), created: true };
    });
  }

  /** Withdraws the caller's request. @throws AppError not_found when none is pending */
  withdraw({ userId }: Caller, groupId: string): Promise<void> {
    return this.deps.transactions.run(async () => {
      const own = { groupId: new ObjectId(groupId), userId, rejectedAt: null };
      const request = await this.deps.collections.joinRequests.findOneAndDelete(own);
      if (!request) throw requestNotFound();
      await this.deps.admissions.publishEnd(request, 'withdrawn');
    });
  }

  /** Lists pending requests, the oldest first; requires the role admin. @throws AppError not_found, … */
  async list(caller: Caller, groupId: string, query: PageQuery): Promise<Page<JoinRequest>> {
    const { group } = await this.deps.access.group(caller, 'join_request.list', groupId);
    const which = { groupId: group._id, rejectedAt: null };
    return pageOfUsers(this.deps.users, this.deps.collections.joinRequests, which, query, toJoinRequest);
  }

  /** Lists the caller's requests, the newest first: pending ones, and those that were rejected recently. */
  async listMine({ userId }: Caller, query: PageQuery): Promise<Page<OwnJoinRequest>> {
    const rows = await this.deps.collections.joinRequests
      .find({ userId, ...(query.cursor && { _id: { $lt: new ObjectId(query.cursor) } }) })
      .sort({ _id: -1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    if (page.items.length === 0) return { items: [], nextCursor: null };
    const groups = await this.deps.collections.groups
      .find({ _id: { $in: page.items.map(({ groupId }) => groupId) }, visibility: 'public' })
      .toArray();
    const byId = new Map(groups.map((group) => [group._id.toHexString(), group]));
    const items = page.items.flatMap((request) => {
      const group = byId.get(request.groupId.toHexString());
      return group ? [toOwnJoinRequest(request, group)] : [];
    });
    return { items, nextCursor: page.nextCursor };
  }

  /**
   * Approves a request; requires the role admin. A user who has become a member meanwhile keeps their role.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, banned
   */
  approve(caller: Caller, groupId: string, userId: string): Promise<Member> {
    const subjectId = new ObjectId(userId);
    return this.deps.writes.inGroup(
      caller,
      'join_request.approve',
      groupId,
      { subjectId },
      async ({ group }) => {
        const own = { groupId: group._id, userId: subjectId };
        const request = await this.deps.collections.joinRequests.findOne({ ...own, rejectedAt: null });
        if (request) {
          const user = await this.deps.users.requireUndeleted(userId);
          await this.deps.memberships.add(group._id, user, 'member', 'approved');
          await this.publishDecision(caller, request, 'join_request.approved', group.name);
        }
        const membership = await this.deps.collections.memberships.findOne(own);
        if (!membership) throw requestNotFound();
        return toMember(membership, await this.deps.users.requireUser(userId));
      },
    );
  }

  /**
   * Rejects a request; requires the role admin. The user may ask again after a day.
   * @throws AppError not_found, not_a_member, forbidden
   */
  reject(caller: Caller, groupId: string, userId: string, reason: string): Promise<void> {
    return this.deps.writes.inGroup(caller, 'join_request.reject', groupId, {}, async ({ group }) => {
      const request = await this.deps.collections.joinRequests.findOneAndUpdate(
        { groupId: group._id, userId: new ObjectId(userId), rejectedAt: null },
        { $set: { rejectedAt: new Date() } },
        { returnDocument: 'before' },
      );
      if (!request) throw requestNotFound();
      await this.deps.admissions.publishEnd(request, 'rejected');
      await this.publishDecision(caller, request, 'join_request.rejected', reason);
    });
  }

  /** Notifies the user of the decision, and records it in the audit log. */
  private async publishDecision(
    { userId: actorId, address }: Caller,
    { groupId, userId }: JoinRequestDocument,
    decision: 'join_request.approved' | 'join_request.rejected',
    text: string,
  ): Promise<void> {
    await this.deps.notifications.notify([userId], { kind: decision, actorId, groupId, text });
    const details = { userId: userId.toHexString() };
    await this.deps.audit.record({ action: decision, actorId, targetId: groupId, address, details });
  }
}

function refuseEarlyRepeat(rejectedAt: Date): void {
  const wait = rejectedAt.getTime() + REPEAT_INTERVAL_MS - Date.now();
  if (wait <= 0) return;
  const message = 'Your last request was rejected recently. You can ask again a day after that.';
  throw new AppError('rate_limited', message, undefined, wait / 1000);
}

function requestNotFound(): AppError {
  return new AppError('not_found', 'There is no such request.');
}
