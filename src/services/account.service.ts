import type { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import { toDraft } from '../models/draft.model';
import { toGroup } from '../models/group.model';
import { toMessage } from '../models/message.model';
import { toNotification } from '../models/notification.model';
import { toPreferences } from '../models/preferences.model';
import { toScheduledMessage } from '../models/scheduled-message.model';
import { toSession, type Caller, type Origin } from '../models/session.model';
import { toPublicUser, toUser, type Proof, type UserDocument } from '../models/user.model';
import { AppError } from '../utils/errors';
import type { AuditService } from './audit.service';
import type { AvatarService } from './avatar.service';
import type { ChannelMembers } from './channel-members';
import { takeTurns, type Lines } from './channel-queue';
import type { CredentialService } from './credential.service';
import type { EventBus } from './event-bus';
import type { By, GroupLifecycle } from './group-lifecycle';
import type { Memberships } from './memberships';
import type { PendingAdmissions } from './pending-admissions';
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
    private readonly queue: Lines,
    private readonly channelMembers: ChannelMembers,
    private readonly sessions: SessionService,
    private readonly credentials: CredentialService,
    private readonly superAdmins: SuperAdmins,
    private readonly audit: AuditService,
    private readonly avatars: AvatarService,
    private readonly memberships: Memberships,
    private readonly admissions: PendingAdmissions,
    private readonly groupLifecycle: GroupLifecycle,
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
      await this.bus.publish({ type: 'user.changed', userId: user._id });
      await this.sessions.revokeAll(user._id, 'account_deactivated');
    });
  }

  /**
   * Deletes the account: personal data is erased, memberships end, messages stay under "Deleted user".
   * @throws AppError password_wrong, totp_required, last_super_admin, last_owner (with the groups as details)
   */
  async delete(caller: Caller, proof: Proof, origin: Origin): Promise<void> {
    await this.end(await this.credentials.prove(caller, proof, origin), caller.userId, origin);
  }

  /**
   * Deletes an account for somebody who may: it does not ask who does.
   * @param details what the audit log says of it.
   * @throws AppError last_super_admin, last_owner (with the groups as details), session_revoked when it is gone
   */
  async end(
    user: UserDocument,
    actorId: ObjectId,
    origin: Pick<Origin, 'address'>,
    details: Record<string, string> = {},
  ): Promise<void> {
    await this.transactions.run(async () => {
      await this.superAdmins.refuseLast(user._id);
      await this.leaveGroups(user._id, { userId: actorId, address: origin.address });
      await this.erase(user);
      await this.audit.record({
        action: 'user.deleted',
        actorId,
        targetId: user._id,
        address: origin.address,
        details,
      });
    });
    await this.bus.publish({ type: 'user.changed', userId: user._id });
    await this.sessions.revokeAll(user._id, 'account_deleted');
    await this.collections.sessions.deleteMany({ userId: user._id });
  }

  /** Everything that is stored about the caller, as an async sequence of one fact each. */
  async *export(caller: Caller): AsyncGenerator<{ kind: string; data: unknown }> {
    const { userId } = caller;
    const user = await this.collections.users.findOne({ _id: userId });
    if (!user) return;
    yield { kind: 'user', data: toUser(user) };
    if (user.lastSeenAt) yield { kind: 'last_seen', data: { lastSeenAt: user.lastSeenAt.toISOString() } };
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
    for await (const scheduled of this.collections.scheduledMessages.find({ userId })) {
      yield { kind: 'scheduled_message', data: toScheduledMessage(scheduled) };
    }
    for await (const draft of this.collections.drafts.find({ userId })) {
      yield { kind: 'draft', data: toDraft(draft) };
    }
    yield {
      kind: 'preferences',
      data: toPreferences(await this.collections.preferences.findOne({ _id: userId })),
    };
    for await (const notification of this.collections.notifications.find({ userId })) {
      yield { kind: 'notification', data: toNotification(notification) };
    }
    for await (const { channelId, seq } of this.collections.channelReads.find({ userId })) {
      yield { kind: 'read_marker', data: { channelId: channelId.toHexString(), readSeq: seq } };
    }
    const messages = this.collections.messages.find({ senderId: userId }).batchSize(EXPORT_PAGE);
    for await (const message of messages) yield { kind: 'message', data: toMessage(message) };
  }

  /** Ends all memberships; groups in which nobody is left go with them. @throws AppError last_owner */
  private async leaveGroups(userId: ObjectId, by: By): Promise<void> {
    const { memberships, channels, channelMembers } = this.collections;
    const own = await memberships.find({ userId }).toArray();
    const alone: ObjectId[] = [];
    const orphaned: string[] = [];
    for (const { groupId, role } of own) {
      const others = await memberships.findOne({ groupId, userId: { $ne: userId } });
      if (!others) alone.push(groupId);
      if (!others || role !== 'owner') continue;
      const owner = await memberships.findOne({ groupId, role: 'owner', userId: { $ne: userId } });
      if (!owner) orphaned.push(groupId.toHexString());
    }
    if (orphaned.length > 0) {
      throw new AppError('last_owner', 'Other members need an owner: hand these groups over first.', {
        groupIds: orphaned,
      });
    }
    // All turns before the first write, as Memberships and ChannelMembers ask.
    await takeTurns(
      this.queue,
      own.map(({ groupId }) => groupId),
    );
    const idOnly = { projection: { _id: 1 } } as const;
    const doomed = await channels.find({ groupId: { $in: alone } }, idOnly).toArray();
    const inChannels = await channelMembers.find({ userId }).toArray();
    await takeTurns(this.queue, [
      ...doomed.map(({ _id }) => _id),
      ...inChannels.map(({ channelId }) => channelId),
    ]);
    await this.channelMembers.leaveAll(userId);
    for (const groupId of alone) await this.groupLifecycle.remove(groupId, by);
    for (const { groupId } of own) await this.memberships.remove(groupId, userId, 'left');
    await this.admissions.endUser(userId);
    await this.collections.groupBans.deleteMany({ userId });
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
        $unset: {
          searchName: true,
          email: true,
          pendingEmail: true,
          passwordHash: true,
          avatarId: true,
          lastSeenAt: true,
          ban: true,
        },
      },
    );
    // Asked twice at once, it is done once.
    if (!before) throw new AppError('session_revoked', 'The account no longer exists.');
    await this.collections.oneTimeTokens.deleteMany({ userId: user._id });
    await this.collections.blocks.deleteMany({ userId: user._id });
    await this.collections.blocks.deleteMany({ blockedId: user._id });
    await this.collections.notifications.deleteMany({ userId: user._id });
    await this.collections.channelReads.deleteMany({ userId: user._id });
    await this.collections.bookmarks.deleteMany({ userId: user._id });
    await this.collections.channelSettings.deleteMany({ userId: user._id });
    await this.collections.threadFollows.deleteMany({ userId: user._id });
    await this.collections.preferences.deleteOne({ _id: user._id });
    await this.collections.scheduledMessages.deleteMany({ userId: user._id });
    await this.collections.drafts.deleteMany({ userId: user._id });
    await this.avatars.discard(before.avatarId);
  }
}
