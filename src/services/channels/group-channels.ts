import type { ObjectId, UpdateFilter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import type { GroupDocument } from '../../models/group.model';
import { AppError } from '../../utils/errors';
import type { EventBus } from '../kernel/event-bus';

/**
 * Maintains what a group stores about its public channels: their number, and the default channel, which new members see
 * first. Every method is part of the caller's transaction, and publishes its change to the members of the group.
 */
export class GroupChannels {
  constructor(
    private readonly collections: Collections,
    private readonly bus: EventBus,
  ) {}

  /** Adds a channel that has been created as public or has become public. */
  async addPublic({ _id, groupId, archivedAt }: ChannelDocument): Promise<void> {
    if (!groupId) return;
    const group = await this.write(groupId, { $inc: { channelCount: 1 } });
    const begins = group.defaultChannelId === null && archivedAt === null;
    await this.publish(begins ? await this.write(groupId, { $set: { defaultChannelId: _id } }) : group);
  }

  /** Subtracts a public channel that is deleted or becomes private. */
  async removePublic(channel: ChannelDocument): Promise<void> {
    if (channel.visibility !== 'public' || !channel.groupId) return;
    const group = await this.write(channel.groupId, { $inc: { channelCount: -1 } });
    await this.publish((await this.replaceDefault(group, channel)) ?? group);
  }

  /** Replaces the default channel of the group if it has been archived. */
  async handleArchived(channel: ChannelDocument): Promise<void> {
    const group = channel.groupId && (await this.collections.groups.findOne({ _id: channel.groupId }));
    const changed = group && (await this.replaceDefault(group, channel));
    if (changed) await this.publish(changed);
  }

  /** Makes a restored channel the default channel of the group if there is none. */
  async handleRestored({ _id, groupId, visibility }: ChannelDocument): Promise<void> {
    if (!groupId || visibility === 'private') return;
    const group = await this.collections.groups.findOne({ _id: groupId });
    if (group?.defaultChannelId === null) await this.setDefault(groupId, _id);
  }

  /** Sets the default channel of a group. */
  async setDefault(groupId: ObjectId, channelId: ObjectId): Promise<GroupDocument> {
    const group = await this.write(groupId, {
      $set: { defaultChannelId: channelId, updatedAt: new Date() },
    });
    await this.publish(group);
    return group;
  }

  /** @returns the group with another default channel; undefined if this channel was not the default. */
  private async replaceDefault(
    { _id: groupId, defaultChannelId }: GroupDocument,
    { _id }: ChannelDocument,
  ): Promise<GroupDocument | undefined> {
    if (!defaultChannelId?.equals(_id)) return undefined;
    const [next] = await this.collections.channels
      .find({ groupId, _id: { $ne: _id }, visibility: 'public', archivedAt: null })
      .sort({ position: 1, _id: 1 })
      .limit(1)
      .toArray();
    return this.write(groupId, { $set: { defaultChannelId: next?._id ?? null } });
  }

  private async write(_id: ObjectId, update: UpdateFilter<GroupDocument>): Promise<GroupDocument> {
    const group = await this.collections.groups.findOneAndUpdate({ _id }, update, {
      returnDocument: 'after',
    });
    if (!group) throw new AppError('not_found', 'There is no such group.');
    return group;
  }

  private publish(group: GroupDocument): Promise<void> {
    return this.bus.publish({ type: 'group.updated', group });
  }
}
