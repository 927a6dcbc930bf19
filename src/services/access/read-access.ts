import type { Collection, Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import { userIdsOfDirectKey } from '../../models/channels/direct-message.model';
import { GROUP_ROLES, type GroupRole, type MembershipDocument } from '../../models/group.model';
import type { Caller } from '../../models/identity/session.model';
import { decide } from './access-actions';
import type { AccessFacts } from './access-facts';
import { hasRank, isUnexpired, type Actor } from './access-rules';
import { countMembers } from './member-counts';

/** The channels of a group that a user reads: public ones and private ones with membership, except after a ban. */
export interface GroupView {
  /** Matches the channels of the group that they read. */
  filter: Filter<ChannelDocument>;
  /** Whether they read a channel of the group. */
  canRead(channel: ChannelDocument): boolean;
}

/** The relation of a user to a channel of a group. */
export interface MembershipStatus {
  inGroup: boolean;
  /** Whether they are listed as a member of a private channel. */
  inChannel: boolean;
  /** Whether they read the channel, or would if they were not banned from it. */
  belongs: boolean;
  banned: boolean;
}

/** The audiences that a user is in. */
export interface UserAudiences {
  groupIds: ObjectId[];
  privateChannels: { channelId: ObjectId; groupId: ObjectId | null }[];
  /** Public channels that they are banned from. */
  bannedFrom: ObjectId[];
}

/** The most groups and channels to read for a user. */
export interface ReadableLimits {
  groups?: number;
  channels?: number;
}

/** What a user may read. */
export interface Readable {
  audiences: UserAudiences;
  /** In the order of the ids of the groups. */
  memberships: MembershipDocument[];
  /** Matches the channels. */
  filter: Filter<ChannelDocument>;
  /** False if a limit was exceeded and something is missing. */
  complete: boolean;
}

/** A reader of a channel. */
export interface Reader {
  /** The id of their membership in the group, or in a private channel. */
  _id: ObjectId;
  userId: ObjectId;
  joinedAt: Date;
}

/** The collection and filter that list the members of a channel. `keepMembers` removes those who are not in it. */
export interface MemberList {
  collection: Collection<Reader>;
  filter: Filter<Reader>;
}

const READER_PROJECTION = { userId: 1, joinedAt: 1 } as const;

/** Reads one more than the limit, to detect whether there are more, in one batch of the database. */
const limitOptions = (bound: number | undefined) =>
  bound === undefined ? {} : { limit: bound + 1, batchSize: bound + 1 };

/**
 * Finds what a user may read, and who reads a channel. Nothing else computes this. It uses the same facts as the action
 * `channel.read`.
 */
export class ReadAccess {
  constructor(
    protected readonly collections: Collections,
    protected readonly facts: AccessFacts,
  ) {}

  /**
   * Finds what a user may read. Search, lists, sync and the rooms of sockets depend on it. A private channel of a group
   * is included only for members of the group, even if a race, a crash or an older version has left them in its list of
   * members. A channel from which the user is banned is not included.
   * @param bounds the most groups and channels to read; all by default.
   */
  async readable(userId: ObjectId, bounds: ReadableLimits = {}): Promise<Readable> {
    const { memberships, channelMembers, channelRestrictions } = this.collections;
    const [own, inside, bans] = await Promise.all([
      memberships.find({ userId }, limitOptions(bounds.groups)).sort({ groupId: 1 }).toArray(),
      channelMembers
        .find({ userId }, { ...limitOptions(bounds.channels), projection: { channelId: 1, groupId: 1 } })
        .toArray(),
      channelRestrictions.find({ userId, kind: 'banned' }).toArray(),
    ]);
    const memberOf = own.slice(0, bounds.groups);
    const bannedFrom = bans.filter((ban) => isUnexpired(ban)).map(({ channelId }) => channelId);
    const groups = new Set(memberOf.map(({ groupId }) => groupId.toHexString()));
    const banned = new Set(bannedFrom.map((id) => id.toHexString()));
    const privateChannels = inside.filter(
      ({ channelId, groupId }) =>
        !banned.has(channelId.toHexString()) && (groupId === null || groups.has(groupId.toHexString())),
    );
    const groupIds = memberOf.map(({ groupId }) => groupId);
    return {
      audiences: { groupIds, privateChannels, bannedFrom },
      memberships: memberOf,
      filter: {
        $or: [
          { groupId: { $in: groupIds }, visibility: 'public', _id: { $nin: bannedFrom } },
          { _id: { $in: privateChannels.map(({ channelId }) => channelId) } },
        ],
      },
      complete: own.length === memberOf.length && inside.length <= (bounds.channels ?? Infinity),
    };
  }

  /** Finds all channels that a user may read, in the order of their ids. */
  async readableChannels(userId: ObjectId): Promise<ChannelDocument[]> {
    const { filter } = await this.readable(userId);
    return this.collections.channels.find(filter).sort({ _id: 1 }).toArray();
  }

  /** Finds the ids of all channels that a user may read. */
  async readableChannelIds(userId: ObjectId): Promise<ObjectId[]> {
    const { filter } = await this.readable(userId);
    const channels = await this.collections.channels.find(filter, { projection: { _id: 1 } }).toArray();
    return channels.map(({ _id }) => _id);
  }

  /**
   * Keeps those channels that the caller may read, as `readable` does, at a cost that depends on their number alone.
   * @returns their ids, in the same order.
   */
  async filterReadable({ userId }: Caller, channels: readonly ChannelDocument[]): Promise<ObjectId[]> {
    const { memberships, channelMembers, channelRestrictions } = this.collections;
    const channelId = { $in: channels.map(({ _id }) => _id) };
    const groupId = { $in: channels.flatMap((channel) => channel.groupId ?? []) };
    const [own, inside, bans] = await Promise.all([
      memberships.find({ userId, groupId }, { projection: { groupId: 1 } }).toArray(),
      channelMembers.find({ channelId, userId }, { projection: { channelId: 1 } }).toArray(),
      channelRestrictions.find({ channelId, userId, kind: 'banned' }).toArray(),
    ]);
    const groups = new Set(own.map((membership) => membership.groupId.toHexString()));
    const entered = new Set(inside.map((row) => row.channelId.toHexString()));
    const banned = new Set(bans.filter((ban) => isUnexpired(ban)).map((ban) => ban.channelId.toHexString()));
    const reads = ({ _id, groupId: group, visibility }: ChannelDocument) => {
      const id = _id.toHexString();
      if (banned.has(id)) return false;
      if (!group) return entered.has(id);
      return groups.has(group.toHexString()) && (visibility === 'public' || entered.has(id));
    };
    return channels.filter(reads).map(({ _id }) => _id);
  }

  /** Finds which channels of a group a user reads. A user who is not a member of the group sees the public ones. */
  async groupViewOf(userId: ObjectId, groupId: ObjectId): Promise<GroupView> {
    const { memberships, channelMembers, channelRestrictions } = this.collections;
    const [membership, own, restrictions] = await Promise.all([
      memberships.findOne({ userId, groupId }, { projection: { _id: 1 } }),
      channelMembers.find({ userId, groupId }, { projection: { channelId: 1 } }).toArray(),
      channelRestrictions.find({ groupId, userId }).toArray(),
    ]);
    const bans = restrictions.filter((one) => one.kind === 'banned' && isUnexpired(one));
    const inside = membership ? own.map(({ channelId }) => channelId) : [];
    const bannedFrom = bans.map(({ channelId }) => channelId);
    const has = (ids: ObjectId[], { _id }: ChannelDocument) => ids.some((id) => id.equals(_id));
    return {
      filter: {
        groupId,
        _id: { $nin: bannedFrom },
        $or: [{ visibility: 'public' }, { _id: { $in: inside } }],
      },
      canRead: (channel) =>
        !has(bannedFrom, channel) && (channel.visibility === 'public' || has(inside, channel)),
    };
  }

  /**
   * Finds the readers of a channel, in the order in which they joined: the members of the group of a public channel; the
   * members of a private one who are also in its group. Banned users and inactive accounts are not readers.
   * @param atMost the most readers to find. Pass one more than a limit to detect whether there are more.
   */
  async readersOf(channel: ChannelDocument, atMost: number): Promise<Reader[]> {
    const { collection, filter } = this.memberListOf(channel);
    const readers: Reader[] = [];
    let last: ObjectId | undefined;
    while (readers.length < atMost) {
      const after = last && { _id: { $gt: last } };
      const rows = collection.find({ ...filter, ...after }, { projection: READER_PROJECTION });
      // Users who are not readers must not count towards the limit, so the next page fills it up.
      const page = await rows.sort({ _id: 1 }).limit(atMost).toArray();
      readers.push(...(await this.keepReaders(channel, page)));
      if (page.length < atMost) break;
      last = page.at(-1)!._id;
    }
    return readers.slice(0, atMost);
  }

  /**
   * Keeps those rows of a member list (see `memberListOf`) whose users are in the channel: users who are banned from a
   * public channel are not, nor users in the list of a private one who are no longer in its group.
   */
  async keepMembers<Row extends { userId: ObjectId }>(
    { _id: channelId, groupId, visibility }: ChannelDocument,
    rows: Row[],
  ): Promise<Row[]> {
    if (!groupId || rows.length === 0) return rows;
    const { memberships, channelRestrictions } = this.collections;
    const userId = { $in: rows.map((row) => row.userId) };
    const idOf = (one: { userId: ObjectId }) => one.userId.toHexString();
    if (visibility === 'private') {
      const inGroup = await memberships.find({ groupId, userId }, { projection: { userId: 1 } }).toArray();
      const members = new Set(inGroup.map(idOf));
      return rows.filter((row) => members.has(idOf(row)));
    }
    const restrictions = await channelRestrictions.find({ channelId, userId, kind: 'banned' }).toArray();
    const banned = new Set(restrictions.filter((one) => isUnexpired(one)).map(idOf));
    return rows.filter((row) => !banned.has(idOf(row)));
  }

  /**
   * The collection and filter that list the members of a channel; a public channel has the members of its group.
   * `keepMembers` removes those who are not in the channel.
   */
  memberListOf({ _id: channelId, groupId, visibility }: ChannelDocument): MemberList {
    const { memberships, channelMembers } = this.collections;
    return visibility === 'public' && groupId
      ? { collection: memberships as unknown as Collection<Reader>, filter: { groupId } }
      : {
          collection: channelMembers as unknown as Collection<Reader>,
          filter: { channelId },
        };
  }

  /**
   * Counts the members of public channels of groups: the members of the group who are not banned from the channel. Other
   * channels store their member count.
   * @returns the counts by the channel's id in hexadecimal digits, with three queries at most for any number of channels.
   */
  countMembers(publicChannels: readonly ChannelDocument[]): Promise<Map<string, number>> {
    return countMembers(this.collections, publicChannels);
  }

  /** Finds the relation of a user to a channel of a group, for writes that affect them. */
  async membershipStatusOf(channel: ChannelDocument, userId: ObjectId): Promise<MembershipStatus> {
    // The global role is ignored: a super admin may read every channel, but is not a reader of all channels.
    const [facts] = await this.facts.channel(channel, [{ id: userId, role: 'client', state: 'active' }], {});
    const { role, inChannel, restriction } = facts!;
    return {
      inGroup: hasRank(role, 'member'),
      inChannel: inChannel === true,
      belongs: decide('channel.read', { ...facts!, restriction: null }).allowed,
      banned: restriction === 'banned',
    };
  }

  /** Keeps those users who read a channel now; none if it no longer exists. */
  async filterReaders(channelId: ObjectId, userIds: readonly ObjectId[]): Promise<ObjectId[]> {
    return (await this.findReadersAmong(channelId, userIds)).readers;
  }

  /** Finds the channel, and those users who read it now; null and none if it no longer exists. */
  async findReadersAmong(
    channelId: ObjectId,
    userIds: readonly ObjectId[],
  ): Promise<{ channel: ChannelDocument | null; readers: ObjectId[] }> {
    const channel = await this.collections.channels.findOne({ _id: channelId });
    if (!channel) return { channel, readers: [] };
    const readers = await this.keepReaders(
      channel,
      userIds.map((userId) => ({ userId })),
    );
    return { channel, readers: readers.map(({ userId }) => userId) };
  }

  /**
   * Finds the participants of direct conversations, by the channel's id in hexadecimal digits. A conversation of two
   * keeps both, even after one has deleted their account: the other one still sees whom they have talked to.
   */
  async participantsOf(conversations: readonly ChannelDocument[]): Promise<Map<string, ObjectId[]>> {
    const people = new Map<string, ObjectId[]>();
    const several: ObjectId[] = [];
    for (const { _id, directKey } of conversations) {
      people.set(_id.toHexString(), directKey === undefined ? [] : userIdsOfDirectKey(directKey));
      if (directKey === undefined) several.push(_id);
    }
    if (several.length === 0) return people;
    const rows = await this.collections.channelMembers.find({ channelId: { $in: several } }).toArray();
    for (const { channelId, userId } of rows) people.get(channelId.toHexString())?.push(userId);
    return people;
  }

  /** Finds the members of a group with at least this role, in the order in which they joined. */
  async usersWithRole(groupId: ObjectId, atLeast: GroupRole): Promise<ObjectId[]> {
    const role = { $in: GROUP_ROLES.filter((one) => hasRank(one, atLeast)) };
    const rows = await this.collections.memberships
      .find({ groupId, role }, { projection: { userId: 1 } })
      .sort({ _id: 1 })
      .toArray();
    return rows.map(({ userId }) => userId);
  }

  private async keepReaders<Row extends { userId: ObjectId }>(
    channel: ChannelDocument,
    rows: Row[],
  ): Promise<Row[]> {
    if (rows.length === 0) return rows;
    const userIds = rows.map(({ userId }) => userId);
    const active = await this.collections.users
      .find({ _id: { $in: userIds }, state: 'active' }, { projection: { _id: 1 } })
      .toArray();
    // The global role is ignored: a super admin may read every channel, but is not a reader of all channels.
    const actors = active.map(({ _id }): Actor => ({ id: _id, role: 'client', state: 'active' }));
    const facts = await this.facts.channel(channel, actors, {});
    const reads = new Set(
      facts.filter((those) => decide('channel.read', those).allowed).map(({ user }) => user.id.toHexString()),
    );
    return rows.filter(({ userId }) => reads.has(userId.toHexString()));
  }
}
