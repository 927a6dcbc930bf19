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
import { noChannel, type Access } from './access';
import type { ChannelPurger } from './channel-purger';
import type { ChannelQueue } from './channel-queue';
import type { EventBus } from './event-bus';
import type { MessageDraft, SentMessage } from './message-writer';

/** Channels, and who is in the private ones. */
export class ChannelService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly queue: ChannelQueue<MessageDraft, SentMessage>,
    private readonly purger: ChannelPurger,
    private readonly bus: EventBus,
  ) {}

  /**
   * Makes a channel; takes the role admin in the group. The caller is the first member of a private one.
   * @throws AppError not_found, not_a_member, forbidden, channel_name_taken
   */
  async create(caller: Caller, input: CreateChannelInput): Promise<Channel> {
    const { group } = await this.access.requireGroupRole(caller, input.groupId, 'admin');
    const now = new Date();
    const channel: ChannelDocument = {
      _id: new ObjectId(),
      groupId: group._id,
      name: input.name,
      topic: input.topic,
      visibility: input.visibility,
      createdBy: caller.userId,
      seq: 0,
      revision: 0,
      createdAt: now,
      updatedAt: now,
    };
    await this.refuseTakenName(() =>
      this.transactions.run(async () => {
        if (channel.visibility === 'private') await this.insertMembers(channel, [caller.userId]);
        await this.collections.channels.insertOne(channel);
      }),
    );
    if (channel.visibility === 'private') await this.publishMember(channel, caller.userId);
    return toChannel(channel);
  }

  /** The channels of a group that the caller may read. @throws AppError not_found, not_a_member */
  async list(caller: Caller, query: ChannelsQuery): Promise<Page<Channel>> {
    const { group } = await this.access.requireGroupRole(caller, query.groupId, 'member');
    const mine = await this.access.privateChannelIds(caller, group._id);
    const channels = await this.collections.channels
      .find({
        groupId: group._id,
        ...(query.cursor && { _id: { $gt: new ObjectId(query.cursor) } }),
        $or: [{ visibility: 'public' }, { _id: { $in: mine } }],
      })
      .sort({ _id: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(channels, query.limit, (last) => last._id.toHexString());
    return { items: page.items.map(toChannel), nextCursor: page.nextCursor };
  }

  /** @throws AppError not_found */
  async get(caller: Caller, channelId: string): Promise<Channel> {
    const { channel } = await this.access.readChannel(caller, new ObjectId(channelId));
    return toChannel(channel);
  }

  /**
   * Changes name, topic or visibility. A channel that becomes private keeps its creator and the caller as
   * members; everybody else hears nothing more of it when this resolves.
   * @throws AppError not_found, forbidden, channel_name_taken
   */
  async update(caller: Caller, channelId: string, input: UpdateChannelInput): Promise<Channel> {
    const _id = new ObjectId(channelId);
    await this.access.manageChannel(caller, _id);
    return this.queue.alone(_id, async () => {
      const before = await this.collections.channels.findOne({ _id });
      if (!before) throw noChannel();
      const closes = before.visibility === 'public' && input.visibility === 'private';
      const opens = before.visibility === 'private' && input.visibility === 'public';
      const keeps = closes ? await this.groupMembers(before.groupId, [before.createdBy, caller.userId]) : [];
      const fields = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
      const updated = await this.refuseTakenName(() =>
        this.transactions.run(async () => {
          if (opens) await this.collections.channelMembers.deleteMany({ channelId: _id });
          if (closes) await this.insertMembers(before, keeps);
          return this.collections.channels.findOneAndUpdate(
            { _id },
            { $set: { ...fields, updatedAt: new Date() }, $inc: { revision: 1 } },
            { returnDocument: 'after' },
          );
        }),
      );
      if (!updated) throw noChannel();
      if (opens) await this.bus.publish({ type: 'channel_members.cleared', channelId: _id });
      for (const userId of keeps) await this.publishMember(before, userId);
      return toChannel(updated);
    });
  }

  /** Deletes a channel with its messages. @throws AppError not_found, forbidden */
  async delete(caller: Caller, channelId: string): Promise<void> {
    const _id = new ObjectId(channelId);
    await this.access.manageChannel(caller, _id);
    await this.queue.alone(_id, async () => {
      await this.transactions.run(async () => {
        await this.collections.channelPurges.updateOne(
          { _id },
          { $setOnInsert: { requestedAt: new Date() } },
          { upsert: true },
        );
        await this.collections.channels.deleteOne({ _id });
        await this.collections.channelMembers.deleteMany({ channelId: _id });
      });
      await this.bus.publish({ type: 'channel_members.cleared', channelId: _id });
    });
    this.purger.start();
  }

  /**
   * Takes a member of the group into a private channel; a second time changes nothing.
   * @throws AppError not_found, forbidden, bad_request (the channel is public, or the user not in the group)
   */
  async addMember(caller: Caller, channelId: string, userId: string): Promise<void> {
    const { channel } = await this.access.manageChannel(caller, new ObjectId(channelId));
    await this.queue.alone(channel._id, async () => {
      const current = await this.collections.channels.findOne({ _id: channel._id });
      if (!current) throw noChannel();
      if (current.visibility === 'public') {
        throw new AppError('bad_request', 'A public channel has no members of its own.');
      }
      const [member] = await this.groupMembers(channel.groupId, [new ObjectId(userId)]);
      if (!member) throw new AppError('bad_request', 'The user is not a member of the group.');
      await this.insertMembers(channel, [member]);
      await this.publishMember(channel, member);
    });
  }

  /** Takes a user out of a private channel; members may take themselves out. @throws AppError not_found, forbidden */
  async removeMember(caller: Caller, channelId: string, userId: string): Promise<void> {
    const id = new ObjectId(channelId);
    const target = new ObjectId(userId);
    if (target.equals(caller.userId)) await this.access.readChannel(caller, id);
    else await this.access.manageChannel(caller, id);
    await this.queue.alone(id, async () => {
      const removed = await this.collections.channelMembers.deleteOne({ channelId: id, userId: target });
      if (removed.deletedCount === 0)
        throw new AppError('not_found', 'The user is not a member of the channel.');
      await this.bus.publish({ type: 'channel_member.removed', channelId: id, userId: target });
    });
  }

  private async groupMembers(groupId: ObjectId, userIds: ObjectId[]): Promise<ObjectId[]> {
    const rows = await this.collections.memberships.find({ groupId, userId: { $in: userIds } }).toArray();
    return rows.map(({ userId }) => userId);
  }

  private async insertMembers(
    { _id: channelId, groupId }: ChannelDocument,
    userIds: ObjectId[],
  ): Promise<void> {
    for (const userId of userIds) {
      await this.collections.channelMembers.updateOne(
        { channelId, userId },
        { $setOnInsert: { groupId, joinedAt: new Date() } },
        { upsert: true },
      );
    }
  }

  private publishMember({ _id, groupId }: ChannelDocument, userId: ObjectId): Promise<void> {
    return this.bus.publish({ type: 'channel_member.added', channelId: _id, groupId, userId });
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
