import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { duplicateIndex } from '../db/mongodb';
import type { Transactions } from '../db/transaction';
import {
  toChannel,
  type Channel,
  type ChannelDocument,
  type ChannelsQuery,
  type CreateChannelInput,
  type UpdateChannelInput,
} from '../models/channel.model';
import type { Caller } from '../models/session.model';
import { cutPage, type Page } from '../utils/cursor';
import { AppError } from '../utils/errors';
import { audienceOfChannel, holds, noChannel, type Access } from './access';
import type { ChannelChanges, ChannelFields } from './channel-changes';
import type { ChannelMembers } from './channel-members';
import type { ChannelPurger } from './channel-purger';
import type { ChannelQueue } from './channel-queue';
import type { EventBus } from './event-bus';
import type { MessageDraft } from './message-composer';
import type { SentMessage } from './message-writer';

/** Channels of groups, and who is in the private ones. */
export class ChannelService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly members: ChannelMembers,
    private readonly changes: ChannelChanges,
    private readonly queue: ChannelQueue<MessageDraft, SentMessage>,
    private readonly purger: ChannelPurger,
    private readonly bus: EventBus,
  ) {}

  /**
   * Makes a channel; takes the role admin in the group. The caller is the first member of a private one, and the
   * first public one is where newcomers to the group begin.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, channel_name_taken
   */
  async create(caller: Caller, input: CreateChannelInput): Promise<Channel> {
    const { group } = await this.access.group(caller, 'group.create_channel', input.groupId);
    const groupId = group._id;
    const now = new Date();
    const channel: ChannelDocument = {
      _id: new ObjectId(),
      kind: 'group',
      groupId,
      name: input.name,
      topic: input.topic,
      visibility: input.visibility,
      createdBy: caller.userId,
      position: 0,
      slowModeSeconds: 0,
      announcementOnly: false,
      archivedAt: null,
      memberCount: 0,
      seq: 0,
      mainSeq: 0,
      revision: 0,
      createdAt: now,
      updatedAt: now,
    };
    const isPublic = channel.visibility === 'public';
    return this.refuseTakenName(() =>
      this.transactions.run(async () => {
        const parent = await this.collections.groups.findOneAndUpdate(
          { _id: groupId },
          // A change in any case: so it collides with a deletion of the group at the same moment.
          { $inc: { channelCount: isPublic ? 1 : 0 }, $set: { updatedAt: now } },
          { returnDocument: 'after' },
        );
        if (!parent) throw new AppError('not_found', 'There is no such group.');
        if (isPublic && !parent.defaultChannelId) {
          await this.collections.groups.updateOne(
            { _id: groupId },
            { $set: { defaultChannelId: channel._id } },
          );
        }
        await this.collections.channels.insertOne(channel);
        if (isPublic) {
          await this.bus.tell(audienceOfChannel(channel), 'channel:added', { channel: toChannel(channel) });
          return toChannel(channel);
        }
        await this.members.add(channel, [caller.userId]);
        return toChannel({ ...channel, memberCount: 1 });
      }),
    );
  }

  /** The channels of a group that the caller may read. @throws AppError not_found, not_a_member */
  async list(caller: Caller, query: ChannelsQuery): Promise<Page<Channel>> {
    const { group } = await this.access.group(caller, 'group.list_channels', query.groupId);
    const { channelMembers, channelRestrictions } = this.collections;
    const own = { groupId: group._id, userId: caller.userId };
    const [mine, restrictions] = await Promise.all([
      channelMembers.find(own, { projection: { channelId: 1 } }).toArray(),
      channelRestrictions.find(own).toArray(),
    ]);
    const banned = restrictions.filter((one) => one.kind === 'banned' && holds(one));
    const _id = {
      $nin: banned.map(({ channelId }) => channelId),
      ...(query.cursor && { $gt: new ObjectId(query.cursor) }),
    };
    const channels = await this.collections.channels
      .find({
        groupId: group._id,
        _id,
        $or: [{ visibility: 'public' }, { _id: { $in: mine.map(({ channelId }) => channelId) } }],
      })
      .sort({ _id: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(channels, query.limit, (last) => last._id.toHexString());
    return { items: page.items.map(toChannel), nextCursor: page.nextCursor };
  }

  /** @throws AppError not_found */
  async get(caller: Caller, channelId: string): Promise<Channel> {
    const { channel } = await this.access.channel(caller, 'channel.read', channelId);
    return toChannel(channel);
  }

  /**
   * Changes a channel. One that becomes private keeps its creator and the caller as members; everybody else hears
   * nothing more of it when this resolves.
   * @throws AppError not_found, forbidden, channel_name_taken, channel_archived
   */
  async update(caller: Caller, channelId: string, input: UpdateChannelInput): Promise<Channel> {
    const { channel } = await this.access.channel(caller, 'channel.update', channelId);
    return this.queue.alone(channel._id, () =>
      this.refuseTakenName(() =>
        this.transactions.run(async () => {
          const before = await this.collections.channels.findOne({ _id: channel._id });
          if (!before) throw noChannel();
          const fields = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
          const turns = input.visibility !== undefined && input.visibility !== before.visibility;
          if (turns && input.visibility === 'private') await this.close(before, caller);
          if (turns && input.visibility === 'public') return toChannel(await this.open(before, fields));
          return toChannel(await this.changes.update(before._id, fields));
        }),
      ),
    );
  }

  /** Deletes a channel with its messages. @throws AppError not_found, forbidden */
  async delete(caller: Caller, channelId: string): Promise<void> {
    const { channel } = await this.access.channel(caller, 'channel.delete', channelId);
    await this.queue.alone(channel._id, () =>
      this.transactions.run(async () => {
        const current = await this.collections.channels.findOne({ _id: channel._id });
        if (!current) throw noChannel();
        await this.countOut(current);
        await this.members.removeChannels([current], 'deleted');
      }),
    );
    await this.purger.start();
  }

  /**
   * Takes a member of the group into a private channel; a second time changes nothing.
   * @throws AppError not_found, forbidden, bad_request (the channel is public, or the user not in the group)
   */
  async addMember(caller: Caller, channelId: string, userId: string): Promise<void> {
    const { channel } = await this.access.channel(caller, 'channel.manage_members', channelId);
    await this.queue.alone(channel._id, () =>
      this.transactions.run(async () => {
        const current = await this.collections.channels.findOne({ _id: channel._id });
        if (!current?.groupId) throw noChannel();
        if (current.visibility === 'public') {
          throw new AppError('bad_request', 'A public channel has no members of its own.');
        }
        const member = new ObjectId(userId);
        if (!(await this.collections.memberships.findOne({ groupId: current.groupId, userId: member }))) {
          throw new AppError('bad_request', 'The user is not a member of the group.');
        }
        await this.members.add(current, [member]);
      }),
    );
  }

  /** Takes a user out of a private channel; members may take themselves out. @throws AppError not_found, forbidden */
  async removeMember(caller: Caller, channelId: string, userId: string): Promise<void> {
    const target = new ObjectId(userId);
    const self = target.equals(caller.userId);
    const { channel } = await this.access.channel(
      caller,
      self ? 'channel.leave' : 'channel.manage_members',
      channelId,
    );
    await this.queue.alone(channel._id, async () => {
      if (!(await this.members.remove(channel, target, self ? 'left' : 'removed'))) {
        throw new AppError('not_found', 'The user is not a member of the channel.');
      }
    });
  }

  /** Those who stay hear that they are members; all others, that the channel is gone for them. */
  private async close(channel: ChannelDocument, caller: Caller): Promise<void> {
    const { _id: channelId, groupId } = channel;
    if (!groupId) throw noChannel();
    await this.countOut(channel);
    const candidates = [channel.createdBy, caller.userId];
    const rows = await this.collections.memberships.find({ groupId, userId: { $in: candidates } }).toArray();
    const keeps = rows.map(({ userId }) => userId);
    await this.bus.tell({ kind: 'public_channel', groupId, channelId, leaveOut: keeps }, 'channel:removed', {
      channelId: channelId.toHexString(),
      groupId: groupId.toHexString(),
      reason: 'closed',
    });
    await this.members.add({ ...channel, visibility: 'private' }, keeps, { silent: true });
  }

  private async open(
    { _id: channelId, groupId, seq, mainSeq }: ChannelDocument,
    fields: ChannelFields,
  ): Promise<ChannelDocument> {
    if (!groupId) throw noChannel();
    await this.collections.channelMembers.deleteMany({ channelId });
    await this.changes.clearMembers(channelId);
    await this.collections.groups.updateOne({ _id: groupId }, { $inc: { channelCount: 1 } });
    return this.changes.update(channelId, { ...fields, readFrom: { seq, mainSeq } }, 'channel:added');
  }

  /** A public channel goes: the group has one less, and where newcomers begin is another one from now on. */
  private async countOut({ _id, groupId, visibility }: ChannelDocument): Promise<void> {
    if (visibility !== 'public' || !groupId) return;
    const group = await this.collections.groups.findOneAndUpdate(
      { _id: groupId },
      { $inc: { channelCount: -1 } },
      { returnDocument: 'after' },
    );
    if (!group?.defaultChannelId?.equals(_id)) return;
    const [next] = await this.collections.channels
      .find({ groupId, _id: { $ne: _id }, visibility: 'public', archivedAt: null })
      .sort({ position: 1, _id: 1 })
      .limit(1)
      .toArray();
    const defaultChannelId = next?._id ?? null;
    await this.collections.groups.updateOne({ _id: groupId }, { $set: { defaultChannelId } });
  }

  private async refuseTakenName<Result>(write: () => Promise<Result>): Promise<Result> {
    try {
      return await write();
    } catch (error) {
      if (duplicateIndex(error) === 'group_name_unique') {
        throw new AppError('channel_name_taken', 'The group has a channel with this name.');
      }
      throw error;
    }
  }
}
