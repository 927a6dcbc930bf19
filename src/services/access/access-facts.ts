import { LRUCache } from 'lru-cache';
import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock, type Transactions } from '../../db/transaction';
import type { ChannelDocument, ChannelRestrictionDocument } from '../../models/channel.model';
import { userIdsOfDirectKey } from '../../models/channels/direct-message.model';
import type { GroupDocument, GroupRole, MembershipDocument } from '../../models/group.model';
import type { Actor, Facts } from './access-rules';

/** People and groups that are kept in memory. */
const MAX_CACHED_MEMBERS = 50_000;
const MAX_CACHED_GROUPS = 1000;

type DirectFacts = Pick<Facts, 'blocked' | 'partnerUnavailable'>;
type ConsentFacts = Pick<Facts, 'subjectHasBlocked' | 'subjectInviteOnly'>;

/** What else a decision about a group or a channel may rest on. */
export interface AccessOptions {
  /** Whom it is done to. */
  subjectId?: ObjectId;
  /** The role that they are given. */
  newRole?: GroupRole;
  /** Whether to lock what the decision rests on until the end of the caller's transaction. */
  lock?: boolean;
  /** Whether this is a first look, so that the audit log has nothing to note yet. */
  quiet?: boolean;
}

/** What somebody is in a channel and in its group. */
interface MemberFacts {
  role: GroupRole | null;
  /** Whether they are in the members of a private channel. */
  inChannel: boolean;
  restriction: ChannelRestrictionDocument | undefined;
}

/**
 * Gathers what decisions rest on. What people are in the channels of groups is asked for with every message, and
 * kept in memory where this process is the only one that writes to the database: until it does so again.
 */
export class AccessFacts {
  private readonly members = new LRUCache<string, MemberFacts>({ max: MAX_CACHED_MEMBERS });
  private readonly groups = new LRUCache<string, GroupDocument>({ max: MAX_CACHED_GROUPS });
  private cachedVersion = 0;

  /** @param version grows with every write to what is kept; undefined where others write, too. */
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Pick<Transactions, 'settled'>,
    private readonly version: (() => number) | undefined,
  ) {}

  /** Whether two meet in a group or in a direct conversation. */
  async user(user: Actor, subjectId: ObjectId): Promise<Facts> {
    const { memberships, channelMembers } = this.collections;
    const userId = { $in: [user.id, subjectId] };
    const [inGroups, inChannels] = await Promise.all([
      memberships.find({ userId }, { projection: { userId: 1, groupId: 1 } }).toArray(),
      // Who shares a private channel of a group shares the group.
      channelMembers.find({ userId, groupId: null }, { projection: { userId: 1, channelId: 1 } }).toArray(),
    ]);
    const placesOf = (whose: ObjectId) => [
      ...inGroups.filter((one) => one.userId.equals(whose)).map((one) => one.groupId.toHexString()),
      ...inChannels.filter((one) => one.userId.equals(whose)).map((one) => one.channelId.toHexString()),
    ];
    const own = new Set(placesOf(user.id));
    return {
      user,
      oneself: user.id.equals(subjectId),
      shareGroupOrConversation: placesOf(subjectId).some((place) => own.has(place)),
    };
  }

  /** A group, and what the user and the one it concerns are in it. */
  async group(
    user: Actor,
    groupId: ObjectId,
    { subjectId, newRole }: AccessOptions,
  ): Promise<{ facts: Facts; membership: MembershipDocument | null }> {
    const { groups, memberships, groupBans } = this.collections;
    const [group, membership, ban, subject, subjectBan, contact] = await Promise.all([
      groups.findOne({ _id: groupId }),
      memberships.findOne({ groupId, userId: user.id }),
      groupBans.findOne({ groupId, userId: user.id }),
      subjectId && memberships.findOne({ groupId, userId: subjectId }),
      subjectId && groupBans.findOne({ groupId, userId: subjectId }),
      subjectId && this.consentFacts(user.id, subjectId),
    ]);
    const facts: Facts = {
      user,
      group,
      role: membership?.role ?? null,
      bannedFromGroup: ban !== null && isUnexpired(ban),
      subjectRole: subject?.role ?? null,
      subjectBanned: !!subjectBan && isUnexpired(subjectBan),
      ...contact,
      onSelf: subjectId?.equals(user.id) === true,
      ...(newRole && { newRole }),
    };
    return { facts, membership };
  }

  /**
   * Locks a group and what these people are in it, for a decision that rests on that. Whoever makes or ends a ban from
   * a group locks or writes the group, too: a ban that is not there cannot be locked.
   */
  async lockGroup(groupId: ObjectId, userIds: readonly ObjectId[]): Promise<void> {
    const { groups, memberships } = this.collections;
    await lock(groups, { _id: groupId });
    for (const userId of userIds) await lock(memberships, { groupId, userId });
  }

  /** Locks a channel, its group, and what these people are in that. */
  async lockChannel(
    { _id, groupId }: Pick<ChannelDocument, '_id' | 'groupId'>,
    userIds: readonly ObjectId[],
  ): Promise<void> {
    if (groupId) await this.lockGroup(groupId, userIds);
    await lock(this.collections.channels, { _id });
  }

  /** The facts for each of the users, in their order: one look for all. */
  async channel(channel: ChannelDocument, users: Actor[], { subjectId }: AccessOptions): Promise<Facts[]> {
    const userIds = users.map(({ id }) => id);
    const { groupId } = channel;
    const [group, people, direct] = await Promise.all([
      groupId && this.findGroup(groupId),
      this.findMembers(channel, subjectId ? [...userIds, subjectId] : userIds),
      channel.kind === 'direct' ? this.directFacts(channel) : undefined,
    ]);
    const personOf = (id: ObjectId) => people.get(id.toHexString())!;
    return users.map((user) => {
      const { role, inChannel, restriction } = personOf(user.id);
      return {
        user,
        channel,
        group,
        role,
        inChannel,
        restriction: restriction && isUnexpired(restriction) ? restriction.kind : null,
        ...direct,
        subjectRole: subjectId ? personOf(subjectId).role : null,
      };
    });
  }

  private async findGroup(_id: ObjectId): Promise<GroupDocument | null> {
    const key = _id.toHexString();
    const at = this.currentVersion();
    const known = at === undefined ? undefined : this.groups.get(key);
    if (known) return known;
    const group = await this.collections.groups.findOne({ _id });
    if (group && this.isCurrent(at)) this.groups.set(key, group);
    return group;
  }

  /** What these people are in a channel, by id in hexadecimal digits. */
  private async findMembers(
    channel: ChannelDocument,
    userIds: ObjectId[],
  ): Promise<Map<string, MemberFacts>> {
    const { _id, visibility } = channel;
    // Whether somebody is in the members counts in a private channel alone, and a channel may turn private.
    const keyOf = (id: string) => `${_id.toHexString()} ${visibility} ${id}`;
    const at = this.currentVersion();
    const people = new Map<string, MemberFacts>();
    const unknown: ObjectId[] = [];
    for (const userId of userIds) {
      const id = userId.toHexString();
      const person = at === undefined ? undefined : this.members.get(keyOf(id));
      if (person) people.set(id, person);
      else unknown.push(userId);
    }
    if (unknown.length === 0) return people;
    const found = await this.loadMembers(channel, unknown);
    for (const [id, person] of found) {
      people.set(id, person);
      if (this.isCurrent(at)) this.members.set(keyOf(id), person);
    }
    return people;
  }

  private async loadMembers(
    { _id: channelId, groupId, visibility }: ChannelDocument,
    userIds: ObjectId[],
  ): Promise<Map<string, MemberFacts>> {
    const { memberships, channelMembers, channelRestrictions } = this.collections;
    const userId = { $in: userIds };
    const [inGroup, inChannel, restrictions] = await Promise.all([
      groupId ? memberships.find({ groupId, userId }).toArray() : [],
      visibility === 'private' ? channelMembers.find({ channelId, userId }).toArray() : [],
      groupId ? channelRestrictions.find({ channelId, userId }).toArray() : [],
    ]);
    const roles = new Map(inGroup.map((one) => [one.userId.toHexString(), one.role]));
    const members = new Set(inChannel.map((one) => one.userId.toHexString()));
    const restricted = new Map(restrictions.map((one) => [one.userId.toHexString(), one]));
    return new Map(
      userIds.map((one) => {
        const id = one.toHexString();
        const restriction = restricted.get(id);
        return [id, { role: roles.get(id) ?? null, inChannel: members.has(id), restriction }];
      }),
    );
  }

  /**
   * Forgets what is older than the last write.
   * @returns what `isCurrent` takes, once the database has answered; undefined when memory is not to be used. A
   * transaction sees what it has written itself and what was there when it began: it is not what others see.
   */
  private currentVersion(): number | undefined {
    if (this.transactions.settled()) return undefined;
    const version = this.version?.();
    if (version !== undefined && version !== this.cachedVersion) {
      this.cachedVersion = version;
      this.members.clear();
      this.groups.clear();
    }
    return version;
  }

  /** Whether nothing has been written since then, so that what was read meanwhile may be kept. */
  private isCurrent(at: number | undefined): boolean {
    return at !== undefined && at === this.version?.();
  }

  /** What stands between the people of a direct conversation, if they are two. */
  private async directFacts({ _id, directKey, memberCount }: ChannelDocument): Promise<DirectFacts> {
    if (directKey !== undefined) {
      const [one, other] = userIdsOfDirectKey(directKey);
      return this.directFactsBetween(one!, other!);
    }
    if (memberCount !== 2) return {};
    const members = await this.collections.channelMembers.find({ channelId: _id }).toArray();
    const [one, other] = members.map(({ userId }) => userId);
    return one && other ? this.directFactsBetween(one, other) : {};
  }

  /** What may keep two people from writing to each other. */
  async directFactsBetween(one: ObjectId, other: ObjectId): Promise<DirectFacts> {
    const [blocked, away] = await Promise.all([
      this.blockedBetween(one, other),
      this.collections.users.findOne(
        { _id: { $in: [one, other] }, state: { $in: ['deactivated', 'deleted'] } },
        { projection: { _id: 1 } },
      ),
    ]);
    return { blocked, partnerUnavailable: away !== null };
  }

  /** What somebody says of being taken in by a user. */
  async consentFacts(userId: ObjectId, subjectId: ObjectId): Promise<ConsentFacts> {
    const [block, preferences] = await Promise.all([
      this.collections.blocks.findOne({ userId: subjectId, blockedId: userId }),
      this.collections.preferences.findOne({ _id: subjectId }, { projection: { groupAdditions: 1 } }),
    ]);
    return {
      subjectHasBlocked: block !== null,
      subjectInviteOnly: preferences?.groupAdditions === 'invite_only',
    };
  }

  /** Whether one of two people has blocked the other. */
  async blockedBetween(one: ObjectId, other: ObjectId): Promise<boolean> {
    const block = await this.collections.blocks.findOne({
      $or: [
        { userId: one, blockedId: other },
        { userId: other, blockedId: one },
      ],
    });
    return block !== null;
  }
}

/** Whether a ban or restriction has not run out. */
export function isUnexpired({ expiresAt }: { expiresAt: Date | null }): boolean {
  return expiresAt === null || expiresAt > new Date();
}
