import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import {
  attachmentIdsInput,
  attachmentSchema,
  toAttachment,
  type StoredAttachment,
} from '../files/attachment.model';
import { idOut, idSchema, messageText, nextCursorOut, timestampOut } from '../kernel/common.model';
import { MAX_MESSAGE_LENGTH, hasContent, NO_CONTENT } from '../message.model';

/** How far ahead a message can be scheduled: a year. */
const MAX_AHEAD_MS = 366 * 24 * 60 * 60 * 1000;
/** The maximum number of scheduled messages per user. */
export const MAX_SCHEDULED = 100;

const STATES = ['waiting', 'failed'] as const;

/** A message to be sent later. It is deleted when it is sent. */
export interface ScheduledMessageDocument {
  _id: ObjectId;
  userId: ObjectId;
  channelId: ObjectId;
  body: string;
  /** The files that are reserved for it. Missing without any. */
  attachments?: StoredAttachment[];
  sendAt: Date;
  state: (typeof STATES)[number];
  /** Why it could not be sent: a code of the error catalogue. */
  failure: string | null;
  /**
   * From when on a node may claim it for sending. It is later than `sendAt` while a node is sending it, and before a
   * retry.
   */
  dueAt: Date;
  /** When a node claimed it; null until then. A claimed message can no longer be changed. */
  takenAt: Date | null;
  createdAt: Date;
}

const sendAt = z.iso
  .datetime()
  .refine((time) => new Date(time).getTime() > Date.now(), 'must be in the future')
  .refine((time) => new Date(time).getTime() < Date.now() + MAX_AHEAD_MS, 'must be within a year')
  .meta({ description: 'When to send the message: in the future, within a year.' });
const body = messageText(MAX_MESSAGE_LENGTH);

export const scheduleMessageInput = z
  .strictObject({
    channelId: idSchema,
    body: body.default('').meta({ description: 'May be empty if there are attachments.' }),
    attachmentIds: attachmentIdsInput.optional(),
    sendAt,
  })
  .refine(hasContent, NO_CONTENT)
  .meta({ id: 'ScheduleMessageInput' });
export type ScheduleMessageInput = z.output<typeof scheduleMessageInput>;

export const rescheduleMessageInput = z
  .strictObject({ body: body.optional(), sendAt: sendAt.optional() })
  .refine((input) => input.body !== undefined || input.sendAt !== undefined, 'must change something')
  .meta({ id: 'RescheduleMessageInput' });
export type RescheduleMessageInput = z.output<typeof rescheduleMessageInput>;

export const scheduledMessageParams = z.strictObject({ scheduledMessageId: idSchema });
export type ScheduledMessageParams = z.output<typeof scheduledMessageParams>;

export const scheduledMessageSchema = z
  .strictObject({
    id: idOut,
    channelId: idOut,
    body: z.string(),
    attachments: z.array(attachmentSchema),
    sendAt: timestampOut,
    state: z
      .enum(STATES)
      .meta({ description: '`failed` if it could not be sent; changing it schedules another attempt.' }),
    failure: z
      .string()
      .nullable()
      .meta({ description: 'The error code for which it could not be sent; null unless it has failed.' }),
    createdAt: timestampOut,
  })
  .meta({ id: 'ScheduledMessage' });
export type ScheduledMessage = z.output<typeof scheduledMessageSchema>;

export const scheduledMessageReply = z.strictObject({ scheduledMessage: scheduledMessageSchema });
export const scheduledMessagesReply = z.strictObject({
  scheduledMessages: z.array(scheduledMessageSchema),
  nextCursor: nextCursorOut,
});
/** The event that a user's devices receive when a scheduled message is sent or deleted. */
export const scheduledMessageRemovedEvent = z.strictObject({
  scheduledMessageId: idOut,
  messageId: idOut
    .nullable()
    .meta({ description: 'The sent message; null if the scheduled message was deleted.' }),
});

export function toScheduledMessage(scheduled: ScheduledMessageDocument): ScheduledMessage {
  return {
    id: scheduled._id.toHexString(),
    channelId: scheduled.channelId.toHexString(),
    body: scheduled.body,
    attachments: scheduled.attachments?.map(toAttachment) ?? [],
    sendAt: scheduled.sendAt.toISOString(),
    state: scheduled.state,
    failure: scheduled.failure,
    createdAt: scheduled.createdAt.toISOString(),
  };
}
