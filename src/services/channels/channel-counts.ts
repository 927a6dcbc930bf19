import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { toChannel, type Channel, type ChannelDocument } from '../../models/channel.model';
import { holds } from '../access/access-facts';

/**
 * How many people are in channels. Of a private channel or a conversation the number is stored with it. The members of
 * a public channel are those of its group who are not banned from it: that is counted from the group's own number and
 * the few bans, so it is always exact, and nobody's coming or going writes to every channel of a group.
 */
export class ChannelCounts {
  constructor(private readonly collections: Collections) {}

  /** A channel with the number of its members in `memberCount`, also if it is public. */
  async counted(channel: ChannelDocument): Promise<ChannelDocument> {
    const [counted] = await this.countedAll([channel]);
    return counted!;
  }

  /** A channel as it is answered. */
  async show(channel: ChannelDocument): Promise<Channel> {
    return toChannel(await this.counted(channel));
  }

  /** Channels as they are answered, in their order, with three queries at most for any number of them. */
  async showAll(channels: readonly ChannelDocument[]): Promise<Channel[]> {
    return (await this.countedAll(channels)).map(toChannel);
  }

  private async countedAll(channels: readonly ChannelDocument[]): Promise<ChannelDocument[]> {
    const ofGroups = channels.filter(
      ({ groupId, visibility }) => groupId !== null && visibility === 'public',
    );
    const counts = await this.count(ofGroups);
    return channels.map((channel) => ({
      ...channel,
      memberCount: counts.get(channel._id.toHexString()) ?? channel.memberCount,
    }));
  }

  /** How many are in public channels, by the channel's id in hexadecimal digits. */
  private async count(channels: readonly ChannelDocument[]): Promise<Map<string, number>> {
    if (channels.length === 0) return new Map();
    const groupIds = distinct(channels.flatMap(({ groupId }) => groupId ?? []));
    const [groups, restrictions] = await Promise.all([
      this.collections.groups.find({ _id: { $in: groupIds } }, { projection: { memberCount: 1 } }).toArray(),
      this.collections.channelRestrictions
        .find({ channelId: { $in: channels.map(({ _id }) => _id) }, kind: 'banned' })
        .toArray(),
    ]);
    const bans = await this.ofMembers(restrictions.filter((one) => holds(one)));
    const inGroup = new Map(groups.map(({ _id, memberCount }) => [_id.toHexString(), memberCount]));
    const counts = new Map(
      channels.map(({ _id, groupId }) => [_id.toHexString(), inGroup.get(groupId!.toHexString()) ?? 0]),
    );
    for (const { channelId } of bans) {
      const key = channelId.toHexString();
      counts.set(key, (counts.get(key) ?? 0) - 1);
    }
    return counts;
  }

  /** Those of the bans that are of members of the group: the others are not in its number. */
  private async ofMembers<Ban extends { groupId: ObjectId; userId: ObjectId }>(bans: Ban[]): Promise<Ban[]> {
    if (bans.length === 0) return [];
    const rows = await this.collections.memberships
      .find(
        {
          groupId: { $in: distinct(bans.map(({ groupId }) => groupId)) },
          userId: { $in: distinct(bans.map(({ userId }) => userId)) },
        },
        { projection: { groupId: 1, userId: 1 } },
      )
      .toArray();
    const keyOf = ({ groupId, userId }: { groupId: ObjectId; userId: ObjectId }) =>
      `${groupId.toHexString()} ${userId.toHexString()}`;
    const members = new Set(rows.map(keyOf));
    return bans.filter((ban) => members.has(keyOf(ban)));
  }
}

function distinct(ids: readonly ObjectId[]): ObjectId[] {
  return [...new Map(ids.map((id) => [id.toHexString(), id])).values()];
}
