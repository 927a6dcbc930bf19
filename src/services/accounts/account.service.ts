import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { Caller, Origin } from '../../models/identity/session.model';
import type { Proof, UserDocument } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import { searchKey } from '../../utils/name-keys';
import type { Attachments } from '../files/attachments';
import type { AuditService } from '../audit/audit.service';
import type { AvatarService } from '../files/avatar.service';
import type { ChannelMembers } from '../channels/channel-members';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { CredentialService } from '../identity/credential.service';
import type { EventBus } from '../kernel/event-bus';
import type { AuditActor, GroupLifecycle } from '../groups/group-lifecycle';
import type { Memberships } from '../groups/memberships';
import type { PendingAdmissions } from '../groups/pending-admissions';
import type { SessionService } from '../identity/session.service';
import type { SuperAdmins } from '../users/super-admins';

/** The display name of deleted accounts. */
const DELETED_USER = 'Deleted user';

/** The dependencies of AccountService. */
export interface AccountServiceDeps {
  collections: Collections;
  transactions: Transactions;
  bus: EventBus;
  queue: KeyedQueue;
  channelMembers: ChannelMembers;
  sessions: SessionService;
  credentials: CredentialService;
  superAdmins: SuperAdmins;
  audit: AuditService;
  avatars: AvatarService;
  attachments: Attachments;
  memberships: Memberships;
  admissions: PendingAdmissions;
  groupLifecycle: GroupLifecycle;
}

/** Deactivates and deletes accounts. */
export class AccountService {
  constructor(private readonly deps: AccountServiceDeps) {}

  /** Deactivates the account until its owner logs in again. @throws AppError password_wrong, last_super_admin */
  async deactivate(caller: Caller, proof: Proof, origin: Origin): Promise<void> {
    const user = await this.deps.credentials.prove(caller, proof, origin);
    await this.deps.transactions.run(async () => {
      await this.deps.superAdmins.refuseLast(user._id);
      await this.deps.collections.users.updateOne(
        { _id: user._id, state: 'active' },
        { $set: { state: 'deactivated', updatedAt: new Date() } },
      );
      await this.deps.bus.publish({ type: 'user.changed', userId: user._id });
      await this.deps.sessions.revokeAll(user._id, 'account_deactivated');
    });
  }

  /**
   * Deletes the account: personal data is erased, memberships end, messages stay under "Deleted user".
   * @throws AppError password_wrong, totp_required, last_super_admin, last_owner (with the groups as details)
   */
  async delete(caller: Caller, proof: Proof, origin: Origin): Promise<void> {
    await this.deleteUser(await this.deps.credentials.prove(caller, proof, origin), caller.userId, origin);
  }

  /**
   * Deletes an account on behalf of an actor. It does not check that the actor may.
   * @param details the details of the entry in the audit log.
   * @throws AppError last_super_admin, last_owner (with the groups as details), session_revoked if it no longer exists
   */
  async deleteUser(
    user: UserDocument,
    actorId: ObjectId,
    origin: Pick<Origin, 'address'>,
    details: Record<string, string> = {},
  ): Promise<void> {
    await this.deps.transactions.run(async () => {
      // All keys before the first write, as Memberships and ChannelMembers require.
      await this.acquireGroupsAndChannels(user._id);
      await this.deps.superAdmins.refuseLast(user._id);
      await this.leaveGroups(user._id, { userId: actorId, address: origin.address });
      await this.erase(user);
      await this.deps.audit.record({
        action: 'user.deleted',
        actorId,
        targetId: user._id,
        address: origin.address,
        details,
      });
      await this.deps.bus.publish({ type: 'user.changed', userId: user._id });
      await this.deps.sessions.revokeAll(user._id, 'account_deleted');
      await this.deleteSessions(user._id);
      // The transaction does not see documents that were written while it ran: sessions that began meanwhile (revoked by
      // now) and other data about the user are deleted as well.
      await this.deps.transactions.afterCommit(() => this.deleteSessions(user._id));
      await this.deps.transactions.afterCommit(() => this.deletePersonalData(user._id));
    });
  }

  private async deleteSessions(userId: ObjectId): Promise<void> {
    await this.deps.collections.sessions.deleteMany({ userId });
  }

  /** Acquires the keys of all groups and private channels of a user, and of all channels of groups without other members. */
  private async acquireGroupsAndChannels(userId: ObjectId): Promise<void> {
    const { groups, memberships, channels, channelMembers } = this.deps.collections;
    const ownMemberships = await memberships.find({ userId }, { projection: { groupId: 1 } }).toArray();
    const groupIds = ownMemberships.map(({ groupId }) => groupId);
    await this.deps.queue.acquire(groupIds);
    const idOnly = { projection: { _id: 1 } } as const;
    const groupsWithoutOthers = await groups
      .find({ _id: { $in: groupIds }, memberCount: 1 }, idOnly)
      .toArray();
    const groupId = { $in: groupsWithoutOthers.map(({ _id }) => _id) };
    const channelsToDelete = await channels.find({ groupId }, idOnly).toArray();
    const inChannels = await channelMembers.find({ userId }).toArray();
    await this.deps.queue.acquire([
      ...channelsToDelete.map(({ _id }) => _id),
      ...inChannels.map(({ channelId }) => channelId),
    ]);
  }

  /** Ends all memberships, and deletes groups without other members. @throws AppError last_owner */
  private async leaveGroups(userId: ObjectId, by: AuditActor): Promise<void> {
    const { memberships } = this.deps.collections;
    const ownMemberships = await memberships.find({ userId }).toArray();
    const groupsWithoutOthers: ObjectId[] = [];
    const groupsInNeedOfOwner: string[] = [];
    for (const { groupId, role } of ownMemberships) {
      const other = await memberships.findOne({ groupId, userId: { $ne: userId } });
      if (!other) groupsWithoutOthers.push(groupId);
      if (!other || role !== 'owner') continue;
      const owner = await memberships.findOne({ groupId, role: 'owner', userId: { $ne: userId } });
      if (!owner) groupsInNeedOfOwner.push(groupId.toHexString());
    }
    if (groupsInNeedOfOwner.length > 0) {
      throw new AppError('last_owner', 'Other members need an owner: transfer these groups first.', {
        groupIds: groupsInNeedOfOwner,
      });
    }
    await this.deps.channelMembers.removeFromAll(userId);
    for (const groupId of groupsWithoutOthers) await this.deps.groupLifecycle.remove(groupId, by);
    for (const { groupId } of ownMemberships) await this.deps.memberships.remove(groupId, userId, 'left');
    await this.deps.admissions.endForUser(userId);
    await this.deps.collections.groupBans.deleteMany({ userId });
    await this.deps.collections.channelRestrictions.deleteMany({ userId });
  }

  private async erase(user: UserDocument): Promise<void> {
    const before = await this.deps.collections.users.findOneAndUpdate(
      { _id: user._id, state: { $ne: 'deleted' } },
      {
        $set: {
          username: `deleted-${user._id.toHexString()}`,
          displayName: DELETED_USER,
          displaySearch: searchKey(DELETED_USER),
          bio: '',
          statusText: '',
          timeZone: 'UTC',
          role: 'client',
          state: 'deleted',
          suspension: null,
          totp: null,
          emailVerifiedAt: null,
          updatedAt: new Date(),
        },
        $unset: {
          searchName: true,
          nameLookalikes: true,
          displayKey: true,
          displayLookalikes: true,
          email: true,
          emailKey: true,
          pendingEmail: true,
          emailChange: true,
          passwordHash: true,
          avatarId: true,
          lastSeenAt: true,
          ban: true,
        },
      },
    );
    // A concurrent request has deleted it.
    if (!before) throw new AppError('session_revoked', 'The account no longer exists.');
    await this.deletePersonalData(user._id);
    await this.deps.attachments.discardUnsent(user._id);
    await this.deps.avatars.discard(before.avatarId);
  }

  /** Deletes the documents that concern the user alone. */
  private async deletePersonalData(userId: ObjectId): Promise<void> {
    const {
      oneTimeTokens,
      blocks,
      notifications,
      channelReads,
      bookmarks,
      channelSettings,
      threadFollows,
      preferences,
      scheduledMessages,
      drafts,
    } = this.deps.collections;
    await blocks.deleteMany({ blockedId: userId });
    await preferences.deleteOne({ _id: userId });
    const own = [
      oneTimeTokens,
      blocks,
      notifications,
      channelReads,
      bookmarks,
      channelSettings,
      threadFollows,
      scheduledMessages,
      drafts,
    ];
    for (const collection of own) await (collection as typeof drafts).deleteMany({ userId });
  }
}
