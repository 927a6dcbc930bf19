import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock, type Transactions } from '../../db/transaction';
import type { RemovalReason, GroupRole, MembershipDocument } from '../../models/group.model';
import type { RequestOutcome } from '../../models/groups/join-request.model';
import { toPersonRecord, type UserDocument } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import { hasRank } from '../access/access-rules';
import type { ChannelMembers } from '../channels/channel-members';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { EventBus } from '../kernel/event-bus';
import type { PendingAdmissions } from './pending-admissions';
import type { ReadMarkers } from '../reading/read-markers';

/** The dependencies of Memberships. */
export interface MembershipsDeps {
  collections: Collections;
  transactions: Transactions;
  queue: KeyedQueue;
  channelMembers: ChannelMembers;
  markers: ReadMarkers;
  admissions: PendingAdmissions;
  bus: EventBus;
}

/**
 * Adds users to groups and removes them, together with the counters, private channels and events. It does not check
 * access: its callers do.
 *
 * The group's document counts its members, so concurrent changes conflict. They are serialised by the queue of the group,
 * so that each runs again once at most. A transaction acquires the keys of groups before those of channels.
 */
export class Memberships {
  constructor(private readonly deps: MembershipsDeps) {}

  /**
   * Adds a user; an existing member keeps their role. Call it before anything is written.
   * @param outcome the outcome of the user's request to join, if there is one.
   * @returns whether the user is new.
   * @throws AppError not_found when the group or the account has just been deleted
   */
  add(
    groupId: ObjectId,
    user: UserDocument,
    role: GroupRole,
    outcome: RequestOutcome = 'lapsed',
  ): Promise<boolean> {
    return this.deps.transactions.run(async () => {
      await this.deps.queue.acquire([groupId]);
      // Channel memberships that a crash or an older version has left must not become effective again.
      if (!(await this.deps.collections.memberships.findOne({ groupId, userId: user._id }))) {
        await this.deps.channelMembers.removeFromAll(user._id, groupId);
      }
      const living = await lock(this.deps.collections.users, { _id: user._id });
      if (!living || living.state === 'deleted') throw new AppError('not_found', 'There is no such user.');
      const membership: MembershipDocument = {
        _id: new ObjectId(),
        groupId,
        userId: user._id,
        role,
        joinedAt: new Date(),
      };
      const { upsertedCount } = await this.deps.collections.memberships.updateOne(
        { groupId, userId: user._id },
        // Members are listed by id, and an id made by the database would not be in order with those made here.
        { $setOnInsert: { _id: membership._id, role, joinedAt: membership.joinedAt } },
        { upsert: true },
      );
      if (upsertedCount === 0) return false;
      const group = await this.deps.collections.groups.findOneAndUpdate(
        { _id: groupId },
        { $inc: { memberCount: 1 } },
        { returnDocument: 'after' },
      );
      if (!group) throw new AppError('not_found', 'There is no such group.');
      await this.deps.admissions.settle(groupId, user._id, outcome);
      await this.deps.markers.startAtEndInGroup(groupId, user._id);
      const person = toPersonRecord(user);
      await this.deps.bus.publish({ type: 'member.added', group, membership, person });
      return true;
    });
  }

  /**
   * Removes a user from a group and its private channels. After the commit they receive no more events of it. Call it before
   * anything is written.
   * @returns false if the user was not a member.
   * @throws AppError last_owner
   */
  remove(groupId: ObjectId, userId: ObjectId, reason: RemovalReason): Promise<boolean> {
    return this.deps.transactions.run(async () => {
      const { memberships, groups } = this.deps.collections;
      await this.deps.queue.acquire([groupId]);
      const membership = await memberships.findOne({ groupId, userId });
      if (!membership) return false;
      await this.deps.channelMembers.removeFromAll(userId, groupId);
      if (membership.role === 'owner') await this.refuseLastOwner(groupId, userId);
      // If the two owners of a group leave at the same time, both write this document and one of them runs again.
      await groups.updateOne({ _id: groupId }, { $inc: { memberCount: -1 } });
      await memberships.deleteOne({ _id: membership._id });
      await this.deps.admissions.endInvitesBy(groupId, userId);
      await this.deps.bus.publish({ type: 'member.removed', groupId, userId, reason });
      return true;
    });
  }

  /** Changes the role of a member. @throws AppError not_found, last_owner */
  changeRole(groupId: ObjectId, user: UserDocument, role: GroupRole): Promise<MembershipDocument> {
    return this.deps.transactions.run(async () => {
      const { memberships, groups } = this.deps.collections;
      const before = await memberships.findOne({ groupId, userId: user._id });
      if (!before) throw notAMember();
      if (before.role === role) return before;
      if (before.role === 'owner') {
        await this.refuseLastOwner(groupId, user._id);
        // As in `remove`.
        await lock(groups, { _id: groupId });
      }
      const membership = await memberships.findOneAndUpdate(
        { _id: before._id },
        { $set: { role } },
        { returnDocument: 'after' },
      );
      if (!membership) throw notAMember();
      if (!hasRank(role, 'admin')) await this.deps.admissions.endInvitesBy(groupId, user._id);
      const person = toPersonRecord(user);
      await this.deps.bus.publish({ type: 'member.role_changed', membership, person });
      return membership;
    });
  }

  /**
   * Makes a user an owner, whatever they were before, and the owners who step down admins.
   * @returns the membership of the new owner.
   * @throws AppError not_found when the group has just been deleted
   */
  handOver(
    groupId: ObjectId,
    user: UserDocument,
    stepsDown: (owner: ObjectId) => boolean,
  ): Promise<MembershipDocument> {
    return this.deps.transactions.run(async () => {
      const { memberships, users } = this.deps.collections;
      await this.add(groupId, user, 'owner');
      const owner = await this.changeRole(groupId, user, 'owner');
      const owners = await memberships.find({ groupId, role: 'owner' }).toArray();
      for (const { userId } of owners) {
        if (userId.equals(user._id) || !stepsDown(userId)) continue;
        const before = await users.findOne({ _id: userId });
        if (before) await this.changeRole(groupId, before, 'admin');
      }
      return owner;
    });
  }

  private async refuseLastOwner(groupId: ObjectId, userId: ObjectId): Promise<void> {
    const other = await this.deps.collections.memberships.findOne({
      groupId,
      role: 'owner',
      userId: { $ne: userId },
    });
    if (!other) throw new AppError('last_owner', 'The group needs another owner first.');
  }
}

export function notAMember(): AppError {
  return new AppError('not_found', 'The user is not a member of the group.');
}
