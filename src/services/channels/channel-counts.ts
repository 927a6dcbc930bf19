import { toChannel, type Channel, type ChannelDocument } from '../../models/channel.model';
import type { Access } from '../access/access';

/** Returns channels with their member counts, which are computed for public channels and stored for others. */
export class ChannelCounts {
  constructor(private readonly access: Access) {}

  /** Returns a channel with its current `memberCount`, even if it is public. */
  async withMemberCount(channel: ChannelDocument): Promise<ChannelDocument> {
    const [counted] = await this.withMemberCounts([channel]);
    return counted!;
  }

  /** Returns a channel as clients receive it. */
  async show(channel: ChannelDocument): Promise<Channel> {
    return toChannel(await this.withMemberCount(channel));
  }

  /** Returns channels as clients receive them, in their order, with three queries at most for any number of them. */
  async showAll(channels: readonly ChannelDocument[]): Promise<Channel[]> {
    return (await this.withMemberCounts(channels)).map(toChannel);
  }

  private async withMemberCounts(channels: readonly ChannelDocument[]): Promise<ChannelDocument[]> {
    const ofGroups = channels.filter(
      ({ groupId, visibility }) => groupId !== null && visibility === 'public',
    );
    const counts = await this.access.countMembers(ofGroups);
    return channels.map((channel) => ({
      ...channel,
      memberCount: counts.get(channel._id.toHexString()) ?? channel.memberCount,
    }));
  }
}
