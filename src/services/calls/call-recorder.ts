import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import { toStoredMessageCall } from '../../models/messages/call-message.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import type { CallParticipant, VideoCallDocument } from '../../models/video-call.model';
import { AppError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import type { Access } from '../access/access';
import type { BackgroundJob, Clock } from '../kernel/background-job';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { Jobs } from '../kernel/jobs';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { MessageService } from '../message.service';
import type { NotificationService } from '../notifications/notification.service';
import type { CallStore } from './call-store';

/** How often calls are looked for that a node has changed and not recorded, because it was stopped in between. */
const RECORD_INTERVAL_MS = 5000;
/** The number of calls that are read at a time. */
const BATCH_SIZE = 100;
/** When this many calls are being recorded, the job leaves the others for its next run. */
const MAX_RUNNING = 200;
/** The time until that run. */
const BUSY_INTERVAL_MS = 500;

/** The dependencies of CallRecorder. */
export interface CallRecorderDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  store: CallStore;
  messages: MessageService;
  notifications: NotificationService;
  queue: KeyedQueue;
  clock: Clock;
  bus: EventBus;
  jobs: Jobs;
  logger: Logger;
}

/** A channel in which a call has a message, and the message if it is known. */
interface Place {
  channelId: ObjectId;
  messageId: ObjectId | null;
}

/**
 * Writes the message of each call and updates it, and notifies users of calls that they have missed. This is an outbox: the
 * state machine marks what is due in the call itself (`recordDue`, `notifyDue`). The node that has changed a call records
 * it after the request; if that node stops in between, a background job of any node does.
 *
 * Any number of nodes may record a call at once, and each may be killed at any time. The message is sent under the same
 * client message id by all of them. One transaction updates it, notifies, and clears the marks if nobody else has changed
 * the call, so everything is done once.
 */
export class CallRecorder {
  /** The calls that wait to be recorded: further changes of one need not wait as well. */
  private readonly waiting = new Set<string>();
  private readonly running = new Set<Promise<void>>();
  private readonly job: BackgroundJob;
  private unsubscribe: (() => void) | undefined;

  constructor(private readonly deps: CallRecorderDeps) {
    this.job = deps.jobs.add({
      name: 'call_records',
      intervalMs: RECORD_INTERVAL_MS,
      scope: 'cluster',
      run: (signal) => this.recordAll(signal),
    });
  }

  /** Starts recording the calls that this node changes. */
  start(): void {
    this.unsubscribe = this.deps.bus.subscribe((event) => this.onEvent(event), 'publisher');
  }

  /** Stops recording, and resolves when the work that has been begun has ended. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    await this.job.stop();
    await Promise.all(this.running);
  }

  private onEvent(event: DomainEvent): void {
    // The request that has changed the call does not wait.
    if (event.type === 'call.changed' && event.call.recordDue) this.enqueue(event.call._id);
  }

  /**
   * Begins to record the calls that are due. It does not wait for them, since one may have to wait for its channel.
   * @returns when to continue, if there are too many.
   */
  private async recordAll(signal: AbortSignal): Promise<Date | undefined> {
    let after: ObjectId | undefined;
    while (!signal.aborted) {
      if (this.running.size >= MAX_RUNNING) return new Date(this.deps.clock.now() + BUSY_INTERVAL_MS);
      const batch = await this.deps.collections.videoCalls
        .find({ recordDue: true, ...(after && { _id: { $gt: after } }) }, { projection: { _id: 1 } })
        .sort({ _id: 1 })
        .limit(BATCH_SIZE)
        .toArray();
      for (const { _id } of batch) this.enqueue(_id);
      if (batch.length < BATCH_SIZE) return undefined;
      after = batch.at(-1)!._id;
    }
    return undefined;
  }

  /** Records a call after its earlier changes. Never fails: what could not be recorded remains due. */
  private enqueue(callId: ObjectId): void {
    const key = callId.toHexString();
    if (this.waiting.has(key)) return;
    this.waiting.add(key);
    const work = this.deps.transactions
      .outside(() =>
        this.deps.queue.exclusive(callId, () => {
          this.waiting.delete(key);
          return this.record(callId);
        }),
      )
      .catch((error: unknown) => {
        this.deps.logger.error({ err: error, callId: key }, 'a call was not recorded');
      })
      .finally(() => this.running.delete(work));
    this.running.add(work);
  }

  /** Records a call until nothing of it is due. */
  private async record(_id: ObjectId): Promise<void> {
    for (;;) {
      const call = await this.deps.collections.videoCalls.findOne({ _id, recordDue: true });
      if (!call) return;
      try {
        await this.recordState(call);
      } catch (error) {
        // The channel has just been deleted, or another writer was first: the next attempt sees it.
        const isOutdated = error instanceof AppError && error.code === 'not_found';
        if (!isOutdated && !(error instanceof CallChanged)) throw error;
      }
    }
  }

  /** @throws CallChanged if another writer was first: then nothing has been changed. */
  private async recordState(call: VideoCallDocument): Promise<void> {
    const places: Place[] = [...(call.movedFrom ? [call.movedFrom] : []), call];
    const channels = await this.deps.collections.channels
      .find({ _id: { $in: places.map(({ channelId }) => channelId) } }, { projection: { _id: 1 } })
      .toArray();
    const existing = places.filter(({ channelId }) => channels.some(({ _id }) => _id.equals(channelId)));
    if (!existing.some(({ channelId }) => channelId.equals(call.channelId))) {
      await this.giveUp(call);
      return;
    }
    const messageIds: ObjectId[] = [];
    for (const place of existing) messageIds.push(await this.messageOf(call, place));
    await this.complete(call, existing, messageIds);
  }

  private async messageOf(call: VideoCallDocument, { channelId, messageId }: Place): Promise<ObjectId> {
    return (
      messageId ?? (await this.deps.messages.sendCall(channelId, call.startedBy, toStoredMessageCall(call)))
    );
  }

  /** @param messageIds the messages of the places, in their order; the last one is that of the call's channel. */
  private complete(call: VideoCallDocument, places: Place[], messageIds: ObjectId[]): Promise<void> {
    const { transactions, queue, messages, store } = this.deps;
    return transactions.run(async () => {
      await queue.acquire(places.map(({ channelId }) => channelId));
      for (const messageId of messageIds) await messages.setCall(messageId, toStoredMessageCall(call));
      const messageId = messageIds.at(-1)!;
      if (!(await store.setRecorded(call, messageId))) throw new CallChanged();
      await this.notify(call, messageId);
    });
  }

  /** Notifies those who have missed the call and may still read its channel. */
  private async notify(call: VideoCallDocument, messageId: ObjectId): Promise<void> {
    const missed = call.participants.filter(
      ({ notifyDue, state }) => notifyDue && (state === 'missed' || state === 'busy'),
    );
    if (missed.length === 0) return;
    const { access, notifications } = this.deps;
    const { channelId, groupId } = call;
    const readers = await access.filterReaders(
      channelId,
      missed.map(({ userId }) => userId),
    );
    const willing = await notifications.filterWilling(channelId, readers);
    const stored: NotificationDocument[] = [];
    for (const [actorId, userIds] of byCaller(call, missed, willing)) {
      const about = { channelId, messageId, ...(groupId && { groupId }) };
      stored.push(...(await notifications.store(userIds, { kind: 'call.missed', actorId, ...about })));
    }
    await notifications.publishToReaders(channelId, stored);
  }

  /** The channel has been deleted: nobody can see a message in it, and its calls are deleted with it. */
  private async giveUp(call: VideoCallDocument): Promise<void> {
    if (call.state === 'ended') await this.deps.store.remove(call);
    else await this.deps.store.setRecorded(call, null);
  }
}

/** Another writer has changed the call in the meantime. */
class CallChanged extends Error {}

/** Returns those of the participants who are in `userIds`, by the user who called them. */
function byCaller(
  { startedBy }: VideoCallDocument,
  participants: CallParticipant[],
  userIds: ObjectId[],
): Map<ObjectId, ObjectId[]> {
  const included = new Set(userIds.map((id) => id.toHexString()));
  const callers = new Map<string, ObjectId>();
  const called = new Map<ObjectId, ObjectId[]>();
  for (const { userId, invitedBy } of participants) {
    if (!included.has(userId.toHexString())) continue;
    const by = invitedBy ?? startedBy;
    const caller = callers.get(by.toHexString()) ?? by;
    callers.set(by.toHexString(), caller);
    called.set(caller, [...(called.get(caller) ?? []), userId]);
  }
  return called;
}
