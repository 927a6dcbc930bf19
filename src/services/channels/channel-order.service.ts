import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelOrderInput, DefaultChannelInput } from '../../models/channels/channel-order.model';
import { type Channel, type ChannelDocument } from '../../models/channel.model';
import { toGroup, type Group } from '../../models/group.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import { channelNotFound, type Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { ChannelChanges } from './channel-changes';
import type { ChannelCounts } from './channel-counts';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { GroupChannels } from './group-channels';
import type { GuardedWrites } from '../access/guarded-writes';

/**
 * The distance between the positions of public channels. Private channels have positions in between, so that a gap does
 * not reveal them to users who cannot see them.
 */
const POSITION_STEP = 1024;

/** The dependencies of ChannelOrderService. */
export interface ChannelOrderServiceDeps {
  collections: Collections;
  access: Access;
  writes: GuardedWrites;
  queue: KeyedQueue;
  changes: ChannelChanges;
  counts: ChannelCounts;
  groupChannels: GroupChannels;
  audit: AuditService;
}

/** Changes the order and the default channel of a group. */
export class ChannelOrderService {
  constructor(private readonly deps: ChannelOrderServiceDeps) {}

  /** The position of a new channel, after all others. */
  async positionAtEnd(groupId: ObjectId, visibility: ChannelDocument['visibility']): Promise<number> {
    const isPublic = visibility === 'public';
    const [last] = await this.deps.collections.channels
      .find({ groupId, ...(isPublic && { visibility }) }, { projection: { position: 1 } })
      .sort({ position: -1, _id: -1 })
      .limit(1)
      .toArray();
    const lastPosition = last?.position ?? 0;
    return isPublic ? nextPublicPosition(lastPosition) : lastPosition + 1;
  }

  /**
   * Changes the order of a group's channels, all at once. Channels that the caller cannot read keep their positions among
   * the others.
   * @returns the channels in their new order.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, channels_changed (with `missing` and
   * `unknown`) if these are not exactly the channels that the caller can read now
   */
  async arrange(caller: Caller, groupId: string, { channelIds }: ChannelOrderInput): Promise<Channel[]> {
    return this.deps.writes.inGroup(caller, 'group.arrange_channels', groupId, {}, async ({ group }) => {
      const channelKeys = (await this.findInOrder(group._id)).map(({ _id }) => _id);
      await this.deps.queue.acquire(channelKeys);
      const channels = (await this.findInOrder(group._id)).filter(({ _id }) =>
        channelKeys.some((id) => id.equals(_id)),
      );
      const view = await this.deps.access.groupViewOf(caller.userId, group._id);
      const readable = channels.filter((channel) => view.canRead(channel));
      refuseStaleOrder(channelIds, readable);
      const changed = new Map<string, ChannelDocument>();
      for (const { channel, position } of assignPositions(reorder(channels, readable, channelIds))) {
        if (channel.position === position) continue;
        changed.set(channel._id.toHexString(), await this.deps.changes.update(channel._id, { position }));
      }
      if (changed.size > 0) await this.record(caller, group._id, 'group.channels_arranged', {});
      const own = new Map(readable.map((channel) => [channel._id.toHexString(), channel]));
      return this.deps.counts.showAll(channelIds.map((id) => changed.get(id) ?? own.get(id)!));
    });
  }

  /**
   * Makes a channel the default channel of its group, which new members see first.
   * @throws AppError not_found, forbidden, group_archived, channel_archived, bad_request (a private channel)
   */
  async setDefault(caller: Caller, groupId: string, { channelId }: DefaultChannelInput): Promise<Group> {
    const action = 'group.arrange_channels';
    const { group: asked } = await this.deps.access.group(caller, action, groupId, { preliminary: true });
    const { channel: named } = await this.deps.access.channel(caller, 'channel.read', channelId, {
      preliminary: true,
    });
    // Checked before a key is acquired: waiting for the key of a second group while holding one could deadlock.
    if (!named.groupId?.equals(asked._id)) throw channelNotFound();
    return this.deps.writes.inGroup(caller, action, groupId, {}, async ({ group, membership }) =>
      this.deps.writes.inChannel(caller, 'channel.read', channelId, {}, async ({ channel: current }) => {
        if (current.visibility === 'private') {
          throw new AppError('bad_request', 'Only a public channel can be the default channel.');
        }
        if (current.archivedAt) throw new AppError('channel_archived', 'The channel is archived.');
        const after = await this.deps.groupChannels.setDefault(group._id, current._id);
        await this.record(caller, group._id, 'group.default_channel_set', { channelId });
        return toGroup(after, membership?.role ?? null);
      }),
    );
  }

  private findInOrder(groupId: ObjectId): Promise<ChannelDocument[]> {
    return this.deps.collections.channels.find({ groupId }).sort({ position: 1, _id: 1 }).toArray();
  }

  private record(
    { userId, address }: Caller,
    targetId: ObjectId,
    action: 'group.channels_arranged' | 'group.default_channel_set',
    details: Record<string, string>,
  ): Promise<void> {
    return this.deps.audit.record({ action, actorId: userId, targetId, address, details });
  }
}

const nextPublicPosition = (position: number) => (Math.floor(position / POSITION_STEP) + 1) * POSITION_STEP;

/** @throws AppError channels_changed */
function refuseStaleOrder(wanted: string[], readable: ChannelDocument[]): void {
  const current = readable.map(({ _id }) => _id.toHexString());
  const missing = current.filter((id) => !wanted.includes(id));
  const unknown = wanted.filter((id) => !current.includes(id));
  if (missing.length === 0 && unknown.length === 0) return;
  throw new AppError(
    'channels_changed',
    'The list does not match the channels that you can read in this group now. Load the channels again.',
    { missing, unknown },
  );
}

/** @returns all channels, with the readable ones in the wanted order and the others at their present places. */
function reorder(
  channels: ChannelDocument[],
  readable: ChannelDocument[],
  wanted: string[],
): ChannelDocument[] {
  const own = new Map(readable.map((channel) => [channel._id.toHexString(), channel]));
  let next = 0;
  return channels.map((channel) =>
    own.has(channel._id.toHexString()) ? own.get(wanted[next++]!)! : channel,
  );
}

/** Assigns a position to each channel, in their order. */
function assignPositions(channels: ChannelDocument[]): { channel: ChannelDocument; position: number }[] {
  let last = 0;
  return channels.map((channel) => {
    last = channel.visibility === 'public' ? nextPublicPosition(last) : last + 1;
    return { channel, position: last };
  });
}
