import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import type { EveryoneMention } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import { mentionNames } from '../../utils/mention-names';
import { actorOf, type Access } from '../access/access';
import { TurnLoader } from '../kernel/turn-loader';

/** A text and its author. */
export interface AuthoredText {
  sender: Caller;
  body: string;
}

/** The users whom a text mentions. */
export interface Mentioned {
  userIds: ObjectId[];
  everyone: EveryoneMention | null;
}

const NO_MENTIONS: Mentioned = { userIds: [], everyone: null };
const EVERYONE = new Map<string, EveryoneMention>([
  ['channel', 'channel'],
  ['here', 'here'],
]);

/**
 * Resolves the names in texts to users. A name is a mention if it belongs to another user who reads the channel and has
 * not blocked the sender; other names remain plain text, and so does `@channel` of a sender who may not mention
 * everyone: a message is not refused for a word in it.
 */
export class Mentions {
  private readonly nameLoader: TurnLoader<string, ObjectId>;
  private readonly blockLoader: TurnLoader<BlockKey, true>;

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Pick<Transactions, 'outside' | 'settled'>,
    private readonly access: Access,
  ) {
    this.nameLoader = new TurnLoader(transactions, (names) => this.readUsers(names));
    this.blockLoader = new TurnLoader(transactions, (keys) => this.readBlocks(keys));
  }

  /**
   * Returns the mentions of each text, in the order of the texts. Texts without an @ cost no query; the others share a few,
   * also with those of other channels in the same turn.
   */
  async find(channel: ChannelDocument, texts: readonly AuthoredText[]): Promise<Mentioned[]> {
    const named = texts.map(({ body }) => mentionNames(body));
    const names = new Set(named.flat(2));
    if (names.size === 0) return texts.map(() => NO_MENTIONS);
    const senders = texts.filter((_, index) => named[index]!.length > 0).map(({ sender }) => sender);
    const everyone = [...EVERYONE.keys()].some((name) => names.has(name));
    const [readers, mayMentionEveryone] = await Promise.all([
      this.readers(channel, [...names]),
      everyone ? this.findMayMentionEveryone(channel, senders) : new Set<string>(),
    ]);
    const blocks = await this.blocks([...readers.values()], senders);
    return texts.map(({ sender }, index): Mentioned => {
      const userIds = new Map<string, ObjectId>();
      const everyoneKinds = new Set<EveryoneMention>();
      for (const candidates of named[index]!) {
        const name = candidates.find((candidate) => EVERYONE.has(candidate) || readers.has(candidate));
        if (name === undefined) continue;
        const everyoneMention = EVERYONE.get(name);
        const userId = readers.get(name);
        if (everyoneMention && mayMentionEveryone.has(sender.userId.toHexString()))
          everyoneKinds.add(everyoneMention);
        if (everyoneMention || !userId || userId.equals(sender.userId)) continue;
        if (!blocks.has(pair(userId, sender.userId))) userIds.set(userId.toHexString(), userId);
      }
      return {
        userIds: [...userIds.values()],
        everyone: everyoneKinds.has('channel') ? 'channel' : everyoneKinds.has('here') ? 'here' : null,
      };
    });
  }

  /** The readers of the channel who have these names, by name in lower case. */
  private async readers(channel: ChannelDocument, names: string[]): Promise<Map<string, ObjectId>> {
    const keys = new Map(names.map((name) => [name, name]));
    const found = await (this.inTransaction() ? this.readUsers(keys) : this.nameLoader.load(keys));
    const users = names.flatMap((name): [string, ObjectId][] => {
      const userId = found.get(name);
      return userId ? [[name, userId]] : [];
    });
    if (users.length === 0) return new Map();
    // Decided as for a plain user: a super admin may read every channel, but is not a member of each.
    const actors = users.map(([, id]) => ({ id, role: 'client', state: 'active' }) as const);
    const decisions = await this.access.decideForUsers(channel, 'channel.read', actors);
    return new Map(users.filter((_, index) => decisions[index]!.decision.allowed));
  }

  /** Reads the ids of users by their names in lower case. */
  private async readUsers(names: ReadonlyMap<string, string>): Promise<Map<string, ObjectId>> {
    const users = await this.collections.users
      .find({ searchName: { $in: [...names.keys()] } }, { projection: { searchName: 1 } })
      .toArray();
    return new Map(users.map(({ _id, searchName }) => [searchName!, _id]));
  }

  /** The senders who may mention everyone, by id in hexadecimal digits. */
  private async findMayMentionEveryone(channel: ChannelDocument, senders: Caller[]): Promise<Set<string>> {
    const action = 'message.mention_everyone';
    const decisions = await this.access.decideForUsers(channel, action, senders.map(actorOf));
    const allowed = new Set<string>();
    for (const [index, sender] of senders.entries()) {
      const { decision } = decisions[index]!;
      if (!decision.allowed) continue;
      const id = sender.userId.toHexString();
      if (decision.overrides && !allowed.has(id)) {
        await this.access.recordOverride(sender, action, 'channel', channel._id);
      }
      allowed.add(id);
    }
    return allowed;
  }

  /** The pairs of a reader and a sender whom they have blocked. */
  private async blocks(readers: ObjectId[], senders: Caller[]): Promise<Pick<Set<string>, 'has'>> {
    const keys = new Map<string, BlockKey>();
    for (const userId of readers) {
      for (const { userId: blockedId } of senders) keys.set(pair(userId, blockedId), { userId, blockedId });
    }
    if (keys.size === 0) return new Set();
    return this.inTransaction() ? this.readBlocks(keys) : this.blockLoader.load(keys);
  }

  private async readBlocks(keys: ReadonlyMap<string, BlockKey>): Promise<Map<string, true>> {
    const rows = await this.collections.blocks.find({ $or: [...keys.values()] }).toArray();
    return new Map(rows.map(({ userId, blockedId }) => [pair(userId, blockedId), true]));
  }

  private inTransaction(): boolean {
    return this.transactions.settled() !== undefined;
  }
}

/** A reader, and a sender whom they may have blocked. */
interface BlockKey {
  userId: ObjectId;
  blockedId: ObjectId;
}

const pair = (one: ObjectId, other: ObjectId) => `${one.toHexString()} ${other.toHexString()}`;
