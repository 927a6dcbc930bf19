import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelSummary } from '../../models/channels/channel-summary.model';
import type { ChannelDocument, ChannelRestrictionDocument } from '../../models/channel.model';
import { toMessage, type MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import { audienceOfChannel, type Access } from '../access/access';
import { isUnexpired } from '../access/access-rules';
import type { Blocks } from '../users/blocks';
import type { PresenceService } from '../presence/presence.service';
import type { ReadCounts } from '../reading/read-counts';

/** Summarises channels for a user: the newest message, unread counts, their mute, and how many members are online. */
export class ChannelSummaries {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly blocks: Blocks,
    private readonly counts: ReadCounts,
    private readonly presence: PresenceService,
  ) {}

  /** @throws AppError not_found */
  async get(caller: Caller, channelId: string): Promise<ChannelSummary> {
    const { channel } = await this.access.channel(caller, 'channel.read', channelId);
    const summaries = await this.summarise(caller.userId, [channel]);
    return summaries.get(channel._id.toHexString())!;
  }

  /**
   * Summarises channels that the user may read, with a fixed number of queries for any number of them.
   * @returns a summary of each channel, by its id in hexadecimal digits.
   */
  async summarise(
    userId: ObjectId,
    channels: readonly ChannelDocument[],
  ): Promise<Map<string, ChannelSummary>> {
    const [reads, newest, mutes] = await Promise.all([
      this.counts.countFor(userId, channels),
      this.findNewest(channels),
      this.findMutes(userId, channels),
    ]);
    const online = this.presence.countOnline(channels.map(audienceOfChannel));
    const summaries = channels.map(({ _id }, index): [string, ChannelSummary] => {
      const key = _id.toHexString();
      const message = newest.get(key);
      const mute = mutes.get(key);
      const { readSeq, unread, mentions } = reads.get(key)!;
      return [
        key,
        {
          channelId: key,
          lastMessage: message ? toMessage(message) : null,
          readSeq,
          unread,
          mentions,
          muted: mute ? { reason: mute.reason, expiresAt: mute.expiresAt?.toISOString() ?? null } : null,
          membersOnline: online[index] ?? 0,
        },
      ];
    });
    return new Map(summaries);
  }

  /** Finds the newest message of each channel that has one. */
  private async findNewest(channels: readonly ChannelDocument[]): Promise<Map<string, MessageDocument>> {
    const written = channels.filter(({ seq }) => seq > 0);
    if (written.length === 0) return new Map();
    const messages = await this.collections.messages
      .find({ $or: written.map(({ _id, seq }) => ({ channelId: _id, seq })) })
      .toArray();
    return new Map(messages.map((message) => [message.channelId.toHexString(), message]));
  }

  private async findMutes(
    userId: ObjectId,
    channels: readonly ChannelDocument[],
  ): Promise<Map<string, ChannelRestrictionDocument>> {
    if (channels.length === 0) return new Map();
    const channelId = { $in: channels.map(({ _id }) => _id) };
    const rows = await this.collections.channelRestrictions.find({ userId, channelId }).toArray();
    const mutes = rows.filter((row) => row.kind === 'muted' && isUnexpired(row));
    const moderators = mutes.filter(({ reason }) => reason !== '').map(({ restrictedBy }) => restrictedBy);
    const blocked = await this.blocks.findBlocked(userId, moderators);
    return new Map(
      mutes.map((row) => {
        const isBlocked = blocked.has(row.restrictedBy.toHexString());
        return [row.channelId.toHexString(), isBlocked ? { ...row, reason: '' } : row];
      }),
    );
  }
}
