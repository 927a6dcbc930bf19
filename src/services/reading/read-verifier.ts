import type { AnyBulkWriteOperation, Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type {
  ChannelReadDocument,
  ChannelRead,
  Verification,
} from '../../models/channels/channel-summary.model';
import type { ChannelDocument } from '../../models/channel.model';
import { OUTSIDE_THREADS, type MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import type { Logger } from '../../utils/logger';
import type { Access } from '../access/access';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { ReadCounts } from './read-counts';
import type { ReadMarkers } from './read-markers';
import type { RecentErrors } from '../operations/recent-errors';

/** Messages of a channel that are read at a time. */
const BATCH_SIZE = 1000;

type Drift = Verification['drift'][number];
type Counts = Drift['counted'];

/** The dependencies of ReadVerifier. */
export interface ReadVerifierDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  queue: KeyedQueue;
  markers: ReadMarkers;
  counts: ReadCounts;
  errors: RecentErrors;
  logger: Logger;
}

/**
 * Recounts unread messages and mentions one by one, independently of how the shown counts are computed, and repairs the
 * stored sequence numbers and markers where these are wrong.
 */
export class ReadVerifier {
  /** Recounts that are running, by user: a second call waits for the first, because a recount reads many documents. */
  private readonly running = new Map<string, Promise<Verification>>();

  constructor(private readonly deps: ReadVerifierDeps) {}

  /** Recounts all channels that the caller may read. */
  verify({ userId }: Caller): Promise<Verification> {
    const key = userId.toHexString();
    const recount = this.running.get(key) ?? this.recountAll(userId).finally(() => this.running.delete(key));
    this.running.set(key, recount);
    return recount;
  }

  private async recountAll(userId: ObjectId): Promise<Verification> {
    const channels = await this.deps.access.readableChannels(userId);
    const drift: Drift[] = [];
    for (const { _id } of channels) {
      const found = await this.recount(_id, userId);
      if (!found) continue;
      drift.push(found);
      await this.deps.queue.exclusive(_id, () => this.deps.transactions.run(() => this.repair(_id)));
      this.deps.logger.error({ userId, ...found }, 'counters of unread messages had drifted');
      this.deps.errors.record('read state', new Error('The counters of a channel had drifted.'), null);
    }
    return { channels: channels.length, drift };
  }

  /** @returns the shown and the correct counts; undefined if they are equal. */
  private recount(channelId: ObjectId, userId: ObjectId): Promise<Drift | undefined> {
    return this.deps.transactions.run(async () => {
      const channel = await this.deps.collections.channels.findOne({ _id: channelId });
      if (!channel) return undefined;
      const key = channelId.toHexString();
      const shown = (await this.deps.counts.countFor(userId, [channel])).get(key)!;
      const counted = await this.count(channel, userId, shown);
      if (shown.unread === counted.unread && shown.mentions === counted.mentions) return undefined;
      return { channelId: key, shown: { unread: shown.unread, mentions: shown.mentions }, counted };
    });
  }

  private async count({ _id, seq }: ChannelDocument, userId: ObjectId, read: ChannelRead): Promise<Counts> {
    const unread: Filter<MessageDocument> = {
      channelId: _id,
      seq: { $gt: read.readSeq, $lte: seq },
      senderId: { $ne: userId },
      deletedAt: null,
      ...OUTSIDE_THREADS,
    };
    const mentioning = { ...unread, $or: [{ mentionIds: userId }, { mentionsEveryone: 'channel' as const }] };
    const { messages } = this.deps.collections;
    const options = { hint: 'channel_seq_unique' };
    return {
      unread: await messages.countDocuments(unread, options),
      mentions: await messages.countDocuments(mentioning, options),
    };
  }

  /** Corrects the sequence numbers of a channel's messages, and all of its read markers. */
  private async repair(channelId: ObjectId): Promise<void> {
    const { messages, channels, channelReads } = this.deps.collections;
    const rows = await channelReads.find({ channelId }).sort({ seq: 1 }).toArray();
    const markers: AnyBulkWriteOperation<ChannelReadDocument>[] = [];
    let mainSeq: number | undefined;
    const placeUpTo = async (seq: number) => {
      for (let row = rows[0]; row && row.seq < seq; row = rows[0]) {
        rows.shift();
        const own = await this.deps.markers.countOwn(channelId, row.userId, row.seq);
        const right = { mainSeq: mainSeq ?? 0, own };
        if (right.mainSeq === row.mainSeq && right.own === row.own) continue;
        markers.push({
          updateOne: { filter: { _id: row._id }, update: { $set: right, $inc: { version: 1 } } },
        });
      }
    };
    let last = -1;
    for (;;) {
      const slice = await messages
        .find({ channelId, seq: { $gt: last } }, { projection: { seq: 1, mainSeq: 1, threadId: 1 } })
        .sort({ seq: 1 })
        .limit(BATCH_SIZE)
        .toArray();
      const wrong: AnyBulkWriteOperation<MessageDocument>[] = [];
      for (const message of slice) {
        const main = message.threadId === undefined;
        // Older messages may have been removed: the number of the first remaining one includes them.
        mainSeq ??= Math.max(0, message.mainSeq - (main ? 1 : 0));
        await placeUpTo(message.seq);
        if (main) mainSeq++;
        last = message.seq;
        if (message.mainSeq === mainSeq) continue;
        wrong.push({ updateOne: { filter: { _id: message._id }, update: { $set: { mainSeq } } } });
      }
      if (wrong.length > 0) await messages.bulkWrite(wrong);
      if (slice.length < BATCH_SIZE) break;
    }
    await placeUpTo(Infinity);
    if (markers.length > 0) await channelReads.bulkWrite(markers);
    if (mainSeq !== undefined) await channels.updateOne({ _id: channelId }, { $set: { mainSeq } });
  }
}
