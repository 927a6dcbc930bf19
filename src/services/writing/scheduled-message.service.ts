import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { PageQuery } from '../../models/kernel/common.model';
import {
  MAX_SCHEDULED,
  toScheduledMessage,
  type RescheduleMessageInput,
  type ScheduledMessage,
  type ScheduledMessageDocument,
  type ScheduleMessageInput,
} from '../../models/writing/scheduled-message.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { lockAccount } from '../users/account-lock';
import type { Access } from '../access/access';
import type { Attachments } from '../files/attachments';
import type { EventBus } from '../kernel/event-bus';
import { noContent } from '../messages/message-changes';
import type { ScheduledSender } from './scheduled-sender';

/** Creates and changes scheduled messages. ScheduledSender sends them. */
export class ScheduledMessageService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly attachments: Attachments,
    private readonly sender: ScheduledSender,
    private readonly bus: EventBus,
  ) {}

  /**
   * Schedules a message. Access is decided now and again when it is sent.
   * @throws AppError not_found, too_many_scheduled, attachment_used, and the access errors of sending
   */
  async create(caller: Caller, input: ScheduleMessageInput): Promise<ScheduledMessage> {
    const { userId } = caller;
    const channelId = new ObjectId(input.channelId);
    await this.access.channel(caller, 'message.send', channelId);
    const sendAt = new Date(input.sendAt);
    const document: ScheduledMessageDocument = {
      _id: new ObjectId(),
      userId,
      channelId,
      body: input.body,
      sendAt,
      state: 'waiting',
      failure: null,
      dueAt: sendAt,
      takenAt: null,
      createdAt: new Date(),
    };
    return this.transactions.run(async () => {
      // Under a lock on the account: concurrent requests cannot exceed the limit, and its deletion leaves no message.
      await lockAccount(this.collections, caller.userId);
      if ((await this.collections.scheduledMessages.countDocuments({ userId })) >= MAX_SCHEDULED) {
        throw new AppError(
          'too_many_scheduled',
          `A user can have at most ${MAX_SCHEDULED} scheduled messages.`,
        );
      }
      const ids = (input.attachmentIds ?? []).map((id) => new ObjectId(id));
      const attachments = await this.attachments.reserve(userId, ids, document._id);
      const stored = { ...document, ...(attachments.length > 0 && { attachments }) };
      await this.collections.scheduledMessages.insertOne(stored);
      return this.publishChange(stored);
    });
  }

  /** The caller's scheduled messages, in the order of creation. */
  async list({ userId }: Caller, { cursor, limit }: PageQuery): Promise<Page<ScheduledMessage>> {
    const rows = await this.collections.scheduledMessages
      .find({ userId, ...(cursor && { _id: { $gt: new ObjectId(cursor) } }) })
      .sort({ _id: 1 })
      .limit(limit + 1)
      .toArray();
    const page = cutPage(rows, limit, (last) => last._id.toHexString());
    return { items: page.items.map(toScheduledMessage), nextCursor: page.nextCursor };
  }

  /**
   * Changes the text or the time. A failed message is sent again. Its files remain.
   * @throws AppError not_found, being_sent, validation_failed (neither text nor files would remain)
   */
  async update(caller: Caller, id: string, input: RescheduleMessageInput): Promise<ScheduledMessage> {
    const own = { _id: new ObjectId(id), userId: caller.userId };
    const sendAt = input.sendAt === undefined ? undefined : new Date(input.sendAt);
    return this.transactions.run(async () => {
      const before = await this.collections.scheduledMessages.findOne(own);
      if (!before) throw noScheduledMessage();
      if (input.body === '' && !before.attachments) throw noContent();
      const document = await this.collections.scheduledMessages.findOneAndUpdate(
        { ...own, takenAt: null },
        {
          $set: {
            ...(input.body !== undefined && { body: input.body }),
            ...(sendAt && { sendAt }),
            dueAt: sendAt ?? before.sendAt,
            state: 'waiting',
            failure: null,
          },
        },
        { returnDocument: 'after' },
      );
      if (!document) throw beingSent();
      return this.publishChange(document);
    });
  }

  /** Deletes a scheduled message with its uploads. @throws AppError not_found, being_sent */
  async remove({ userId }: Caller, id: string): Promise<void> {
    const own = { _id: new ObjectId(id), userId };
    await this.transactions.run(async () => {
      const { deletedCount } = await this.collections.scheduledMessages.deleteOne({ ...own, takenAt: null });
      if (deletedCount === 0) {
        throw (await this.collections.scheduledMessages.findOne(own)) ? beingSent() : noScheduledMessage();
      }
      await this.attachments.dropReserved(own._id);
      await this.bus.publish({ type: 'scheduled_message.deleted', userId, scheduledMessageId: own._id });
    });
  }

  private async publishChange(document: ScheduledMessageDocument): Promise<ScheduledMessage> {
    await this.transactions.afterCommit(() => Promise.resolve(this.sender.wakeAt(document.dueAt)));
    await this.bus.publish({ type: 'scheduled_message.changed', scheduledMessage: document });
    return toScheduledMessage(document);
  }
}

function noScheduledMessage(): AppError {
  return new AppError('not_found', 'There is no such scheduled message.');
}

function beingSent(): AppError {
  return new AppError('being_sent', 'The message is being sent.');
}
