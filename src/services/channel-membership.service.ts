import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import { toChannelMember, type ChannelMember } from '../models/channel-member.model';
import { ownerOf, toChannel, type Channel, type ChannelDocument } from '../models/channel.model';
import type { PageQuery } from '../models/common.model';
import type { Caller } from '../models/session.model';
import type { Page } from '../utils/cursor';
import { AppError } from '../utils/errors';
import { noChannel, type Access } from './access';
import { holds } from './access-facts';
import type { AuditService } from './audit.service';
import type { ChannelChanges } from './channel-changes';
import type { ChannelMembers } from './channel-members';
import type { ChannelPurger } from './channel-purger';
import type { Lines } from './channel-queue';
import type { NotificationService } from './notification.service';
import { pageOfPeople } from './people-pages';
import type { UserService } from './user.service';

/** Who is in the private channels of groups and in direct conversations, and who owns a channel. */
export class ChannelMembershipService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly members: ChannelMembers,
    private readonly changes: ChannelChanges,
    private readonly users: UserService,
    private readonly queue: Lines,
    private readonly purger: ChannelPurger,
    private readonly notifications: NotificationService,
    private readonly audit: AuditService,
  ) {}

  /**
   * Who is in a private channel or a direct conversation, in the order in which they came.
   * @throws AppError not_found, bad_request (a public channel: all members of its group read it)
   */
  async list(caller: Caller, channelId: string, query: PageQuery): Promise<Page<ChannelMember>> {
    const { channel } = await this.access.channel(caller, 'channel.read', channelId);
    if (channel.visibility === 'public') throw noMembersOfItsOwn();
    const which = { channelId: channel._id };
    return pageOfPeople(this.users, this.collections.channelMembers, which, query, toChannelMember);
  }

  /**
   * Takes a member of the group into a private channel; a second time changes nothing.
   * @throws AppError not_found, forbidden, direct_channel, bad_request (the channel is public, the user not in the
   * group or banned from the channel)
   */
  async add(caller: Caller, channelId: string, userId: string): Promise<void> {
    const { channel } = await this.access.channel(caller, 'channel.manage_members', channelId);
    await this.queue.alone(channel._id, () =>
      this.transactions.run(async () => {
        const current = await this.collections.channels.findOne({ _id: channel._id });
        if (!current?.groupId) throw noChannel();
        if (current.visibility === 'public') throw noMembersOfItsOwn();
        const member = new ObjectId(userId);
        await this.requireAdmissible(current, member);
        const added = await this.members.add(current, [member]);
        await this.tell(caller, current, added, 'channel.added');
        if (added.length > 0) await this.record('channel.member_added', caller, current, { userId });
      }),
    );
  }

  /**
   * Hands a channel over to a member of the group, who is taken in where it is private. They may do from then on
   * what its owner may, and whoever owned it no longer may.
   * @throws AppError not_found, forbidden, direct_channel, group_archived, bad_request (the user is not in the group
   * or banned from the channel)
   */
  async transfer(caller: Caller, channelId: string, userId: string): Promise<Channel> {
    const { channel } = await this.access.channel(caller, 'channel.transfer', channelId);
    return this.queue.alone(channel._id, () =>
      this.transactions.run(async () => {
        const current = await this.collections.channels.findOne({ _id: channel._id });
        if (!current) throw noChannel();
        const heir = new ObjectId(userId);
        await this.requireAdmissible(current, heir);
        if (current.visibility === 'private') await this.members.add(current, [heir]);
        const from = ownerOf(current);
        if (from?.equals(heir)) return toChannel(current);
        const after = await this.changes.update(current._id, { ownerId: heir });
        const details = { from: from?.toHexString() ?? null, to: userId };
        await this.record('channel.transferred', caller, after, details);
        await this.tell(caller, after, [heir], 'channel.transferred');
        return toChannel(after);
      }),
    );
  }

  /**
   * Takes a user out of a private channel; members may take themselves out, of small direct conversations too.
   * When this resolves, the user hears nothing more of it on any device.
   * @throws AppError not_found, forbidden, direct_channel
   */
  async remove(caller: Caller, channelId: string, userId: string): Promise<void> {
    const target = new ObjectId(userId);
    const self = target.equals(caller.userId);
    const action = self ? 'channel.leave' : 'channel.manage_members';
    const { channel } = await this.access.channel(caller, action, channelId);
    await this.queue.alone(channel._id, () =>
      this.transactions.run(async () => {
        // To whom is banned the channel does not exist: they are told nothing of it.
        const reason = (await this.isBanned(channel._id, target)) ? undefined : self ? 'left' : 'removed';
        if (!(await this.members.remove(channel, target, reason))) {
          throw new AppError('not_found', 'The user is not a member of the channel.');
        }
        if (!self) await this.record('channel.member_removed', caller, channel, { userId });
      }),
    );
    // The last one who leaves a conversation takes it along.
    if (channel.kind === 'direct') await this.purger.start();
  }

  /** Nobody is told of what they have done themselves. */
  private async tell(
    { userId: actorId }: Caller,
    { _id: channelId, groupId, name: text }: ChannelDocument,
    users: ObjectId[],
    kind: 'channel.added' | 'channel.transferred',
  ): Promise<void> {
    const others = users.filter((userId) => !userId.equals(actorId));
    const place = { channelId, ...(groupId && { groupId }) };
    await this.notifications.notify(others, { kind, actorId, ...place, text });
  }

  private record(
    action: 'channel.member_added' | 'channel.member_removed' | 'channel.transferred',
    { userId: actorId, address }: Caller,
    { _id: targetId }: ChannelDocument,
    details: Record<string, string | null>,
  ): Promise<void> {
    return this.audit.record({ action, actorId, targetId, address, details });
  }

  /** @throws AppError bad_request */
  private async requireAdmissible({ _id, groupId }: ChannelDocument, userId: ObjectId): Promise<void> {
    if (!groupId || !(await this.collections.memberships.findOne({ groupId, userId }))) {
      throw new AppError('bad_request', 'The user is not a member of the group.');
    }
    if (await this.isBanned(_id, userId)) {
      throw new AppError('bad_request', 'The user is banned from the channel.');
    }
  }

  private async isBanned(channelId: ObjectId, userId: ObjectId): Promise<boolean> {
    const restriction = await this.collections.channelRestrictions.findOne({ channelId, userId });
    return restriction?.kind === 'banned' && holds(restriction);
  }
}

function noMembersOfItsOwn(): AppError {
  return new AppError('bad_request', 'A public channel has no members of its own.');
}
