import { ObjectId, type Filter } from 'mongodb';
import type { Collections } from '../db/collections';
import { duplicateIndex } from '../db/mongodb';
import { lock } from '../db/transaction';
import type { AuditAction } from '../models/audit/audit.model';
import {
  ownerOf,
  toChannel,
  type Channel,
  type ChannelDocument,
  type ChannelsQuery,
  type CreateChannelInput,
  type UpdateChannelInput,
} from '../models/channel.model';
import type { Caller } from '../models/identity/session.model';
import { cutPage, type Page } from '../utils/cursor';
import { AppError } from '../utils/errors';
import { nameKeysOf } from '../utils/name-keys';
import { channelNotFound, type Access } from './access/access';
import { toDetails, type AuditService } from './audit/audit.service';
import type { ChannelChanges, ChannelFields } from './channels/channel-changes';
import type { ChannelCounts } from './channels/channel-counts';
import type { ChannelMembers } from './channels/channel-members';
import type { ChannelOrderService } from './channels/channel-order.service';
import type { ChannelPurger } from './channels/channel-purger';
import type { EventBus } from './kernel/event-bus';
import type { GroupChannels } from './channels/group-channels';
import type { GuardedWrites } from './access/guarded-writes';
import type { ReadMarkers } from './reading/read-markers';

/** The dependencies of ChannelService. */
export interface ChannelServiceDeps {
  collections: Collections;
  access: Access;
  writes: GuardedWrites;
  members: ChannelMembers;
  markers: ReadMarkers;
  changes: ChannelChanges;
  counts: ChannelCounts;
  groupChannels: GroupChannels;
  order: ChannelOrderService;
  purger: ChannelPurger;
  audit: AuditService;
  bus: EventBus;
}

/** Channels of groups. */
export class ChannelService {
  constructor(private readonly deps: ChannelServiceDeps) {}

  /**
   * Creates a channel; requires the role admin in the group. The caller becomes the first member of a private channel. The
   * first public channel becomes the default channel of the group.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, channel_name_taken
   */
  async create(caller: Caller, input: CreateChannelInput): Promise<Channel> {
    return this.refuseTakenName(() =>
      this.deps.writes.inGroup(caller, 'group.create_channel', input.groupId, {}, async ({ group }) => {
        const position = await this.deps.order.positionAtEnd(group._id, input.visibility);
        const channel = newChannel(caller, group._id, position, input);
        await this.deps.collections.channels.insertOne(channel);
        await this.record(caller, channel, 'channel.created', { name: channel.name });
        if (channel.visibility === 'private') {
          await this.deps.members.add(channel, [caller.userId]);
          const made = await this.deps.collections.channels.findOne({ _id: channel._id });
          return this.deps.counts.show(made ?? channel);
        }
        await this.deps.groupChannels.addPublic(channel);
        const counted = await this.deps.counts.withMemberCount(channel);
        await this.deps.bus.publish({ type: 'channel.created', channel: counted });
        return toChannel(counted);
      }),
    );
  }

  /**
   * Lists the channels of a group that the caller may read, in their order.
   * @throws AppError not_found, not_a_member
   */
  async list(caller: Caller, query: ChannelsQuery): Promise<Page<Channel>> {
    const { group } = await this.deps.access.group(caller, 'group.list_channels', query.groupId);
    const { filter } = await this.deps.access.groupViewOf(caller.userId, group._id);
    const channels = await this.deps.collections.channels
      .find({ ...filter, ...(query.cursor && afterCursor(query.cursor)) })
      .sort({ position: 1, _id: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(channels, query.limit, (last) => `${last.position}.${last._id.toHexString()}`);
    return { items: await this.deps.counts.showAll(page.items), nextCursor: page.nextCursor };
  }

  /** @throws AppError not_found */
  async get(caller: Caller, channelId: string): Promise<Channel> {
    const { channel } = await this.deps.access.channel(caller, 'channel.read', channelId);
    return this.deps.counts.show(channel);
  }

  /**
   * Changes a channel. A channel that becomes private keeps its owner and the caller as members; when this resolves, other
   * users no longer receive its events.
   * @throws AppError not_found, forbidden, channel_name_taken, channel_archived
   */
  async update(caller: Caller, channelId: string, input: UpdateChannelInput): Promise<Channel> {
    return this.refuseTakenName(() =>
      this.deps.writes.inChannel(caller, 'channel.update', channelId, {}, async ({ channel: before }) => {
        const fields = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
        const { visibility: _, ...others } = fields;
        // An unchanged name keeps its keys: an old name may look like that of another channel.
        const renamed = input.name !== undefined && input.name !== before.name;
        const stored = { ...fields, ...(renamed ? nameKeysOf(input.name ?? '') : {}) };
        if (Object.keys(others).length > 0)
          await this.record(caller, before, 'channel.updated', toDetails(others));
        const newVisibility = input.visibility === before.visibility ? undefined : input.visibility;
        if (newVisibility)
          await this.record(caller, before, 'channel.visibility_changed', { to: newVisibility });
        if (newVisibility === 'private') await this.makePrivate(before, caller);
        if (newVisibility === 'public') return this.deps.counts.show(await this.makePublic(before, stored));
        return this.deps.counts.show(await this.deps.changes.update(before._id, stored));
      }),
    );
  }

  /**
   * Archives a channel: it is read-only until it is restored. Does nothing if it is already archived.
   * @throws AppError not_found, forbidden, group_archived, direct_channel
   */
  archive(caller: Caller, channelId: string): Promise<Channel> {
    return this.setArchived(caller, channelId, new Date());
  }

  /** Restores an archived channel. @throws AppError as `archive` */
  restore(caller: Caller, channelId: string): Promise<Channel> {
    return this.setArchived(caller, channelId, null);
  }

  /** Deletes a channel with its messages. @throws AppError not_found, forbidden */
  async delete(caller: Caller, channelId: string): Promise<void> {
    await this.deps.writes.inChannel(caller, 'channel.delete', channelId, {}, async ({ channel }) => {
      await this.deps.groupChannels.removePublic(channel);
      await this.deps.members.removeChannels([channel], 'deleted');
      await this.record(caller, channel, 'channel.deleted', { name: channel.name });
    });
    await this.deps.purger.wake();
  }

  private async setArchived(caller: Caller, channelId: string, archivedAt: Date | null): Promise<Channel> {
    return this.deps.writes.inChannel(caller, 'channel.archive', channelId, {}, async ({ channel }) => {
      if ((channel.archivedAt === null) === (archivedAt === null)) return this.deps.counts.show(channel);
      const after = await this.deps.changes.update(channel._id, { archivedAt });
      if (archivedAt) await this.deps.groupChannels.handleArchived(after);
      else await this.deps.groupChannels.handleRestored(after);
      await this.record(caller, after, archivedAt ? 'channel.archived' : 'channel.restored', {});
      return this.deps.counts.show(after);
    });
  }

  /** Makes a public channel private: publishes its removal to all users who lose it, and adds the remaining members. */
  private async makePrivate(channel: ChannelDocument, caller: Caller): Promise<void> {
    const { _id: channelId, groupId } = channel;
    if (!groupId) throw channelNotFound();
    await this.deps.groupChannels.removePublic(channel);
    const candidates = [ownerOf(channel) ?? channel.createdBy, caller.userId];
    const memberIds: ObjectId[] = [];
    for (const userId of new Map(candidates.map((id) => [id.toHexString(), id])).values()) {
      // Locked, because the owner may be leaving the group at the same moment.
      if (await lock(this.deps.collections.memberships, { groupId, userId })) memberIds.push(userId);
    }
    await this.deps.bus.publish({ type: 'channel.closed', groupId, channelId, memberIds });
    await this.deps.members.add({ ...channel, visibility: 'private' }, memberIds, { silent: true });
  }

  private async makePublic(channel: ChannelDocument, fields: ChannelFields): Promise<ChannelDocument> {
    const { _id: channelId, seq, mainSeq } = channel;
    const members = await this.deps.collections.channelMembers.find({ channelId }).toArray();
    await this.deps.markers.createMissing(
      channel,
      members.map(({ userId }) => userId),
    );
    await this.deps.collections.channelMembers.deleteMany({ channelId });
    await this.deps.changes.clearMembers(channelId);
    await this.deps.groupChannels.addPublic(channel);
    return this.deps.changes.update(channelId, { ...fields, readFrom: { seq, mainSeq } }, 'channel.opened');
  }

  private record(
    { userId, address }: Caller,
    { _id, groupId }: ChannelDocument,
    action: AuditAction,
    details: Record<string, string>,
  ): Promise<void> {
    const group = groupId?.toHexString() ?? null;
    return this.deps.audit.record({
      action,
      actorId: userId,
      targetId: _id,
      address,
      details: { groupId: group, ...details },
    });
  }

  private async refuseTakenName<Result>(write: () => Promise<Result>): Promise<Result> {
    try {
      return await write();
    } catch (error) {
      switch (duplicateIndex(error)) {
        case 'group_name_key_unique':
          throw new AppError('channel_name_taken', 'The group already has a channel with this name.');
        case 'group_name_lookalike_unique':
          throw new AppError(
            'channel_name_taken',
            'The group already has a channel with a name that looks like this one.',
          );
        default:
          throw error;
      }
    }
  }
}

function newChannel(
  { userId }: Caller,
  groupId: ObjectId,
  position: number,
  input: CreateChannelInput,
): ChannelDocument {
  const now = new Date();
  return {
    _id: new ObjectId(),
    kind: 'group',
    groupId,
    name: input.name,
    ...nameKeysOf(input.name),
    topic: input.topic,
    visibility: input.visibility,
    createdBy: userId,
    position,
    slowModeSeconds: input.slowModeSeconds ?? 0,
    announcementOnly: input.announcementOnly ?? false,
    archivedAt: null,
    memberCount: 0,
    seq: 0,
    mainSeq: 0,
    revision: 0,
    createdAt: now,
    updatedAt: now,
  };
}

/** Matches the channels after a cursor, in the order of a group's channels. */
function afterCursor(cursor: string): Filter<ChannelDocument> {
  const [position, id] = cursor.split('.') as [string, string];
  const at = Number(position);
  return {
    position: { $gte: at },
    $and: [{ $or: [{ position: { $gt: at } }, { _id: { $gt: new ObjectId(id) } }] }],
  };
}
