import type { Collection, Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import { userIdsOfDirectKey } from '../../models/channels/direct-message.model';
import { GROUP_ROLES, type GroupRole, type MembershipDocument } from '../../models/group.model';
import type { Caller } from '../../models/identity/session.model';
import { decide } from './access-actions';
import { isUnexpired, type AccessFacts } from './access-facts';
import { hasRank, type Actor } from './access-rules';
import { countMembers } from './member-counts';

/** What a member of a group sees of its channels: the public ones and those that they are in, without bans. */
export interface GroupView {
  /** Finds the channels of the group that they read. */
  filter: Filter<ChannelDocument>;
  /** Whether they read a channel of the group. */
  reads(channel: ChannelDocument): boolean;
}

/** What somebody is in a channel of a group. */
export interface MembershipStatus {
  inGroup: boolean;
  /** Whether they are in the list of members of a private channel. */
  inChannel: boolean;
  /** Whether they read the channel, or would if they were not banned from it. */
  belongs: boolean;
  banned: boolean;
}

/** What a user hears of what they may read. */
export interface UserAudiences {
  groupIds: ObjectId[];
  privateChannels: { channelId: ObjectId; groupId: ObjectId | null }[];
  /** Public channels that they are banned from. */
  bannedFrom: ObjectId[];
}

/** At most how much of what a user may read to look at. */
export interface ReadableLimits {
  groups?: number;
  channels?: number;
}

/** What a user may read. */
export interface Readable {
  audiences: UserAudiences;
  /** In the order of the ids of the groups. */
  memberships: MembershipDocument[];
  /** Finds the channels. */
  filter: Filter<ChannelDocument>;
  /** False where a bound has cut something off. */
  complete: boolean;
}

/** Somebody who reads a channel. */
export interface Reader {
  /** Of their membership in the group, or of that in a private channel. */
  _id: ObjectId;
  userId: ObjectId;
  joinedAt: Date;
}

/** Where the members of a channel are listed, before those are left out who turn out not to be in it. */
export interface MemberList {
  collection: Collection<Reader>;
  which: Filter<Reader>;
}

const READER_PROJECTION = { userId: 1, joinedAt: 1 } as const;

/** One more than the bound, to tell whether there are more, and all of it in one answer of the database. */
const limitOptions = (bound: number | undefined) =>
  bound === undefined ? {} : { limit: bound + 1, batchSize: bound + 1 };

/**
 * The one place that answers what a user may read, and who reads a channel. Its answers follow from the same facts as
 * `channel.read` of Access.
 */
export class ReadAccess {
  constructor(
    protected readonly collections: Collections,
    protected readonly facts: AccessFacts,
  ) {}

  /**
   * What a user may read: the one answer on which search, lists, sync and the rooms of sockets rest. A private channel
   * of a group counts only with membership in the group, whatever a race, a crash or an older version has left in its
   * list of members; a channel from which they are banned does not count.
   * @param bounds at most how many groups and channels to look at; all, if it is left out.
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

  /** All channels that a user may read, in the order of their ids. */
  async readableChannels(userId: ObjectId): Promise<ChannelDocument[]> {
    const { filter } = await this.readable(userId);
    return this.collections.channels.find(filter).sort({ _id: 1 }).toArray();
  }

  /** The ids of all channels that a user may read: for lists, counts and searches. */
  async readableChannelIds(userId: ObjectId): Promise<ObjectId[]> {
    const { filter } = await this.readable(userId);
    const channels = await this.collections.channels.find(filter, { projection: { _id: 1 } }).toArray();
    return channels.map(({ _id }) => _id);
  }

  /** Those of the channels that the caller may read. */
  async filterReadable(caller: Caller, channels: readonly ChannelDocument[]): Promise<ObjectId[]> {
    const readable = await this.readableChannelIds(caller.userId);
    const known = new Set(readable.map((id) => id.toHexString()));
    return channels.map(({ _id }) => _id).filter((id) => known.has(id.toHexString()));
  }

  /** What a member of a group sees of its channels; somebody who is none sees the public ones. */
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
      reads: (channel) =>
        !has(bannedFrom, channel) && (channel.visibility === 'public' || has(inside, channel)),
    };
  }

  /**
   * Who reads a channel, in the order in which they came: the members of the group of a public one, those in a private
   * one who are in its group as well, without those who are banned from it or whose account is not active.
   * @param atMost stops there. Ask for one more than a limit to learn whether there are more.
   */
  async readersOf(channel: ChannelDocument, atMost: number): Promise<Reader[]> {
    const { collection, which } = this.memberListOf(channel);
    const readers: Reader[] = [];
    let last: ObjectId | undefined;
    while (readers.length < atMost) {
      const after = last && { _id: { $gt: last } };
      const rows = collection.find({ ...which, ...after }, { projection: READER_PROJECTION });
      // Those who turn out not to read it make place for others: what is left out must not count.
      const page = await rows.sort({ _id: 1 }).limit(atMost).toArray();
      readers.push(...(await this.keepReaders(channel, page)));
      if (page.length < atMost) break;
      last = page.at(-1)!._id;
    }
    return readers.slice(0, atMost);
  }

  /**
   * Those of the people in the list of a channel's members, or of its group's members where it is public, who are in
   * it: not those who are banned from a public one, nor those in a private one who are not in its group any more.
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
   * Where the members of a channel are listed: those of a public one among the members of its group. `membersAmong`
   * tells which of them are in the channel.
   */
  memberListOf({ _id: channelId, groupId, visibility }: ChannelDocument): MemberList {
    const { memberships, channelMembers } = this.collections;
    return visibility === 'public' && groupId
      ? { collection: memberships as unknown as Collection<Reader>, which: { groupId } as Filter<Reader> }
      : {
          collection: channelMembers as unknown as Collection<Reader>,
          which: { channelId } as Filter<Reader>,
        };
  }

  /**
   * How many are in public channels of groups: the members of the group who are not banned from the channel. Channels
   * of other kinds store their number.
   * @returns the counts by the channel's id in hexadecimal digits, with three queries at most for any number of channels.
   */
  countMembers(publicChannels: readonly ChannelDocument[]): Promise<Map<string, number>> {
    return countMembers(this.collections, publicChannels);
  }

  /** What somebody is in a channel of a group: for writes that are done to them. */
  async membershipStatusOf(channel: ChannelDocument, userId: ObjectId): Promise<MembershipStatus> {
    // As if they were nobody special: a super admin reads every channel, and is not in it for that.
    const [facts] = await this.facts.channel(channel, [{ id: userId, role: 'client', state: 'active' }], {});
    const { role, inChannel, restriction } = facts!;
    return {
      inGroup: hasRank(role, 'member'),
      inChannel: inChannel === true,
      belongs: decide('channel.read', { ...facts!, restriction: null }).allowed,
      banned: restriction === 'banned',
    };
  }

  /** Those of some users who read a channel now; nobody, if it is gone. */
  async filterReaders(channelId: ObjectId, userIds: readonly ObjectId[]): Promise<ObjectId[]> {
    const channel = await this.collections.channels.findOne({ _id: channelId });
    if (!channel) return [];
    const readers = await this.keepReaders(
      channel,
      userIds.map((userId) => ({ userId })),
    );
    return readers.map(({ userId }) => userId);
  }

  /**
   * Who is in direct conversations, by the channel's id in hexadecimal digits. A conversation of two has both for
   * ever: when one of them has gone, the other still sees with whom they have talked.
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

  /** Those who have at least some role in a group, in the order in which they came. */
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
    // As if they were nobody special: a super admin reads every channel, and is not in it for that.
    const actors = active.map(({ _id }): Actor => ({ id: _id, role: 'client', state: 'active' }));
    const facts = await this.facts.channel(channel, actors, {});
    const reads = new Set(
      facts.filter((those) => decide('channel.read', those).allowed).map(({ user }) => user.id.toHexString()),
    );
    return rows.filter(({ userId }) => reads.has(userId.toHexString()));
  }
}
