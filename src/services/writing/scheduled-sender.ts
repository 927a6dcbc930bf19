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

/** How long a node has a message for itself, in milliseconds. If it dies, another one takes the message then. */
const LEASE_MS = 10_000;
/** How often it looks at least, in milliseconds: nobody wakes it for what another node has stored. */
const SENDING_INTERVAL_MS = 5_000;
/** Messages that a node sends at the same time. */
const AT_ONCE = 8;
/** Refusals that pass by themselves. */
const PASSING: readonly ErrorCode[] = ['slow_mode', 'rate_limited', 'maintenance', 'unavailable'];

/** What ScheduledSender works with. */
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
 * Sends scheduled messages when their time has come. Any number of nodes may do so: one takes a message at a
 * time, and all of them send it under the same clientMessageId, so that a node which dies between sending and
 * noting that does no harm.
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

  /** There is something to send at this time. A sender that is not running leaves it to one that is. */
  expect(time: Date): void {
    this.job.wake(time);
  }

  /** Sends what is due. @returns when the next one is. */
  private async sendDue(signal: AbortSignal): Promise<Date | undefined> {
    const workers = Array.from({ length: AT_ONCE }, async () => {
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
      await this.done(scheduled, new ObjectId(message.id));
      this.deps.logger.debug({ scheduledMessageId: _id.toHexString() }, 'scheduled message sent');
    } catch (error) {
      // Anything else may have come before or after the message was written: the lease ends, and it is tried again.
      if (!(error instanceof AppError)) throw error;
      if (PASSING.includes(error.code)) await this.postpone(scheduled, error.retryAfter ?? 5);
      else await this.refused(scheduled, error.code);
    }
  }

  /** Who sends it, with the role that they have now. @throws AppError account_suspended */
  private async callerOf({ _id, userId }: ScheduledMessageDocument): Promise<Caller> {
    const user = await this.deps.collections.users.findOne({ _id: userId });
    if (user?.state !== 'active') throw new AppError('account_suspended', 'The account is not active.');
    // No session does it, and it comes from no address.
    const caller: Caller = { userId, sessionId: _id, role: user.role, address: '' };
    this.deps.maintenance.admit(caller);
    return caller;
  }

  private done({ _id, userId }: ScheduledMessageDocument, messageId: ObjectId): Promise<void> {
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

  private async refused(scheduled: ScheduledMessageDocument, code: ErrorCode): Promise<void> {
    const { _id, userId, channelId, takenAt } = scheduled;
    // A node that died may have sent it while the user still could.
    const clientMessageId = clientMessageIdOf(scheduled);
    const sent = await this.deps.collections.messages.findOne({ senderId: userId, clientMessageId });
    if (sent) {
      await this.done(scheduled, sent._id);
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

/** The same whoever sends it, and however often. */
function clientMessageIdOf({ _id }: ScheduledMessageDocument): string {
  return `scheduled:${_id.toHexString()}`;
}
