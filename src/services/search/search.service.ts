import { ObjectId, type Document, type Filter } from 'mongodb';
import { z } from 'zod';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import { toMessage, type MessageDocument } from '../../models/message.model';
import type { SearchHit, SearchQuery } from '../../models/search/search.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { FairQueue } from '../kernel/fair-queue';
import { canonicalName } from '../../utils/name-keys';
import type { Access } from '../access/access';
import { highlightsIn } from './search-highlights';
import { invalid, parseSearch, type Feature, type ParsedQuery } from './search-query';
import {
  FILE_KEY,
  IMAGE_KEY,
  LINK_KEY,
  lookupsOf,
  phrasePattern,
  senderKey,
  wordPattern,
} from './search-terms';

/** Channels that one search looks into at the same time. */
const CHANNELS_AT_ONCE = 8;
/** Searches that run at the same time and that wait, in all and of one user. */
const SEARCHES = { active: 4, activePerKey: 2, waiting: 200, waitingPerKey: 50 };

/** What is known of a hit before its message is fetched. Hits are ordered by all three, falling. */
interface Found {
  _id: ObjectId;
  score: number;
  createdAt: Date;
}

/** What stands in a cursor: the place of the last hit of a page. */
const place = z.tuple([z.number(), z.number().int(), z.string().regex(/^[0-9a-f]{24}$/)]);

/** By what the text index finds all messages that have a feature. */
const FEATURE_KEYS: Partial<Record<Feature, string>> = { link: LINK_KEY, file: FILE_KEY, image: IMAGE_KEY };

const hasKey = (key: string): Document => ({ 'search.keys': { $regex: `(^| )${key}( |$)` } });

const FEATURE_FILTERS: Record<Feature, Document> = {
  link: hasKey(LINK_KEY),
  file: hasKey(FILE_KEY),
  image: hasKey(IMAGE_KEY),
  reaction: { 'reactions.0': { $exists: true } },
  pin: { pinnedAt: { $type: 'date' } },
};

/**
 * Finds messages by their text, in what the caller may read when they ask: the text index begins with the
 * channel, and only readable channels are looked into. So a search takes as long as the caller has messages,
 * whatever others wrote, and nobody learns from its duration what is said elsewhere.
 */
export class SearchService {
  private readonly queue = new FairQueue(SEARCHES);

  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
  ) {}

  /** The best hits first, of equal ones the newest. @throws AppError validation_failed, rate_limited, unavailable */
  async messages(caller: Caller, query: SearchQuery): Promise<Page<SearchHit>> {
    const parsed = parseSearch(query.query);
    const after = query.cursor === undefined ? undefined : readCursor(query.cursor);
    const { words, phrases, from, has } = parsed;
    if (words.length + phrases.length === 0 && from === undefined && keyOf(has) === undefined) {
      throw invalid('needs a word, a phrase, from:, has:link, has:file or has:image');
    }
    return this.queue.run(caller.userId.toHexString(), async () => {
      const senderId = await this.senderOf(caller, parsed);
      if (senderId === null) return { items: [], nextCursor: null };
      const channels = await this.channelsOf(caller, parsed, query);
      const search: ChannelSearch = {
        ...lookupsFor(parsed, senderId),
        filter: filterOf(parsed, senderId),
        after,
        limit: query.limit + 1,
      };
      const found: Found[] = [];
      await inParallel(channels, CHANNELS_AT_ONCE, async (channelId) => {
        found.push(...(await this.searchChannel(channelId, search)));
      });
      const page = cutPage(found.sort(byPlace), query.limit, cursorOf);
      return { items: await this.hits(page.items, parsed), nextCursor: page.nextCursor };
    });
  }

  /** Undefined when no sender is asked for, null when there is no such user. */
  private async senderOf({ userId }: Caller, { from }: ParsedQuery): Promise<ObjectId | null | undefined> {
    if (from === undefined) return undefined;
    if (from.toLowerCase() === 'me') return userId;
    const user = await this.collections.users.findOne(
      { searchName: canonicalName(from) },
      { projection: { _id: 1 } },
    );
    return user?._id ?? null;
  }

  /** The channels to look into: what the caller may read now, narrowed by the query. */
  private async channelsOf(
    { userId }: Caller,
    { in: named }: ParsedQuery,
    { groupId, channelId, kind }: SearchQuery,
  ): Promise<ObjectId[]> {
    const readable = await this.access.readableChannelIds(userId);
    const channels = await this.collections.channels
      .find({ _id: { $in: readable } }, { projection: { groupId: 1, kind: 1, name: 1, seq: 1 } })
      .toArray();
    const key = named === undefined ? undefined : canonicalName(named);
    const isMeant = ({ _id, name }: ChannelDocument) =>
      named === undefined || _id.toHexString() === named.toLowerCase() || canonicalName(name) === key;
    return channels
      .filter(
        (channel) =>
          channel.seq > 0 &&
          isMeant(channel) &&
          (groupId === undefined || channel.groupId?.toHexString() === groupId) &&
          (channelId === undefined || channel._id.toHexString() === channelId) &&
          (kind === undefined || channel.kind === kind),
      )
      .map(({ _id }) => _id);
  }

  private searchChannel(
    channelId: ObjectId,
    { lookups, ranked, filter, after, limit }: ChannelSearch,
  ): Promise<Found[]> {
    const score = ranked ? { $meta: 'textScore' } : { $literal: 0 };
    return this.collections.messages
      .aggregate<Found>([
        { $match: { channelId, $text: { $search: lookups }, ...filter } },
        { $project: { score, createdAt: 1 } },
        ...(after ? [{ $match: behind(after) }] : []),
        { $sort: { score: -1, createdAt: -1, _id: -1 } },
        { $limit: limit },
      ])
      .toArray();
  }

  private async hits(found: Found[], parsed: ParsedQuery): Promise<SearchHit[]> {
    const _id = { $in: found.map((one) => one._id) };
    // What has been deleted since it was found is left out.
    const messages = await this.collections.messages.find({ _id, deletedAt: null }).toArray();
    const byId = new Map(messages.map((message) => [message._id.toHexString(), message]));
    return found.flatMap(({ _id, score }) => {
      const message = byId.get(_id.toHexString());
      return message
        ? [{ message: toMessage(message), score, highlights: highlightsIn(message.body, parsed) }]
        : [];
    });
  }
}

interface ChannelSearch {
  /** What the text index is asked for: not all that it finds need match. */
  lookups: string;
  /** Whether the score counts. */
  ranked: boolean;
  /** What holds of each message that matches. */
  filter: Filter<MessageDocument>;
  after: Found | undefined;
  limit: number;
}

/** What the text index holds of one of the features, of those that it holds something of. */
function keyOf(has: readonly Feature[]): string | undefined {
  return has.map((feature) => FEATURE_KEYS[feature]).find((key) => key !== undefined);
}

/** What the text index is asked for: the words, or else what there is of them in every message that matches. */
function lookupsFor(
  { words, phrases, has }: ParsedQuery,
  senderId: ObjectId | undefined,
): Pick<ChannelSearch, 'lookups' | 'ranked'> {
  const ranked = words.length + phrases.length > 0;
  const ofWords = [...words, ...phrases.flat()].flatMap(lookupsOf);
  const instead = keyOf(has) ?? (senderId ? senderKey(senderId.toHexString()) : '');
  return { lookups: ranked ? [...new Set(ofWords)].join(' ') : instead, ranked };
}

function filterOf(parsed: ParsedQuery, senderId: ObjectId | undefined): Filter<MessageDocument> {
  const { words, phrases, excluded, excludedPhrases, has, since, until } = parsed;
  const required = [...words.map(wordPattern), ...phrases.map(phrasePattern)];
  const refused = [...excluded.map((word) => phrasePattern([word])), ...excludedPhrases.map(phrasePattern)];
  const all: Document[] = [
    ...required.map(($regex) => ({ 'search.text': { $regex } })),
    ...refused.map(($regex) => ({ 'search.text': { $not: { $regex } } })),
    ...has.map((feature) => FEATURE_FILTERS[feature]),
  ];
  if (senderId) all.push({ senderId });
  if (since) all.push({ createdAt: { $gte: since } });
  if (until) all.push({ createdAt: { $lt: until } });
  return all.length > 0 ? { $and: all } : {};
}

function byPlace(one: Found, other: Found): number {
  return (
    other.score - one.score ||
    other.createdAt.getTime() - one.createdAt.getTime() ||
    other._id.toHexString().localeCompare(one._id.toHexString())
  );
}

/** What comes behind a place in the order of hits. */
function behind({ score, createdAt, _id }: Found): Document {
  return {
    $or: [
      { score: { $lt: score } },
      { score, createdAt: { $lt: createdAt } },
      { score, createdAt, _id: { $lt: _id } },
    ],
  };
}

function cursorOf({ score, createdAt, _id }: Found): string {
  return Buffer.from(JSON.stringify([score, createdAt.getTime(), _id.toHexString()])).toString('base64url');
}

function readCursor(cursor: string): Found {
  try {
    const [score, time, id] = place.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    const createdAt = new Date(time);
    if (!Number.isNaN(createdAt.getTime())) return { score, createdAt, _id: new ObjectId(id) };
  } catch {
    // Told below: a cursor has one way of being wrong.
  }
  const message = 'must be the `nextCursor` of the previous page';
  throw new AppError('validation_failed', `cursor: ${message}`, [{ path: 'cursor', message }]);
}

/** Does work for each item, some at a time. */
async function inParallel<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const workers = Array.from({ length: Math.min(atOnce, items.length) }, async () => {
    for (const item of rest) await work(item);
  });
  await Promise.all(workers);
}
