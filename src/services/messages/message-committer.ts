import { MongoBulkWriteError, type ObjectId } from 'mongodb';
import { setImmediate as nextTick } from 'node:timers/promises';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import { AttachmentUnavailable, type Attachments } from '../files/attachments';
import { METRICS } from '../kernel/metrics';
import type { Counter, Histogram, Telemetry } from '../kernel/telemetry';
import type { ReadMarkers } from '../reading/read-markers';
import { searchFieldsOf } from '../search/search-terms';
import type { MentionNotifications } from './mention-notifications';
import type { ChannelBatch, ComposedMessage, WrittenBatch } from './message-batch';
import type { SlowMode } from './slow-mode';
import { ThreadRoots } from './thread-roots';

/** The most messages in one transaction, unless a single batch has more. */
const MAX_MESSAGES = 512;
/** Transactions that run at the same time: while the database commits one, the next is being written. */
const CONCURRENT_TRANSACTIONS = 2;

/**
 * The unique indexes that refuse a message which has been written: by another send, or by an earlier attempt of this one
 * whose outcome was lost, since it keeps its id.
 */
const SENT_BEFORE: readonly string[] = ['sender_client_id_unique', '_id_'];

/** The result of a batch. */
export type BatchOutcome =
  | { kind: 'written'; batch: WrittenBatch }
  /** Nothing was written: the channel is no longer in the state on which the batch was decided. */
  | { kind: 'channel_changed' }
  /**
   * Nothing was written: a message with one of these client message ids exists, or an upload has been attached to another
   * message.
   */
  | { kind: 'sent_before' };

interface Waiting {
  batch: ChannelBatch;
  resolve: (outcome: BatchOutcome) => void;
  reject: (error: unknown) => void;
}

/** The dependencies of MessageCommitter. */
export interface MessageCommitterDeps {
  collections: Collections;
  transactions: Transactions;
  attachments: Attachments;
  markers: ReadMarkers;
  roots: ThreadRoots;
  slowMode: SlowMode;
  mentionNotifications: MentionNotifications;
  telemetry: Telemetry;
}

/**
 * Writes the batches of all channels. Batches that wait at the same time share one transaction, so the cost of a commit
 * does not grow with the number of channels. Of one channel there must be one batch at a time, which `KeyedQueue`
 * guarantees; so a busy channel cannot delay the others by more than one batch.
 *
 * The numbers of messages follow from the state of the channel on which the batch was decided. The write of the channel
 * expects its revision, so nothing is written if it has changed since. A batch that cannot be written is taken out, and
 * the others are written without it.
 */
export class MessageCommitter {
  private waiting: Waiting[] = [];
  private running = 0;
  private readonly sizes: Histogram;
  private readonly channelCounts: Histogram;
  private readonly durations: Histogram;
  private readonly repeats: Counter<'reason'>;

  constructor(private readonly deps: MessageCommitterDeps) {
    const { telemetry } = deps;
    this.sizes = telemetry.histogram(METRICS.batchMessages);
    this.channelCounts = telemetry.histogram(METRICS.batchChannels);
    this.durations = telemetry.histogram(METRICS.batchDurations);
    this.repeats = telemetry.counter(METRICS.batchRetries);
    const committer = { queue: 'message_committer' };
    telemetry.gauge(METRICS.queueWaiting).observe(committer, () => this.waiting.length);
    telemetry.gauge(METRICS.queueRunning).observe(committer, () => this.running);
  }

  /** Writes a batch. Resolves when it is durable, or when it is known that it cannot be written as it is. */
  write(batch: ChannelBatch): Promise<BatchOutcome> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ batch, resolve, reject });
      if (this.running >= CONCURRENT_TRANSACTIONS) return;
      this.running++;
      void this.deps.transactions.outside(() => this.work());
    });
  }

  private async work(): Promise<void> {
    // Batches that are being prepared in the same turn share the transaction, too.
    await nextTick();
    while (this.waiting.length > 0) await this.commit(this.take());
    this.running--;
  }

  /** Removes the batches for one transaction, in the order of their arrival. */
  private take(): Waiting[] {
    if (!this.deps.transactions.supported) return this.waiting.splice(0, 1);
    let messages = 0;
    const end = this.waiting.findIndex(({ batch }, index) => {
      messages += batch.messages.length;
      return index > 0 && messages > MAX_MESSAGES;
    });
    return this.waiting.splice(0, end === -1 ? this.waiting.length : end);
  }

  /** Writes batches together, without those that cannot be written. Settles all of them. */
  private async commit(batches: Waiting[]): Promise<void> {
    const start = performance.now();
    let attempts = 0;
    try {
      const written = await this.deps.transactions.run(async () => {
        // Of several batches it is not known which one is in conflict with another writer.
        if (++attempts > 1 && batches.length > 1) throw new Conflict();
        return this.insert(batches.map(({ batch }) => batch));
      });
      this.record(written, performance.now() - start);
      batches.forEach(({ resolve }, index) => resolve({ kind: 'written', batch: written[index]! }));
    } catch (error) {
      await this.commitInParts(batches, error);
    }
  }

  /** Writes batches again after a failure: without those that caused it, or one half after the other. */
  private async commitInParts(batches: Waiting[], error: unknown): Promise<void> {
    const failed = await this.findFailed(
      batches.map(({ batch }) => batch),
      error,
    ).catch(() => undefined);
    if (failed) {
      this.repeats.add({ reason: failed.kind });
      for (const index of failed.indexes) batches[index]!.resolve({ kind: failed.kind });
      const others = batches.filter((_, index) => !failed.indexes.has(index));
      if (others.length > 0) await this.commit(others);
      return;
    }
    if (batches.length === 1) {
      batches[0]!.reject(error);
      return;
    }
    this.repeats.add({ reason: 'conflict' });
    const middle = Math.ceil(batches.length / 2);
    for (const half of [batches.slice(0, middle), batches.slice(middle)]) {
      const done = this.commit(half);
      // A single batch may be in conflict for long. The others do not wait for it.
      if (half.length > 1) await done;
    }
  }

  /** Finds which batches cannot be written because of an error; undefined if that is not known. */
  private async findFailed(batches: ChannelBatch[], error: unknown): Promise<Unwritable | undefined> {
    if (error instanceof Unwritable) return error;
    if (error instanceof ChannelsChanged) return this.findChanged(batches);
    if (!SENT_BEFORE.includes(duplicateIndex(error) ?? '')) return undefined;
    const index = batches.length === 1 ? 0 : batchOfFirstError(batches, error);
    return index === undefined ? undefined : new Unwritable('sent_before', new Set([index]));
  }

  private record(written: WrittenBatch[], milliseconds: number): void {
    this.sizes.record(
      {},
      written.reduce((sum, { created }) => sum + created.length, 0),
    );
    this.channelCounts.record({}, written.length);
    this.durations.record({}, milliseconds / 1000);
  }

  /** Writes batches in the transaction of the caller. @throws Unwritable */
  private async insert(batches: ChannelBatch[]): Promise<WrittenBatch[]> {
    const { collections, attachments, markers } = this.deps;
    for (const [index, { messages }] of batches.entries()) {
      await attachments.claim(messages.map(({ content }) => content)).catch((error: unknown) => {
        throw error instanceof AttachmentUnavailable
          ? new Unwritable('sent_before', new Set([index]))
          : error;
      });
    }
    const createdAt = new Date();
    const numbered = batches.map((batch) => numberBatch(batch, createdAt));
    await this.reserve(batches, numbered);
    const documents = numbered.flatMap(({ created }) => created);
    await collections.messages.insertMany(documents);
    await markers.advanceSenders(documents);
    const direct = batches
      .filter(({ channel }) => channel.kind === 'direct')
      .map(({ channel }) => channel._id);
    if (direct.length > 0) {
      await collections.channelActivity.updateMany(
        { channelId: { $in: direct } },
        { $set: { activeAt: createdAt } },
      );
    }
    const written: WrittenBatch[] = [];
    for (const [index, { channel, created, firstRootRevision }] of numbered.entries()) {
      const { roots, follows } = await this.deps.roots.recordReplies(created, firstRootRevision);
      const notifications = await this.storeNotifications(channel, created);
      await this.deps.slowMode.recordSends(channel, batches[index]!.slowedSenders, createdAt);
      written.push({ channel, created, roots, follows, notifications });
    }
    return written;
  }

  /** Counts the messages of the batches in their channels. @throws ChannelsChanged if a channel is in another state */
  private async reserve(batches: ChannelBatch[], numbered: NumberedBatch[]): Promise<void> {
    const { channels } = this.deps.collections;
    const { matchedCount } = await channels.bulkWrite(
      batches.map(({ channel: { _id, revision, mainSeq } }, index) => {
        const { seq, ...after } = numbered[index]!.channel;
        return {
          updateOne: {
            filter: { _id, revision, mainSeq },
            update: { $set: { seq, mainSeq: after.mainSeq, revision: after.revision } },
          },
        };
      }),
    );
    if (matchedCount < batches.length) throw new ChannelsChanged();
  }

  /** Finds the batches whose channel is no longer in the state on which they were decided. */
  private async findChanged(batches: ChannelBatch[]): Promise<Unwritable | undefined> {
    if (batches.length === 1) return new Unwritable('channel_changed', new Set([0]));
    const ids = batches.map(({ channel }) => channel._id);
    const { channels } = this.deps.collections;
    const found = await channels
      .find({ _id: { $in: ids } }, { projection: { revision: 1, mainSeq: 1 } })
      .toArray();
    const current = new Map(found.map((channel) => [channel._id.toHexString(), channel]));
    const changed = batches.flatMap(({ channel }, index) => {
      const { revision, mainSeq } = current.get(channel._id.toHexString()) ?? {};
      return revision === channel.revision && mainSeq === channel.mainSeq ? [] : [index];
    });
    return changed.length > 0 ? new Unwritable('channel_changed', new Set(changed)) : undefined;
  }

  private async storeNotifications(
    channel: ChannelDocument,
    created: MessageDocument[],
  ): Promise<NotificationDocument[]> {
    const notifications: NotificationDocument[] = [];
    for (const document of created) {
      if (document.mentionIds ?? document.mentionsEveryone) {
        notifications.push(...(await this.deps.mentionNotifications.store(channel, document)));
      }
    }
    return notifications;
  }
}

/** Another writer has changed a document that one of several batches writes. */
class Conflict extends Error {}

/** Some channels are no longer in the state on which the batches were decided. */
class ChannelsChanged extends Error {}

/** Some batches of a transaction cannot be written as they are. */
class Unwritable extends Error {
  constructor(
    readonly kind: 'channel_changed' | 'sent_before',
    /** The indexes of these batches. */
    readonly indexes: ReadonlySet<number>,
  ) {
    super(kind);
  }
}

/** Returns the index of the batch whose message was refused by the database; undefined if that is not known. */
function batchOfFirstError(batches: ChannelBatch[], error: unknown): number | undefined {
  if (!(error instanceof MongoBulkWriteError)) return undefined;
  const [first] = [error.writeErrors].flat();
  if (!first) return undefined;
  let end = 0;
  return batches.findIndex(({ messages }) => first.index < (end += messages.length));
}

/** A batch whose messages have their numbers. */
interface NumberedBatch {
  /** The channel after the batch. */
  channel: ChannelDocument;
  created: MessageDocument[];
  /** The revision for the first root of a thread with replies in the batch; further roots take the next ones. */
  firstRootRevision: number;
}

function numberBatch({ channel, messages }: ChannelBatch, createdAt: Date): NumberedBatch {
  let { seq, mainSeq, revision } = channel;
  const created = messages.map((message) => {
    if (message.content.threadId === undefined) mainSeq++;
    return newMessage(channel._id, message, { seq: ++seq, mainSeq, revision: ++revision }, createdAt);
  });
  const rootCount = ThreadRoots.idsOf(created).length;
  return {
    channel: { ...channel, seq, mainSeq, revision: revision + rootCount },
    created,
    firstRootRevision: revision + 1,
  };
}

function newMessage(
  channelId: ObjectId,
  { _id, draft: { sender, clientMessageId, digest }, content }: ComposedMessage,
  numbers: Pick<MessageDocument, 'seq' | 'mainSeq' | 'revision'>,
  createdAt: Date,
): MessageDocument {
  return {
    _id,
    channelId,
    ...numbers,
    senderId: sender.userId,
    clientMessageId,
    sentDigest: digest,
    ...content,
    search: content.call
      ? null
      : searchFieldsOf(content.body, sender.userId.toHexString(), content.attachments),
    createdAt,
    editedAt: null,
    deletedAt: null,
  };
}
