import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import type { EveryoneMention } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import { mentionNames } from '../../utils/mention-names';
import { actorOf, type Access } from '../access/access';

/** Who wrote what. */
export interface Saying {
  sender: Caller;
  body: string;
}

/** Whom a text mentions. */
export interface Mentioned {
  userIds: ObjectId[];
  everyone: EveryoneMention | null;
}

const NOBODY: Mentioned = { userIds: [], everyone: null };
const EVERYONE = new Map<string, EveryoneMention>([
  ['channel', 'channel'],
  ['here', 'here'],
]);

/**
 * Turns the names in texts into people, once, at the server. A name counts when it is that of somebody else who
 * reads the channel and has not blocked the sender; all others stay plain text, as does `@channel` of those who may
 * not say it: a send is not refused for a word in it.
 */
export class Mentions {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
  ) {}

  /** For each of the texts, in their order. Texts without an @ cost no query; all others share the same few. */
  async find(channel: ChannelDocument, sayings: readonly Saying[]): Promise<Mentioned[]> {
    const named = sayings.map(({ body }) => mentionNames(body));
    const names = new Set(named.flat(2));
    if (names.size === 0) return sayings.map(() => NOBODY);
    const speakers = sayings.filter((_, index) => named[index]!.length > 0).map(({ sender }) => sender);
    const everyone = [...EVERYONE.keys()].some((name) => names.has(name));
    const [readers, heralds] = await Promise.all([
      this.readers(channel, [...names]),
      everyone ? this.heralds(channel, speakers) : new Set<string>(),
    ]);
    const blocks = await this.blocks([...readers.values()], speakers);
    return sayings.map(({ sender }, index): Mentioned => {
      const userIds = new Map<string, ObjectId>();
      const wide = new Set<EveryoneMention>();
      for (const readings of named[index]!) {
        const meant = readings.find((name) => EVERYONE.has(name) || readers.has(name));
        if (meant === undefined) continue;
        const herald = EVERYONE.get(meant);
        const userId = readers.get(meant);
        if (herald && heralds.has(sender.userId.toHexString())) wide.add(herald);
        if (herald || !userId || userId.equals(sender.userId)) continue;
        if (!blocks.has(pair(userId, sender.userId))) userIds.set(userId.toHexString(), userId);
      }
      return {
        userIds: [...userIds.values()],
        everyone: wide.has('channel') ? 'channel' : wide.has('here') ? 'here' : null,
      };
    });
  }

  /** Those with these names who read the channel, by name in lower case. */
  private async readers(channel: ChannelDocument, names: string[]): Promise<Map<string, ObjectId>> {
    const users = await this.collections.users
      .find({ searchName: { $in: names } }, { projection: { searchName: 1 } })
      .toArray();
    if (users.length === 0) return new Map();
    // As if they were nobody special: a super admin reads every channel, and is not in it for that.
    const people = users.map(({ _id }) => ({ id: _id, role: 'client', state: 'active' }) as const);
    const decisions = await this.access.decideForUsers(channel, 'channel.read', people);
    return new Map(
      users.flatMap(({ _id, searchName }, index): [string, ObjectId][] =>
        searchName !== undefined && decisions[index]!.decision.allowed ? [[searchName, _id]] : [],
      ),
    );
  }

  /** Those of the speakers who may mention everybody, by id in hexadecimal digits. */
  private async heralds(channel: ChannelDocument, speakers: Caller[]): Promise<Set<string>> {
    const action = 'message.mention_everyone';
    const decisions = await this.access.decideForUsers(channel, action, speakers.map(actorOf));
    const allowed = new Set<string>();
    for (const [index, speaker] of speakers.entries()) {
      const { decision } = decisions[index]!;
      if (!decision.allowed) continue;
      const id = speaker.userId.toHexString();
      if (decision.overrides && !allowed.has(id)) {
        await this.access.recordOverride(speaker, action, 'channel', channel._id);
      }
      allowed.add(id);
    }
    return allowed;
  }

  /** Who has blocked which of the speakers, as pairs. */
  private async blocks(readers: ObjectId[], speakers: Caller[]): Promise<Set<string>> {
    if (readers.length === 0) return new Set();
    const rows = await this.collections.blocks
      .find({ userId: { $in: readers }, blockedId: { $in: speakers.map(({ userId }) => userId) } })
      .toArray();
    return new Set(rows.map(({ userId, blockedId }) => pair(userId, blockedId)));
  }
}

const pair = (one: ObjectId, other: ObjectId) => `${one.toHexString()} ${other.toHexString()}`;
