import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import { toChannelMember, type ChannelMember } from '../models/channel-member.model';
import type { PageQuery } from '../models/common.model';
import type { Caller } from '../models/session.model';
import { cutPage, type Page } from '../utils/cursor';
import { AppError } from '../utils/errors';
import { holds, noChannel, type Access } from './access';
import type { AuditService } from './audit.service';
import type { ChannelMembers } from './channel-members';
import type { ChannelPurger } from './channel-purger';
import type { Lines } from './channel-queue';
import type { UserService } from './user.service';

/** Who is in the private channels of groups and in direct conversations. */
export class ChannelMembershipService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly members: ChannelMembers,
    private readonly users: UserService,
    private readonly queue: Lines,
    private readonly purger: ChannelPurger,
    private readonly audit: AuditService,
  ) {}

  /**
   * Who is in a private channel or a direct conversation, in the order in which they came.
   * @throws AppError not_found, bad_request (a public channel: all members of its group read it)
   */
  async list(caller: Caller, channelId: string, query: PageQuery): Promise<Page<ChannelMember>> {
    const { channel } = await this.access.channel(caller, 'channel.read', channelId);
    if (channel.visibility === 'public') throw noMembersOfItsOwn();
    const rows = await this.collections.channelMembers
      .find({ channelId: channel._id, ...(query.cursor && { _id: { $gt: new ObjectId(query.cursor) } }) })
      .sort({ _id: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    const users = await this.users.byIds(page.items.map(({ userId }) => userId));
    const items = page.items.flatMap((row) => {
      const user = users.get(row.userId.toHexString());
      return user ? [toChannelMember(row, user)] : [];
    });
    return { items, nextCursor: page.nextCursor };
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
        if (!(await this.collections.memberships.findOne({ groupId: current.groupId, userId: member }))) {
          throw new AppError('bad_request', 'The user is not a member of the group.');
        }
        if (await this.isBanned(current._id, member)) {
          throw new AppError('bad_request', 'The user is banned from the channel.');
        }
        await this.members.add(current, [member]);
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
        if (self) return;
        await this.audit.record({
          action: 'channel.member_removed',
          actorId: caller.userId,
          targetId: channel._id,
          address: caller.address,
          details: { userId },
        });
      }),
    );
    // The last one who leaves a conversation takes it along.
    if (channel.kind === 'direct') await this.purger.start();
  }

  private async isBanned(channelId: ObjectId, userId: ObjectId): Promise<boolean> {
    const restriction = await this.collections.channelRestrictions.findOne({ channelId, userId });
    return restriction?.kind === 'banned' && holds(restriction);
  }
}

function noMembersOfItsOwn(): AppError {
  return new AppError('bad_request', 'A public channel has no members of its own.');
}
