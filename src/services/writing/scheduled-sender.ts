import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ScheduledMessageDocument } from '../../models/writing/scheduled-message.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError, type ErrorCode } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import type { BackgroundJob } from '../kernel/background-job';
import type { EventBus } from '../kernel/event-bus';
import type { Jobs } from '../kernel/jobs';
import type { MaintenanceService } from '../operations/maintenance.service';
import type { MessageService } from '../message.service';
import type { NotificationService } from '../notifications/notification.service';

/** How long a node holds a message. If the node dies, another one takes the message after it. */
const LEASE_MS = 10_000;
/** How often due messages are looked for in any case: another node may have stored some. */
const SENDING_INTERVAL_MS = 5_000;
/** The number of messages that a node sends at the same time. */
const CONCURRENT_SENDS = 8;
/** Errors after which the message is sent again later. */
const TEMPORARY: readonly ErrorCode[] = ['slow_mode', 'rate_limited', 'maintenance', 'unavailable'];

/** The dependencies of ScheduledSender. */
export interface ScheduledSenderDeps {
  collections: Collections;
  transactions: Transactions;
  messages: MessageService;
  notifications: NotificationService;
  maintenance: MaintenanceService;
  bus: EventBus;
  jobs: Jobs;
  logger: Logger;
}

/**
 * Sends scheduled messages when they are due. Any number of nodes may do so: a lease gives a message to one node at a
 * time, and all nodes send it under the same clientMessageId, so it is sent once even if a node dies between sending it
 * and recording that.
 */
export class ScheduledSender {
  private readonly job: BackgroundJob;

  constructor(private readonly deps: ScheduledSenderDeps) {
    this.job = deps.jobs.add({
      name: 'scheduled_messages',
      intervalMs: SENDING_INTERVAL_MS,
      scope: 'node',
      run: (signal) => this.sendDue(signal),
    });
  }

  /** Wakes the sender at the time of a new message. Has no effect if the sender is not running. */
  wakeAt(time: Date): void {
    this.job.wake(time);
  }

  /** Sends all due messages. @returns when the next one is due. */
  private async sendDue(signal: AbortSignal): Promise<Date | undefined> {
    const workers = Array.from({ length: CONCURRENT_SENDS }, async () => {
      while (!signal.aborted) {
        const taken = await this.take();
        if (!taken) return;
        await this.send(taken);
      }
    });
    const failure = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
    const next = await this.deps.collections.scheduledMessages.findOne(
      { state: 'waiting' },
      { sort: { dueAt: 1 }, projection: { dueAt: 1 } },
    );
    return next?.dueAt;
  }

  private async take(): Promise<ScheduledMessageDocument | null> {
    const now = new Date();
    return this.deps.collections.scheduledMessages.findOneAndUpdate(
      { state: 'waiting', dueAt: { $lte: now } },
      { $set: { takenAt: now, dueAt: new Date(now.getTime() + LEASE_MS) } },
      { sort: { dueAt: 1 }, returnDocument: 'after' },
    );
  }

  private async send(scheduled: ScheduledMessageDocument): Promise<void> {
    try {
      const { _id, channelId, body, attachments = [] } = scheduled;
      const caller = await this.callerOf(scheduled);
      const clientMessageId = clientMessageIdOf(scheduled);
      const attachmentIds = attachments.map(({ uploadId }) => uploadId.toHexString());
      const input = { clientMessageId, body, attachmentIds };
      const { message } = await this.deps.messages.send(caller, channelId.toHexString(), input, _id);
      await this.complete(scheduled, new ObjectId(message.id));
      this.deps.logger.debug({ scheduledMessageId: _id.toHexString() }, 'scheduled message sent');
    } catch (error) {
      // After any other error the message may or may not have been written: it is sent again when the lease ends.
      if (!(error instanceof AppError)) throw error;
      if (TEMPORARY.includes(error.code)) await this.postpone(scheduled, error.retryAfter ?? 5);
      else await this.fail(scheduled, error.code);
    }
  }

  /** The sender, with their current role. @throws AppError account_suspended */
  private async callerOf({ _id, userId }: ScheduledMessageDocument): Promise<Caller> {
    const user = await this.deps.collections.users.findOne({ _id: userId });
    if (user?.state !== 'active') throw new AppError('account_suspended', 'The account is not active.');
    // There is no session and no address.
    const caller: Caller = { userId, sessionId: _id, role: user.role, address: '' };
    this.deps.maintenance.admit(caller);
    return caller;
  }

  private complete({ _id, userId }: ScheduledMessageDocument, messageId: ObjectId): Promise<void> {
    return this.deps.transactions.run(async () => {
      const { deletedCount } = await this.deps.collections.scheduledMessages.deleteOne({ _id });
      if (deletedCount === 0) return;
      await this.deps.bus.publish({
        type: 'scheduled_message.sent',
        userId,
        scheduledMessageId: _id,
        messageId,
      });
    });
  }

  private async postpone({ _id, takenAt }: ScheduledMessageDocument, seconds: number): Promise<void> {
    await this.deps.collections.scheduledMessages.updateOne(
      { _id, takenAt },
      { $set: { takenAt: null, dueAt: new Date(Date.now() + seconds * 1000) } },
    );
  }

  private async fail(scheduled: ScheduledMessageDocument, code: ErrorCode): Promise<void> {
    const { _id, userId, channelId, takenAt } = scheduled;
    // A node that died may have sent it before the access was lost.
    const clientMessageId = clientMessageIdOf(scheduled);
    const sent = await this.deps.collections.messages.findOne({ senderId: userId, clientMessageId });
    if (sent) {
      await this.complete(scheduled, sent._id);
      return;
    }
    await this.deps.transactions.run(async () => {
      const failed = await this.deps.collections.scheduledMessages.findOneAndUpdate(
        { _id, takenAt },
        { $set: { state: 'failed', failure: code, takenAt: null } },
        { returnDocument: 'after' },
      );
      if (!failed) return;
      await this.deps.bus.publish({ type: 'scheduled_message.changed', scheduledMessage: failed });
      await this.deps.notifications.notify([userId], {
        kind: 'scheduled_message.failed',
        actorId: null,
        channelId,
        text: code,
      });
    });
  }
}

/** The same for every node and attempt. */
function clientMessageIdOf({ _id }: ScheduledMessageDocument): string {
  return `scheduled:${_id.toHexString()}`;
}
