import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import { WriteRefused } from '../../db/write-list';
import { turnPrepared } from '../kernel/event-loop-turn';
import { METRICS } from '../kernel/metrics';
import type { Counter, Histogram, Telemetry } from '../kernel/telemetry';
import type { Tracing } from '../kernel/tracing';
import type { BatchWrite, BatchWrites, Refusal } from './batch-writes';
import type { ChannelBatch, WrittenBatch } from './message-batch';

/** The most messages in one transaction, unless a single batch has more. */
const MAX_MESSAGES = 512;
/** Transactions that run at the same time: while the database commits one, the next is being written. */
const CONCURRENT_TRANSACTIONS = 2;

/**
 * The unique indexes that refuse a message which has been written: by another send, or by an earlier attempt of this one
 * whose outcome was lost, since it keeps its id. And the one that refuses a follow of a thread which was not there yet
 * when the batch was planned.
 */
const REFUSING_INDEXES: readonly string[] = ['sender_client_id_unique', '_id_', 'thread_user_unique'];

/** The result of a batch. */
export type BatchOutcome =
  | { kind: 'written'; batch: WrittenBatch }
  /** Nothing was written: the channel, or who follows a thread of it, is no longer as it was when the batch was decided. */
  | { kind: 'channel_changed' }
  /**
   * Nothing was written: a message with one of these client message ids exists, or an upload has been attached to another
   * message.
   */
  | { kind: 'sent_before' };

interface Waiting {
  batch: ChannelBatch;
  /** Whether it has been tried again after a failure whose reason is unknown. */
  isRepeated: boolean;
  resolve: (outcome: BatchOutcome) => void;
  reject: (error: unknown) => void;
}

/** The dependencies of MessageCommitter. */
export interface MessageCommitterDeps {
  collections: Collections;
  transactions: Transactions;
  batchWrites: BatchWrites;
  telemetry: Telemetry;
  tracing?: Tracing | undefined;
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
      this.waiting.push({ batch, isRepeated: false, resolve, reject });
      if (this.running >= CONCURRENT_TRANSACTIONS) return;
      this.running++;
      void this.deps.transactions.outside(() => this.work());
    });
  }

  private async work(): Promise<void> {
    // Batches that are being prepared in the same turn share the transaction, too.
    await turnPrepared();
    const { tracing } = this.deps;
    while (this.waiting.length > 0) {
      const batches = this.take();
      if (tracing)
        await tracing.run('message batch', { channels: batches.length }, () => this.commit(batches), true);
      else await this.commit(batches);
    }
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
    const { transactions, batchWrites } = this.deps;
    let attempts = 0;
    try {
      const { writes, written } = await batchWrites.plan(batches.map(({ batch }) => batch));
      await transactions.run(async () => {
        // Of several batches it is not known which one is in conflict with another writer.
        if (++attempts > 1 && batches.length > 1) throw new Conflict();
        await transactions.write(writes);
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
    const [first] = batches;
    if (first && batches.length === 1) {
      // The outcome of a commit may be lost although it succeeded: the second time, its messages are found to exist.
      if (first.isRepeated) {
        first.reject(error);
        return;
      }
      first.isRepeated = true;
      await this.commit(batches);
      return;
    }
    for (const batch of batches) batch.isRepeated = true;
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
    if (!(error instanceof WriteRefused)) return undefined;
    const { write, isUnmatched, duplicateIndex } = error as WriteRefused<BatchWrite>;
    const { batch, refusal: kind } = write.group;
    const { channels } = this.deps.collections;
    if (isUnmatched && write.collection.namespace === channels.namespace) return this.findChanged(batches);
    if (!isUnmatched && !REFUSING_INDEXES.includes(duplicateIndex ?? '')) return undefined;
    return { kind, indexes: new Set([batch]) };
  }

  private record(written: WrittenBatch[], milliseconds: number): void {
    this.sizes.record(
      {},
      written.reduce((sum, { created }) => sum + created.length, 0),
    );
    this.channelCounts.record({}, written.length);
    this.durations.record({}, milliseconds / 1000);
  }

  /** Finds the batches whose channel is no longer in the state on which they were decided. */
  private async findChanged(batches: ChannelBatch[]): Promise<Unwritable | undefined> {
    const kind = 'channel_changed';
    if (batches.length === 1) return { kind, indexes: new Set([0]) };
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
    return changed.length > 0 ? { kind, indexes: new Set(changed) } : undefined;
  }
}

/** Another writer has changed a document that one of several batches writes. */
class Conflict extends Error {}

/** Some batches of a transaction cannot be written as they are. */
interface Unwritable {
  kind: Refusal;
  /** The indexes of these batches. */
  indexes: ReadonlySet<number>;
}
