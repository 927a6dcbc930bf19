import type { LRUCache } from 'lru-cache';
import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument, ChannelRestrictionDocument } from '../../models/channel.model';
import type { GroupDocument, GroupRole } from '../../models/group.model';
import { CountedCache } from '../../utils/counted-cache';
import { TurnLoader } from '../kernel/turn-loader';
import { isUnexpired, type Actor, type Facts } from './access-rules';
import type { DirectFacts, PairFacts } from './direct-facts';

/** Remembered members of channels, groups, and conversations of two. */
const MAX_MEMBERS = 50_000;
const MAX_GROUPS = 1000;
const MAX_PAIRS = 20_000;

/** A user's role in the group of a channel, membership in the channel, and restriction. */
interface MemberFacts {
  role: GroupRole | null;
  /** Whether they are a member of a private channel. */
  inChannel: boolean;
  restriction: ChannelRestrictionDocument | undefined;
}

/** A user and a channel for which the facts are needed. */
interface MemberKey {
  channel: ChannelDocument;
  userId: ObjectId;
}

/** The facts about one channel, except those about the users in it. */
interface ChannelState {
  group: GroupDocument | null | undefined;
  pair: PairFacts | undefined;
}

/**
 * Finds the facts that decisions about channels depend on. They are needed for every message, so they are remembered until
 * the next write that concerns any of them. What is not remembered is read once for all channels that need it in the
 * same turn.
 */
export class ChannelFacts {
  readonly members = new CountedCache<string, MemberFacts>({ max: MAX_MEMBERS });
  readonly groups = new CountedCache<string, GroupDocument>({ max: MAX_GROUPS });
  readonly pairs = new CountedCache<string, PairFacts>({ max: MAX_PAIRS });
  private rememberedVersion = 0;
  private readonly memberLoader: TurnLoader<MemberKey, MemberFacts>;
  private readonly groupLoader: TurnLoader<ObjectId, GroupDocument>;
  private readonly pairLoader: TurnLoader<ChannelDocument, PairFacts>;

  /** @param version increases with every write to the facts; undefined while nothing may be remembered. */
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Pick<Transactions, 'settled' | 'outside'>,
    private readonly direct: DirectFacts,
    private readonly version: () => number | undefined,
  ) {
    this.memberLoader = new TurnLoader(transactions, (keys) =>
      this.reading(this.members, () => this.readMembers(keys)),
    );
    this.groupLoader = new TurnLoader(transactions, (keys) =>
      this.reading(this.groups, () => this.readGroups(keys)),
    );
    this.pairLoader = new TurnLoader(transactions, (keys) =>
      this.reading(this.pairs, () => this.direct.read(keys)),
    );
  }

  /** Returns the facts for each of the users, in their order; undefined if some of them are not remembered. */
  remembered(channel: ChannelDocument, users: readonly Actor[]): Facts[] | undefined {
    if (!this.mayRemember()) return undefined;
    const { groupId } = channel;
    const group = groupId && this.groups.get(groupId.toHexString());
    const pair = isPair(channel) ? this.pairs.get(channel._id.toHexString()) : undefined;
    if (group === undefined || (isPair(channel) && !pair)) return undefined;
    const facts: Facts[] = [];
    for (const user of users) {
      const member = this.members.get(nameOf(channel, user.id));
      if (!member) return undefined;
      facts.push(factsOf(user, channel, { group, pair }, member));
    }
    return facts;
  }

  /**
   * Finds the facts for each of the users, in their order.
   * @param subjectId the user whom the action affects.
   */
  async find(channel: ChannelDocument, users: readonly Actor[], subjectId?: ObjectId): Promise<Facts[]> {
    const remembered = subjectId ? undefined : this.remembered(channel, users);
    if (remembered) return remembered;
    const userIds = users.map(({ id }) => id);
    const [group, pair, members] = await Promise.all([
      channel.groupId && this.findGroup(channel.groupId),
      isPair(channel) ? this.findPair(channel) : undefined,
      this.findMembers(channel, subjectId ? [...userIds, subjectId] : userIds),
    ]);
    const memberOf = (id: ObjectId) => members.get(nameOf(channel, id))!;
    return users.map((user) => ({
      ...factsOf(user, channel, { group, pair }, memberOf(user.id)),
      subjectRole: subjectId ? memberOf(subjectId).role : null,
    }));
  }

  private async findGroup(groupId: ObjectId): Promise<GroupDocument | null> {
    const name = groupId.toHexString();
    const known = this.mayRemember() ? this.groups.get(name) : undefined;
    if (known) return known;
    const keys = new Map([[name, groupId]]);
    const found = await (this.inTransaction() ? this.readGroups(keys) : this.groupLoader.load(keys));
    return found.get(name) ?? null;
  }

  private async findPair(channel: ChannelDocument): Promise<PairFacts | undefined> {
    const name = channel._id.toHexString();
    const known = this.mayRemember() ? this.pairs.get(name) : undefined;
    if (known) return known;
    const keys = new Map([[name, channel]]);
    const found = await (this.inTransaction() ? this.direct.read(keys) : this.pairLoader.load(keys));
    return found.get(name);
  }

  /** Finds the facts of members of a channel, by `nameOf`. */
  private async findMembers(
    channel: ChannelDocument,
    userIds: readonly ObjectId[],
  ): Promise<ReadonlyMap<string, MemberFacts>> {
    const mayRemember = this.mayRemember();
    const known = new Map<string, MemberFacts>();
    const unknown = new Map<string, MemberKey>();
    for (const userId of userIds) {
      const name = nameOf(channel, userId);
      const member = mayRemember ? this.members.get(name) : undefined;
      if (member) known.set(name, member);
      else unknown.set(name, { channel, userId });
    }
    if (unknown.size === 0) return known;
    const found = await (this.inTransaction() ? this.readMembers(unknown) : this.memberLoader.load(unknown));
    if (known.size === 0) return found;
    for (const name of unknown.keys()) known.set(name, found.get(name)!);
    return known;
  }

  private async readGroups(keys: ReadonlyMap<string, ObjectId>): Promise<Map<string, GroupDocument>> {
    const found = await this.collections.groups.find({ _id: { $in: [...keys.values()] } }).toArray();
    return new Map(found.map((group) => [group._id.toHexString(), group]));
  }

  private async readMembers(keys: ReadonlyMap<string, MemberKey>): Promise<Map<string, MemberFacts>> {
    const { memberships, channelMembers, channelRestrictions } = this.collections;
    const ofGroups: Pairs = new Map();
    const ofPrivate: Pairs = new Map();
    const ofChannels: Pairs = new Map();
    for (const { channel, userId } of keys.values()) {
      if (channel.groupId) {
        addPair(ofGroups, channel.groupId, userId);
        addPair(ofChannels, channel._id, userId);
      }
      if (channel.visibility === 'private') addPair(ofPrivate, channel._id, userId);
    }
    const [inGroup, inChannel, restrictions] = await Promise.all([
      ofGroups.size > 0 ? memberships.find(anyOf('groupId', ofGroups)).toArray() : [],
      ofPrivate.size > 0 ? channelMembers.find(anyOf('channelId', ofPrivate)).toArray() : [],
      ofChannels.size > 0 ? channelRestrictions.find(anyOf('channelId', ofChannels)).toArray() : [],
    ]);
    const roles = new Map(inGroup.map((one) => [pairName(one.groupId, one.userId), one.role]));
    const inside = new Set(inChannel.map((one) => pairName(one.channelId, one.userId)));
    const restricted = new Map(restrictions.map((one) => [pairName(one.channelId, one.userId), one]));
    const facts = new Map<string, MemberFacts>();
    for (const [name, { channel, userId }] of keys) {
      const inChannelName = pairName(channel._id, userId);
      facts.set(name, {
        role: (channel.groupId && roles.get(pairName(channel.groupId, userId))) ?? null,
        inChannel: inside.has(inChannelName),
        restriction: restricted.get(inChannelName),
      });
    }
    return facts;
  }

  private inTransaction(): boolean {
    return this.transactions.settled() !== undefined;
  }

  /**
   * Whether what is remembered is valid; clears it first if something has been written since. A transaction reads its own
   * writes and the snapshot of its start, which is not what others read.
   */
  private mayRemember(): boolean {
    const version = this.version();
    if (version === undefined) return false;
    if (version !== this.rememberedVersion) {
      this.rememberedVersion = version;
      this.members.clear();
      this.groups.clear();
      this.pairs.clear();
    }
    return !this.inTransaction();
  }

  /** Remembers what is read, unless something is written meanwhile. */
  private async reading<Value extends object>(
    memory: LRUCache<string, Value>,
    read: () => Promise<Map<string, Value>>,
  ): Promise<Map<string, Value>> {
    const before = this.version();
    const found = await read();
    if (before === undefined || before !== this.version() || !this.mayRemember()) return found;
    for (const [name, value] of found) memory.set(name, value);
    return found;
  }
}

function factsOf(
  user: Actor,
  channel: ChannelDocument,
  { group, pair }: ChannelState,
  { role, inChannel, restriction }: MemberFacts,
): Facts {
  return {
    user,
    channel,
    group: group ?? null,
    role,
    inChannel,
    restriction: restriction && isUnexpired(restriction) ? restriction.kind : null,
    ...pair,
    subjectRole: null,
  };
}

/** Users by a group or a channel. */
type Pairs = Map<string, { id: ObjectId; userIds: ObjectId[] }>;

function addPair(pairs: Pairs, id: ObjectId, userId: ObjectId): void {
  const key = id.toHexString();
  const entry = pairs.get(key);
  if (entry) entry.userIds.push(userId);
  else pairs.set(key, { id, userIds: [userId] });
}

/** A filter that matches all of these pairs. */
function anyOf<Field extends 'groupId' | 'channelId'>(
  field: Field,
  pairs: Pairs,
): { $or: ({ userId: { $in: ObjectId[] } } & Record<Field, ObjectId>)[] } {
  const $or = [...pairs.values()].map(
    ({ id, userIds }) =>
      ({ [field]: id, userId: { $in: userIds } }) as { userId: { $in: ObjectId[] } } & Record<
        Field,
        ObjectId
      >,
  );
  return { $or };
}

const pairName = (id: ObjectId, userId: ObjectId) => `${id.toHexString()} ${userId.toHexString()}`;

/**
 * The name of a user in a channel. Membership is read for private channels only, and a channel may become private: its
 * visibility is part of the name.
 */
const nameOf = ({ _id, visibility }: ChannelDocument, userId: ObjectId) =>
  `${_id.toHexString()} ${visibility} ${userId.toHexString()}`;

/** Whether a channel is a conversation of two: a larger one continues after a block. */
const isPair = ({ kind, directKey, memberCount }: ChannelDocument) =>
  kind === 'direct' && (directKey !== undefined || memberCount === 2);
