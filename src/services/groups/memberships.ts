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

/** What Memberships works with. */
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
 * The one place that puts people into groups and takes them out: counters, private channels and what open
 * clients hear go with it. It does not ask who may.
 *
 * Who comes and goes is counted in the group's document, so two at once collide and one has to begin anew. A group
 * has a line of its own, as channels have: of many at once each has to begin anew once at most. A transaction takes
 * its turns at groups before those at channels.
 */
export class Memberships {
  constructor(private readonly deps: MembershipsDeps) {}

  /**
   * Takes a user in; who is a member already stays what they are. To be called before anything is written.
   * @param outcome of a request to join that they have made.
   * @returns whether they are new.
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
      // What a crash or an older version has left of an earlier stay does not come back to life.
      if (!(await this.deps.collections.memberships.findOne({ groupId, userId: user._id }))) {
        await this.deps.channelMembers.leaveAll(user._id, groupId);
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
        // An id made by the database would not follow those made here, and members are listed by id.
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
   * Takes a user out of a group and its private channels. Once it is committed, they hear nothing more of it. To be
   * called before anything is written.
   * @returns false if they were no member any more.
   * @throws AppError last_owner
   */
  remove(groupId: ObjectId, userId: ObjectId, reason: RemovalReason): Promise<boolean> {
    return this.deps.transactions.run(async () => {
      const { memberships, groups } = this.deps.collections;
      await this.deps.queue.acquire([groupId]);
      const membership = await memberships.findOne({ groupId, userId });
      if (!membership) return false;
      await this.deps.channelMembers.leaveAll(userId, groupId);
      if (membership.role === 'owner') await this.refuseLastOwner(groupId, userId);
      // Both owners of a group who leave at once write this document: one of them has to look again.
      await groups.updateOne({ _id: groupId }, { $inc: { memberCount: -1 } });
      await memberships.deleteOne({ _id: membership._id });
      await this.deps.admissions.endInvitesBy(groupId, userId);
      await this.deps.bus.publish({ type: 'member.removed', groupId, userId, reason });
      return true;
    });
  }

  /** Gives a member another role. @throws AppError not_found, last_owner */
  changeRole(groupId: ObjectId, user: UserDocument, role: GroupRole): Promise<MembershipDocument> {
    return this.deps.transactions.run(async () => {
      const { memberships, groups } = this.deps.collections;
      const before = await memberships.findOne({ groupId, userId: user._id });
      if (!before) throw notAMember();
      if (before.role === role) return before;
      if (before.role === 'owner') {
        await this.refuseLastOwner(groupId, user._id);
        // As when two owners leave at once.
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
   * Makes a user the owner, whatever they were before, and the owners who step down admins.
   * @returns what they are now.
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
