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
  indexTermsOf,
  phrasePattern,
  senderKey,
  wordPattern,
} from './search-terms';

/** The number of channels that one search queries at the same time. */
const CONCURRENT_CHANNELS = 8;
/** How many searches run at the same time and wait, in all and per user. */
const QUEUE_LIMITS = { active: 4, activePerKey: 2, waiting: 200, waitingPerKey: 50 };

/** A hit before its message is loaded. Hits are sorted by score, time and id, all descending. */
interface RankedHit {
  _id: ObjectId;
  score: number;
  createdAt: Date;
}

/** The content of a cursor: score, time and id of the last hit of a page. */
const cursorContent = z.tuple([z.number(), z.number().int(), z.string().regex(/^[0-9a-f]{24}$/)]);

/** The index terms that find all messages with a feature. */
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
 * Finds messages by their text, among those that the caller may read at that moment. The text index begins with the
 * channel, and only readable channels are searched: the duration of a search depends on the caller's own channels
 * alone, so nobody can infer from it what is written elsewhere.
 */
export class SearchService {
  readonly queue = new FairQueue(QUEUE_LIMITS);

  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
  ) {}

  /** A page of hits, the best first, and of equal scores the newest. @throws AppError validation_failed, rate_limited, unavailable */
  async messages(caller: Caller, query: SearchQuery): Promise<Page<SearchHit>> {
    const parsed = parseSearch(query.query);
    const after = query.cursor === undefined ? undefined : readCursor(query.cursor);
    const { words, phrases, from, has } = parsed;
    if (words.length + phrases.length === 0 && from === undefined && keyOf(has) === undefined) {
      throw invalid('requires a word, a phrase, from:, has:link, has:file or has:image');
    }
    return this.queue.run(caller.userId.toHexString(), async () => {
      const senderId = await this.findSender(caller, parsed);
      if (senderId === null) return { items: [], nextCursor: null };
      const channels = await this.findChannels(caller, parsed, query);
      const search: ChannelSearch = {
        ...indexTermsFor(parsed, senderId),
        filter: filterOf(parsed, senderId),
        after,
        limit: query.limit + 1,
      };
      const found: RankedHit[] = [];
      await forEachConcurrently(channels, CONCURRENT_CHANNELS, async (channelId) => {
        found.push(...(await this.searchChannel(channelId, search)));
      });
      const page = cutPage(found.sort(byRank), query.limit, cursorOf);
      return { items: await this.loadHits(page.items, parsed), nextCursor: page.nextCursor };
    });
  }

  /** @returns undefined if the query names no sender, null if there is no such user. */
  private async findSender({ userId }: Caller, { from }: ParsedQuery): Promise<ObjectId | null | undefined> {
    if (from === undefined) return undefined;
    if (from.toLowerCase() === 'me') return userId;
    const user = await this.collections.users.findOne(
      { searchName: canonicalName(from) },
      { projection: { _id: 1 } },
    );
    return user?._id ?? null;
  }

  /** The channels to search: those that the caller may read now and that the query does not exclude. */
  private async findChannels(
    { userId }: Caller,
    { in: channelName }: ParsedQuery,
    { groupId, channelId, kind }: SearchQuery,
  ): Promise<ObjectId[]> {
    const readable = await this.access.readableChannelIds(userId);
    const channels = await this.collections.channels
      .find({ _id: { $in: readable } }, { projection: { groupId: 1, kind: 1, name: 1, seq: 1 } })
      .toArray();
    const key = channelName === undefined ? undefined : canonicalName(channelName);
    const matchesName = ({ _id, name }: ChannelDocument) =>
      channelName === undefined ||
      _id.toHexString() === channelName.toLowerCase() ||
      canonicalName(name) === key;
    return channels
      .filter(
        (channel) =>
          channel.seq > 0 &&
          matchesName(channel) &&
          (groupId === undefined || channel.groupId?.toHexString() === groupId) &&
          (channelId === undefined || channel._id.toHexString() === channelId) &&
          (kind === undefined || channel.kind === kind),
      )
      .map(({ _id }) => _id);
  }

  private searchChannel(
    channelId: ObjectId,
    { terms, ranked, filter, after, limit }: ChannelSearch,
  ): Promise<RankedHit[]> {
    const score = ranked ? { $meta: 'textScore' } : { $literal: 0 };
    return this.collections.messages
      .aggregate<RankedHit>([
        { $match: { channelId, $text: { $search: terms }, ...filter } },
        { $project: { score, createdAt: 1 } },
        ...(after ? [{ $match: afterHit(after) }] : []),
        { $sort: { score: -1, createdAt: -1, _id: -1 } },
        { $limit: limit },
      ])
      .toArray();
  }

  private async loadHits(found: RankedHit[], parsed: ParsedQuery): Promise<SearchHit[]> {
    const _id = { $in: found.map((one) => one._id) };
    // Messages that have been deleted since they were found are left out.
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
  /** The search string of the text index: it finds all messages that match, and others. */
  terms: string;
  /** Whether hits are sorted by score. */
  ranked: boolean;
  /** The exact condition for a match. */
  filter: Filter<MessageDocument>;
  after: RankedHit | undefined;
  limit: number;
}

/** Returns the index term of one of the features; undefined if none is in the index. */
function keyOf(has: readonly Feature[]): string | undefined {
  return has.map((feature) => FEATURE_KEYS[feature]).find((key) => key !== undefined);
}

/** Returns the index terms of the words, or else one that every matching message has: a feature or the sender. */
function indexTermsFor(
  { words, phrases, has }: ParsedQuery,
  senderId: ObjectId | undefined,
): Pick<ChannelSearch, 'terms' | 'ranked'> {
  const ranked = words.length + phrases.length > 0;
  const termsOfWords = [...words, ...phrases.flat()].flatMap(indexTermsOf);
  const fallback = keyOf(has) ?? (senderId ? senderKey(senderId.toHexString()) : '');
  return { terms: ranked ? [...new Set(termsOfWords)].join(' ') : fallback, ranked };
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

function byRank(one: RankedHit, other: RankedHit): number {
  return (
    other.score - one.score ||
    other.createdAt.getTime() - one.createdAt.getTime() ||
    other._id.toHexString().localeCompare(one._id.toHexString())
  );
}

/** Returns a filter for the hits that follow a hit. */
function afterHit({ score, createdAt, _id }: RankedHit): Document {
  return {
    $or: [
      { score: { $lt: score } },
      { score, createdAt: { $lt: createdAt } },
      { score, createdAt, _id: { $lt: _id } },
    ],
  };
}

function cursorOf({ score, createdAt, _id }: RankedHit): string {
  return Buffer.from(JSON.stringify([score, createdAt.getTime(), _id.toHexString()])).toString('base64url');
}

function readCursor(cursor: string): RankedHit {
  try {
    const [score, time, id] = cursorContent.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    const createdAt = new Date(time);
    if (!Number.isNaN(createdAt.getTime())) return { score, createdAt, _id: new ObjectId(id) };
  } catch {
    // Reported below, with the same error as an invalid date.
  }
  const message = 'must be the `nextCursor` of the previous page';
  throw new AppError('validation_failed', `cursor: ${message}`, [{ path: 'cursor', message }]);
}

/** Runs work for each item, with limited concurrency. */
async function forEachConcurrently<Item>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const workers = Array.from({ length: Math.min(concurrency, items.length) }, async () => {
    for (const item of rest) await work(item);
  });
  await Promise.all(workers);
}
