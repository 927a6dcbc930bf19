import { toChannel, type Channel, type ChannelDocument } from '../../models/channel.model';
import type { Access } from '../access/access';

/** Shows channels with the number of their members: of a public channel it is counted, of others it is stored. */
export class ChannelCounts {
  constructor(private readonly access: Access) {}

  /** A channel with the number of its members in `memberCount`, also if it is public. */
  async withMemberCount(channel: ChannelDocument): Promise<ChannelDocument> {
    const [counted] = await this.withMemberCounts([channel]);
    return counted!;
  }

  /** A channel as it is answered. */
  async show(channel: ChannelDocument): Promise<Channel> {
    return toChannel(await this.withMemberCount(channel));
  }

  /** Channels as they are answered, in their order, with three queries at most for any number of them. */
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
