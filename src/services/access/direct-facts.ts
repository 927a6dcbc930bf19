import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import { userIdsOfDirectKey } from '../../models/channels/direct-message.model';
import type { Facts } from './access-rules';

/** The facts that may prevent two users from writing to each other. */
export type PairFacts = Pick<Facts, 'blocked' | 'partnerUnavailable'>;

/** Reads what lies between two users: blocks, and accounts that do not exist any more. */
export class DirectFacts {
  constructor(private readonly collections: Pick<Collections, 'blocks' | 'users' | 'channelMembers'>) {}

  /** Reads the facts of conversations of two, by the same names. A conversation that has lost a member has none. */
  async read(conversations: ReadonlyMap<string, ChannelDocument>): Promise<Map<string, PairFacts>> {
    const pairs = await this.pairsOf(conversations);
    const facts = await this.between([...pairs.values()]);
    return new Map(
      [...conversations.keys()].map((name) => {
        const pair = pairs.get(name);
        return [name, pair ? facts(pair) : {}];
      }),
    );
  }

  /**
   * Reads the facts of pairs of users, with two queries.
   * @returns a function that gives those of each pair.
   */
  async between(pairs: readonly Pair[]): Promise<(pair: Pair) => PairFacts> {
    const blocks = pairs.flatMap(([one, other]) => [
      { userId: one, blockedId: other },
      { userId: other, blockedId: one },
    ]);
    if (blocks.length === 0) return () => ({});
    const [found, away] = await Promise.all([
      this.collections.blocks.find({ $or: blocks }, { projection: { userId: 1, blockedId: 1 } }).toArray(),
      this.collections.users
        .find(
          { _id: { $in: pairs.flat() }, state: { $in: ['deactivated', 'deleted'] } },
          { projection: { _id: 1 } },
        )
        .toArray(),
    ]);
    const blocked = new Set(found.map(({ userId, blockedId }) => nameOf(userId, blockedId)));
    const unavailable = new Set(away.map(({ _id }) => _id.toHexString()));
    return ([one, other]) => ({
      blocked: blocked.has(nameOf(one, other)) || blocked.has(nameOf(other, one)),
      partnerUnavailable: [one, other].some((id) => unavailable.has(id.toHexString())),
    });
  }

  /** Finds the two users of each conversation. Those that began with more users have no key. */
  private async pairsOf(conversations: ReadonlyMap<string, ChannelDocument>): Promise<Map<string, Pair>> {
    const pairs = new Map<string, Pair>();
    const larger = new Map<string, ObjectId>();
    for (const [name, { _id, directKey }] of conversations) {
      if (directKey === undefined) larger.set(name, _id);
      else pairs.set(name, userIdsOfDirectKey(directKey) as Pair);
    }
    if (larger.size === 0) return pairs;
    const members = await this.collections.channelMembers
      .find({ channelId: { $in: [...larger.values()] } })
      .toArray();
    for (const [name, _id] of larger) {
      const [one, other] = members
        .filter(({ channelId }) => channelId.equals(_id))
        .map(({ userId }) => userId);
      if (one && other) pairs.set(name, [one, other]);
    }
    return pairs;
  }
}

export type Pair = [one: ObjectId, other: ObjectId];

const nameOf = (one: ObjectId, other: ObjectId) => `${one.toHexString()} ${other.toHexString()}`;
