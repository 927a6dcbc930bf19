import type { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import { toGroup } from '../models/group.model';
import { toMessage } from '../models/message.model';
import { toSession, type Caller, type Origin } from '../models/session.model';
import { toPublicUser, toUser, type Proof, type UserDocument } from '../models/user.model';
import { AppError } from '../utils/errors';
import type { AuditService } from './audit.service';
import type { AvatarService } from './avatar.service';
import type { ChannelMembers } from './channel-members';
import type { CredentialService } from './credential.service';
import type { EventBus } from './event-bus';
import type { SessionService } from './session.service';
import type { SuperAdmins } from './super-admins';

/** Messages of an export that are read at a time. */
const EXPORT_PAGE = 1000;

/** The end of an account, and what its owner may take along. */
export class AccountService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly bus: EventBus,
    private readonly channelMembers: ChannelMembers,
    private readonly sessions: SessionService,
    private readonly credentials: CredentialService,
    private readonly superAdmins: SuperAdmins,
    private readonly audit: AuditService,
    private readonly avatars: AvatarService,
  ) {}

  /** Puts the account to rest until its owner logs in again. @throws AppError password_wrong, last_super_admin */
  async deactivate(caller: Caller, proof: Proof, origin: Origin): Promise<void> {
    const user = await this.credentials.prove(caller, proof, origin);
    await this.transactions.run(async () => {
      await this.superAdmins.refuseLast(user._id);
      await this.collections.users.updateOne(
        { _id: user._id, state: 'active' },
        { $set: { state: 'deactivated', updatedAt: new Date() } },
      );
    });
    await this.bus.publish({ type: 'user.changed', userId: user._id, role: user.role });
    await this.sessions.revokeAll(user._id, 'account_deactivated');
  }

  /**
   * Deletes the account: personal data is erased, memberships end, messages stay under "Deleted user".
   * @throws AppError password_wrong, totp_required, last_super_admin, last_owner (with the groups as details)
   */
  async delete(caller: Caller, proof: Proof, origin: Origin): Promise<void> {
    const user = await this.credentials.prove(caller, proof, origin);
    const left = await this.transactions.run(async () => {
      await this.superAdmins.refuseLast(user._id);
      const groupIds = await this.leaveGroups(user._id);
      await this.erase(user);
      await this.audit.record({
        action: 'user.deleted',
        actorId: user._id,
        targetId: user._id,
        address: origin.address,
      });
      return groupIds;
    });
    await this.bus.publish({ type: 'user.changed', userId: user._id, role: 'client' });
    await this.sessions.revokeAll(user._id, 'account_deleted');
    for (const groupId of left) await this.bus.publish({ type: 'member.removed', groupId, userId: user._id });
    await this.collections.sessions.deleteMany({ userId: user._id });
  }

  /** Everything that is stored about the caller, as an async sequence of one fact each. */
  async *export(caller: Caller): AsyncGenerator<{ kind: string; data: unknown }> {
    const { userId } = caller;
    const user = await this.collections.users.findOne({ _id: userId });
    if (!user) return;
    yield { kind: 'user', data: toUser(user) };
    for await (const session of this.collections.sessions.find({ userId })) {
      yield { kind: 'session', data: toSession(session, caller) };
    }
    for await (const { groupId, role, joinedAt } of this.collections.memberships.find({ userId })) {
      const group = await this.collections.groups.findOne({ _id: groupId });
      if (group)
        yield { kind: 'membership', data: { group: toGroup(group, role), joinedAt: joinedAt.toISOString() } };
    }
    for await (const { channelId, joinedAt } of this.collections.channelMembers.find({ userId })) {
      const data = { channelId: channelId.toHexString(), joinedAt: joinedAt.toISOString() };
      yield { kind: 'channel_membership', data };
    }
    for await (const { blockedId } of this.collections.blocks.find({ userId })) {
      const blocked = await this.collections.users.findOne({ _id: blockedId });
      if (blocked) yield { kind: 'block', data: toPublicUser(blocked) };
    }
    const messages = this.collections.messages.find({ senderId: userId }).batchSize(EXPORT_PAGE);
    for await (const message of messages) yield { kind: 'message', data: toMessage(message) };
  }

  /** Ends all memberships. @returns the groups. @throws AppError last_owner */
  private async leaveGroups(userId: ObjectId): Promise<ObjectId[]> {
    const { memberships, groups } = this.collections;
    const own = await memberships.find({ userId }).toArray();
    const orphaned: string[] = [];
    for (const { groupId, role } of own) {
      if (role !== 'owner') continue;
      const others = await memberships.findOne({ groupId, userId: { $ne: userId } });
      const owner = await memberships.findOne({ groupId, role: 'owner', userId: { $ne: userId } });
      if (others && !owner) orphaned.push(groupId.toHexString());
    }
    if (orphaned.length > 0) {
      throw new AppError('last_owner', 'Other members need an owner: hand these groups over first.', {
        groupIds: orphaned,
      });
    }
    await this.channelMembers.leaveAll(userId);
    const groupIds = own.map(({ groupId }) => groupId);
    await groups.updateMany({ _id: { $in: groupIds } }, { $inc: { memberCount: -1 } });
    await memberships.deleteMany({ userId });
    return groupIds;
  }

  private async erase(user: UserDocument): Promise<void> {
    const before = await this.collections.users.findOneAndUpdate(
      { _id: user._id, state: { $ne: 'deleted' } },
      {
        $set: {
          username: `deleted-${user._id.toHexString()}`,
          displayName: 'Deleted user',
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
        $unset: { searchName: true, email: true, pendingEmail: true, passwordHash: true, avatarId: true },
      },
    );
    // Asked twice at once, it is done once.
    if (!before) throw new AppError('session_revoked', 'The account no longer exists.');
    await this.collections.oneTimeTokens.deleteMany({ userId: user._id });
    await this.collections.blocks.deleteMany({ userId: user._id });
    await this.collections.blocks.deleteMany({ blockedId: user._id });
    await this.collections.notifications.deleteMany({ userId: user._id });
    await this.collections.preferences.deleteOne({ _id: user._id });
    await this.avatars.discard(before.avatarId);
  }
}
