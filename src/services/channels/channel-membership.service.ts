import { ObjectId } from 'mongodb';
import { toChannelMember, type ChannelMember } from '../../models/channels/channel-member.model';
import { ownerOf, type Channel, type ChannelDocument } from '../../models/channel.model';
import type { PageQuery } from '../../models/kernel/common.model';
import type { Caller } from '../../models/identity/session.model';
import type { Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { ChannelChanges } from './channel-changes';
import type { ChannelCounts } from './channel-counts';
import type { ChannelMembers } from './channel-members';
import type { ChannelPurger } from './channel-purger';
import type { GuardedWrites } from '../access/guarded-writes';
import type { NotificationService } from '../notifications/notification.service';
import { pageOfUsers } from '../users/user-pages';
import type { UserService } from '../user.service';

/** The dependencies of ChannelMembershipService. */
export interface ChannelMembershipServiceDeps {
  access: Access;
  writes: GuardedWrites;
  members: ChannelMembers;
  changes: ChannelChanges;
  counts: ChannelCounts;
  users: UserService;
  purger: ChannelPurger;
  notifications: NotificationService;
  audit: AuditService;
}

/** Lists and changes the members of channels and direct conversations, and the owners of channels. */
export class ChannelMembershipService {
  constructor(private readonly deps: ChannelMembershipServiceDeps) {}

  /**
   * Lists the members of a channel, in the order in which they joined. The members of a public channel are the members
   * of its group who are not banned from the channel.
   * @throws AppError not_found
   */
  async list(caller: Caller, channelId: string, query: PageQuery): Promise<Page<ChannelMember>> {
    const { channel } = await this.deps.access.channel(caller, 'channel.read', channelId);
    const { access, users } = this.deps;
    const { collection, filter } = access.memberListOf(channel);
    return pageOfUsers(users, collection, filter, query, toChannelMember, (rows) =>
      access.keepMembers(channel, rows),
    );
  }

  /**
   * Adds a member of the group to a private channel. Does nothing if they are already in it.
   * @throws AppError not_found, forbidden, direct_channel, bad_request (the channel is public, the user not in the
   * group or banned from the channel)
   */
  async add(caller: Caller, channelId: string, userId: string): Promise<void> {
    const subjectId = new ObjectId(userId);
    const action = 'channel.manage_members';
    await this.deps.writes.inChannel(caller, action, channelId, { subjectId }, async ({ channel }) => {
      if (channel.visibility === 'public') throw publicChannelHasNoMembers();
      await this.requireEligible(channel, subjectId);
      const added = await this.deps.members.add(channel, [subjectId]);
      await this.notify(caller, channel, added, 'channel.added');
      if (added.length > 0) await this.record('channel.member_added', caller, channel, { userId });
    });
  }

  /**
   * Transfers a channel to a member of the group, who is added to it if it is private. The new owner gets the rights of
   * the owner, and the previous owner loses them.
   * @throws AppError not_found, forbidden, direct_channel, group_archived, bad_request (the user is not in the group
   * or banned from the channel)
   */
  async transfer(caller: Caller, channelId: string, userId: string): Promise<Channel> {
    const newOwnerId = new ObjectId(userId);
    return this.deps.writes.inChannel(
      caller,
      'channel.transfer',
      channelId,
      { subjectId: newOwnerId },
      async ({ channel }) => {
        await this.requireEligible(channel, newOwnerId);
        if (channel.visibility === 'private') await this.deps.members.add(channel, [newOwnerId]);
        const from = ownerOf(channel);
        if (from?.equals(newOwnerId)) return this.deps.counts.show(channel);
        const after = await this.deps.changes.update(channel._id, { ownerId: newOwnerId });
        const details = { from: from?.toHexString() ?? null, to: userId };
        await this.record('channel.transferred', caller, after, details);
        await this.notify(caller, after, [newOwnerId], 'channel.transferred');
        return this.deps.counts.show(after);
      },
    );
  }

  /**
   * Removes a user from a private channel. Members may remove themselves, also from direct conversations of several
   * people. When this resolves, no device of the user receives events of the channel any more.
   * @throws AppError not_found, forbidden, direct_channel
   */
  async remove(caller: Caller, channelId: string, userId: string): Promise<void> {
    const target = new ObjectId(userId);
    const self = target.equals(caller.userId);
    const action = self ? 'channel.leave' : 'channel.manage_members';
    const kind = await this.deps.writes.inChannel(caller, action, channelId, {}, async ({ channel }) => {
      // For a banned user the channel does not exist, so they are not notified.
      const { banned } = await this.deps.access.membershipStatusOf(channel, target);
      const reason = banned ? undefined : self ? 'left' : 'removed';
      if (!(await this.deps.members.remove(channel, target, reason))) {
        throw new AppError('not_found', 'The user is not a member of the channel.');
      }
      if (!self) await this.record('channel.member_removed', caller, channel, { userId });
      return channel.kind;
    });
    // The conversation is deleted when its last participant leaves.
    if (kind === 'direct') await this.deps.purger.wake();
  }

  /** Notifies users of a change, except the caller. */
  private async notify(
    { userId: actorId }: Caller,
    { _id: channelId, groupId, name: text }: ChannelDocument,
    users: ObjectId[],
    kind: 'channel.added' | 'channel.transferred',
  ): Promise<void> {
    const others = users.filter((userId) => !userId.equals(actorId));
    const where = { channelId, ...(groupId && { groupId }) };
    await this.deps.notifications.notify(others, { kind, actorId, ...where, text });
  }

  private record(
    action: 'channel.member_added' | 'channel.member_removed' | 'channel.transferred',
    { userId: actorId, address }: Caller,
    { _id: targetId }: ChannelDocument,
    details: Record<string, string | null>,
  ): Promise<void> {
    return this.deps.audit.record({ action, actorId, targetId, address, details });
  }

  /** @throws AppError bad_request */
  private async requireEligible(channel: ChannelDocument, userId: ObjectId): Promise<void> {
    const { inGroup, banned } = await this.deps.access.membershipStatusOf(channel, userId);
    if (!inGroup) throw new AppError('bad_request', 'The user is not a member of the group.');
    if (banned) throw new AppError('bad_request', 'The user is banned from the channel.');
  }
}

function publicChannelHasNoMembers(): AppError {
  return new AppError('bad_request', 'A public channel has no members of its own.');
}
