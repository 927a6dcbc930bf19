import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelRead } from '../../models/channels/channel-summary.model';
import type { Channel, ChannelDocument } from '../../models/channel.model';
import type { ChannelChangeDocument } from '../../models/channels/channel-change.model';
import { toMessage, type MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import {
  MAX_MISSED_CHANGES,
  type ChannelChange,
  type ResetReason,
  type SyncInput,
  type SyncReply,
} from '../../models/catch-up/sync.model';
import type { Access } from '../access/access';
import type { ChannelCounts } from '../channels/channel-counts';
import type { ReadCounts } from '../reading/read-counts';

/** The maximum number of channels, unknown to the client, in one answer. */
const MAX_ADDED = 200;

/** A range of the changes of a channel: those after revision `since` and up to `upTo`. */
interface Span {
  channel: ChannelDocument;
  since: number;
  upTo: number;
}

const keyOf = ({ _id }: ChannelDocument) => _id.toHexString();

/**
 * Returns the changes that a client has missed. They are read from the database alone, so a revision from before a
 * restart, or from another node, is valid. Each answer is one snapshot, and contains what the caller may read in that
 * snapshot.
 */
export class SyncService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly counts: ReadCounts,
    private readonly channelCounts: ChannelCounts,
  ) {}

  /** Returns the changes in the caller's channels since the revisions that the client knows. */
  sync(caller: Caller, { since, limit, named }: SyncInput): Promise<SyncReply> {
    return this.transactions.run(async () => {
      const known = new Map(Object.entries(since));
      const all = await this.access.readableChannels(caller.userId);
      const unnamed = named ? [] : all.filter((channel) => !known.has(keyOf(channel)));
      const readable = all.filter((channel) => known.has(keyOf(channel)));
      const found = new Set(readable.map(keyOf));
      const missing = [...known.keys()].filter((channelId) => !found.has(channelId));

      const resets = readable.flatMap((channel) => {
        const reason = reasonToReset(channel, known.get(keyOf(channel))!);
        return reason ? [{ channel, reason }] : [];
      });
      const reset = new Set(resets.map(({ channel }) => keyOf(channel)));
      const spans = cutSpans(
        readable.filter((channel) => !reset.has(keyOf(channel))),
        known,
        limit,
      );
      const added = unnamed.slice(0, MAX_ADDED);

      const changes = await this.changesIn(spans);
      const reads = await this.counts.countFor(caller.userId, [...readable, ...added]);
      const shown = await this.showAll([...readable, ...added]);
      const load = (channel: ChannelDocument) => ({
        channel: shown.get(keyOf(channel))!,
        read: readOf(reads, channel),
      });
      const channels = spans.map(({ channel, since: from, upTo }) => ({
        channelId: keyOf(channel),
        channel: from < channel.revision ? shown.get(keyOf(channel))! : null,
        read: readOf(reads, channel),
        changes: changes.get(keyOf(channel)) ?? [],
        revision: upTo,
        more: upTo < channel.revision,
      }));
      return {
        channels,
        reset: resets.map(({ channel, reason }) => ({ scope: 'channel', reason, ...load(channel) })),
        gone: missing.map((channelId) => ({ channelId, reason: 'not_found' })),
        added: added.map(load),
        more: added.length < unnamed.length || channels.some(({ more }) => more),
      };
    });
  }

  private async showAll(channels: ChannelDocument[]): Promise<Map<string, Channel>> {
    const shown = await this.channelCounts.showAll(channels);
    return new Map(shown.map((channel) => [channel.id, channel]));
  }

  /** Returns the changes in each span by channel id, with two queries for all spans. */
  private async changesIn(spans: Span[]): Promise<Map<string, ChannelChange[]>> {
    const nonEmpty = spans.filter(({ since, upTo }) => since < upTo);
    if (nonEmpty.length === 0) return new Map();
    const within = {
      $or: nonEmpty.map(({ channel, since, upTo }) => ({
        channelId: channel._id,
        revision: { $gt: since, $lte: upTo },
      })),
    };
    const messages = await this.collections.messages.find(within).toArray();
    const others = await this.collections.channelChanges.find(within).toArray();
    const changes = new Map<string, ChannelChange[]>();
    const add = ({ channelId }: MessageDocument | ChannelChangeDocument, change: ChannelChange) => {
      const key = channelId.toHexString();
      const list = changes.get(key);
      if (list) list.push(change);
      else changes.set(key, [change]);
    };
    for (const document of messages) {
      add(document, { kind: 'message', revision: document.revision, message: toMessage(document) });
    }
    for (const document of others) add(document, toChange(document));
    for (const list of changes.values()) list.sort((one, other) => one.revision - other.revision);
    return changes;
  }
}

/** Why a client that knows a channel up to revision `since` must reload it; undefined if it need not. */
function reasonToReset({ revision }: ChannelDocument, since: number): ResetReason | undefined {
  if (since > revision) return 'unknown_revision';
  return revision - since > MAX_MISSED_CHANGES ? 'too_far_behind' : undefined;
}

/**
 * Distributes the limit over the channels: the first ones completely, the one at the limit in part, and an empty span
 * for the others. A span of revisions holds at most as many changes as it is long.
 */
function cutSpans(channels: ChannelDocument[], known: ReadonlyMap<string, number>, limit: number): Span[] {
  let remaining = limit;
  return channels.map((channel) => {
    const since = known.get(keyOf(channel))!;
    const upTo = Math.min(channel.revision, since + remaining);
    remaining -= upTo - since;
    return { channel, since, upTo };
  });
}

function toChange({ kind, revision, userId, present }: ChannelChangeDocument): ChannelChange {
  return kind === 'member'
    ? { kind, revision, userId: userId!.toHexString(), present: present === true }
    : { kind, revision };
}

function readOf(reads: ReadonlyMap<string, ChannelRead>, channel: ChannelDocument): ChannelRead {
  return reads.get(keyOf(channel))!;
}
