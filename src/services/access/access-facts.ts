import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock, type Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import type { GroupRole, MembershipDocument } from '../../models/group.model';
import { isUnexpired, type Actor, type Facts } from './access-rules';
import { ChannelFacts } from './channel-facts';
import { DirectFacts, type PairFacts } from './direct-facts';

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

/** Finds the facts that decisions depend on, and locks them in a transaction. */
export class AccessFacts {
  private readonly direct: DirectFacts;
  readonly channels: ChannelFacts;

  /** @param version increases with every write to what `ChannelFacts` remembers; undefined while it must not be used. */
  constructor(
    private readonly collections: Collections,
    transactions: Pick<Transactions, 'settled' | 'outside'>,
    version: () => number | undefined,
  ) {
    this.direct = new DirectFacts(collections);
    this.channels = new ChannelFacts(collections, transactions, this.direct, version);
  }

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

  /** Finds the facts for each of the users, in their order. */
  channel(channel: ChannelDocument, users: readonly Actor[], { subjectId }: AccessOptions): Promise<Facts[]> {
    return this.channels.find(channel, users, subjectId);
  }

  /** The same, at once; undefined if something has to be read. */
  rememberedChannel(channel: ChannelDocument, users: readonly Actor[]): Facts[] | undefined {
    return this.channels.remembered(channel, users);
  }

  /** Reads the facts that may prevent two users from writing to each other. */
  async directFactsBetween(one: ObjectId, other: ObjectId): Promise<PairFacts> {
    const facts = await this.direct.between([[one, other]]);
    return facts([one, other]);
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
}
