import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, multilineText, nextCursorOut, timestampOut } from '../kernel/common.model';
import { clientMessageIdSchema, MAX_MESSAGE_LENGTH } from '../message.model';

/** The maximum number of drafts per user. */
export const MAX_DRAFTS = 200;

/** A draft of a message. */
export interface DraftDocument {
  _id: ObjectId;
  userId: ObjectId;
  channelId: ObjectId;
  /** The root message of the thread to which it belongs; null outside threads. */
  threadId: ObjectId | null;
  body: string;
  /** The `clientMessageId` with which it will be sent. Missing unless the client has set it. */
  clientMessageId?: string;
  updatedAt: Date;
}

export const saveDraftInput = z
  .strictObject({
    body: multilineText(MAX_MESSAGE_LENGTH),
    clientMessageId: clientMessageIdSchema.optional().meta({
      description: 'The id with which the message will be sent. Sending a message with it deletes the draft.',
    }),
  })
  .meta({ id: 'SaveDraftInput' });
export type SaveDraftInput = z.output<typeof saveDraftInput>;

export const draftQuery = z.strictObject({
  threadId: idSchema
    .optional()
    .meta({ description: 'The root message of the thread to which the draft belongs.' }),
});
export type DraftQuery = z.output<typeof draftQuery>;

export const draftSchema = z
  .strictObject({
    channelId: idOut,
    threadId: idOut.nullable(),
    body: z.string(),
    clientMessageId: z.string().nullable(),
    updatedAt: timestampOut,
  })
  .meta({ id: 'Draft' });
export type Draft = z.output<typeof draftSchema>;

export const draftReply = z.strictObject({ draft: draftSchema });
export const draftsReply = z.strictObject({ drafts: z.array(draftSchema), nextCursor: nextCursorOut });
/** The event that a user's devices receive when a draft changes. */
export const draftChangedEvent = z.strictObject({
  channelId: idOut,
  threadId: idOut.nullable(),
  draft: draftSchema.nullable().meta({ description: 'Null if the draft was removed.' }),
});

export function toDraft(draft: DraftDocument): Draft {
  return {
    channelId: draft.channelId.toHexString(),
    threadId: draft.threadId?.toHexString() ?? null,
    body: draft.body,
    clientMessageId: draft.clientMessageId ?? null,
    updatedAt: draft.updatedAt.toISOString(),
  };
}
