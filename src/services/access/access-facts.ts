import { LRUCache } from 'lru-cache';
import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock, type Transactions } from '../../db/transaction';
import type { ChannelDocument, ChannelRestrictionDocument } from '../../models/channel.model';
import { userIdsOfDirectKey } from '../../models/channels/direct-message.model';
import type { GroupDocument, GroupRole, MembershipDocument } from '../../models/group.model';
import type { Actor, Facts } from './access-rules';

/** Cached members of channels, and cached groups. */
const MAX_CACHED_MEMBERS = 50_000;
const MAX_CACHED_GROUPS = 1000;

type DirectFacts = Pick<Facts, 'blocked' | 'partnerUnavailable'>;
type ConsentFacts = Pick<Facts, 'subjectHasBlocked' | 'subjectInviteOnly'>;

/** What a decision about a group or a channel may depend on in addition to the caller and the resource. */
export interface AccessOptions {
  /** The user whom the action affects. */
  subjectId?: ObjectId;
  /** The role that the subject is given. */
  newRole?: GroupRole;
  /** Whether to lock the documents that the decision depends on until the end of the caller's transaction. */
  lock?: boolean;
  /** Whether this is a preliminary check, which the audit log does not record. */
  preliminary?: boolean;
}

/** A user's role in the group of a channel, membership in the channel, and restriction. */
interface MemberFacts {
  role: GroupRole | null;
  /** Whether they are a member of a private channel. */
  inChannel: boolean;
  restriction: ChannelRestrictionDocument | undefined;
}

/**
 * Loads the facts that decisions depend on. Roles and memberships are needed for every message, so they are cached until
 * the next write, if this process is the only one that writes to the database.
 */
export class AccessFacts {
  private readonly members = new LRUCache<string, MemberFacts>({ max: MAX_CACHED_MEMBERS });
  private readonly groups = new LRUCache<string, GroupDocument>({ max: MAX_CACHED_GROUPS });
  private cachedVersion = 0;

  /** @param version grows with every write to cached documents; undefined if other processes write, too. */
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Pick<Transactions, 'settled'>,
    private readonly version: (() => number) | undefined,
  ) {}

  /** Loads whether two users have a group or a direct conversation in common. */
  async user(user: Actor, subjectId: ObjectId): Promise<Facts> {
    const { memberships, channelMembers } = this.collections;
    const userId = { $in: [user.id, subjectId] };
    const [inGroups, inChannels] = await Promise.all([
      memberships.find({ userId }, { projection: { userId: 1, groupId: 1 } }).toArray(),
      // Members of a private channel of a group are members of the group.
      channelMembers.find({ userId, groupId: null }, { projection: { userId: 1, channelId: 1 } }).toArray(),
    ]);
    const idsOf = (whose: ObjectId) => [
      ...inGroups.filter((one) => one.userId.equals(whose)).map((one) => one.groupId.toHexString()),
      ...inChannels.filter((one) => one.userId.equals(whose)).map((one) => one.channelId.toHexString()),
    ];
    const own = new Set(idsOf(user.id));
    return {
      user,
      oneself: user.id.equals(subjectId),
      shareGroupOrConversation: idsOf(subjectId).some((id) => own.has(id)),
    };
  }

  /** Loads a group, and the roles and bans of the user and of the subject in it. */
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
   * Locks a group and the memberships of these users in it, for a decision that depends on them. A ban that does not exist
   * cannot be locked: every write that creates or ends a ban from the group therefore locks or writes the group.
   */
  async lockGroup(groupId: ObjectId, userIds: readonly ObjectId[]): Promise<void> {
    const { groups, memberships } = this.collections;
    await lock(groups, { _id: groupId });
    for (const userId of userIds) await lock(memberships, { groupId, userId });
  }

  /** Locks a channel, its group, and the memberships of these users in the group. */
  async lockChannel(
    { _id, groupId }: Pick<ChannelDocument, '_id' | 'groupId'>,
    userIds: readonly ObjectId[],
  ): Promise<void> {
    if (groupId) await this.lockGroup(groupId, userIds);
    await lock(this.collections.channels, { _id });
  }

  /** Loads the facts for each of the users, in their order, with the same number of queries for any number of them. */
  async channel(channel: ChannelDocument, users: Actor[], { subjectId }: AccessOptions): Promise<Facts[]> {
    const userIds = users.map(({ id }) => id);
    const { groupId } = channel;
    const [group, members, direct] = await Promise.all([
      groupId && this.findGroup(groupId),
      this.findMembers(channel, subjectId ? [...userIds, subjectId] : userIds),
      channel.kind === 'direct' ? this.directFacts(channel) : undefined,
    ]);
    const memberOf = (id: ObjectId) => members.get(id.toHexString())!;
    return users.map((user) => {
      const { role, inChannel, restriction } = memberOf(user.id);
      return {
        user,
        channel,
        group,
        role,
        inChannel,
        restriction: restriction && isUnexpired(restriction) ? restriction.kind : null,
        ...direct,
        subjectRole: subjectId ? memberOf(subjectId).role : null,
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

  /** Finds the facts of members of a channel, cached or loaded, by user id in hexadecimal digits. */
  private async findMembers(
    channel: ChannelDocument,
    userIds: ObjectId[],
  ): Promise<Map<string, MemberFacts>> {
    const { _id, visibility } = channel;
    // Membership is loaded for private channels only, and a channel may become private: its visibility is part of the key.
    const keyOf = (id: string) => `${_id.toHexString()} ${visibility} ${id}`;
    const at = this.currentVersion();
    const facts = new Map<string, MemberFacts>();
    const unknown: ObjectId[] = [];
    for (const userId of userIds) {
      const id = userId.toHexString();
      const member = at === undefined ? undefined : this.members.get(keyOf(id));
      if (member) facts.set(id, member);
      else unknown.push(userId);
    }
    if (unknown.length === 0) return facts;
    const found = await this.loadMembers(channel, unknown);
    for (const [id, member] of found) {
      facts.set(id, member);
      if (this.isCurrent(at)) this.members.set(keyOf(id), member);
    }
    return facts;
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
   * Clears the caches if something has been written since they were filled.
   * @returns the version to pass to `isCurrent` after a query; undefined if the caches must not be used. A transaction
   * reads its own writes and the snapshot of its start, which is not what others read.
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

  /** Whether nothing has been written since that version, so that what was read meanwhile may be cached. */
  private isCurrent(at: number | undefined): boolean {
    return at !== undefined && at === this.version?.();
  }

  /** Loads the facts of a direct conversation of two people; none for a larger one. */
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

  /** Loads the facts that may prevent two users from writing to each other. */
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

  /** Loads whether a user has blocked the other one, and whether they accept to be added to groups. */
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

  /** Whether one of two users has blocked the other. */
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

/** Whether a ban, a restriction or an invite has not expired. */
export function isUnexpired({ expiresAt }: { expiresAt: Date | null }): boolean {
  return expiresAt === null || expiresAt > new Date();
}
