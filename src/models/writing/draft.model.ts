import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, multilineText, nextCursorOut, timestampOut } from '../kernel/common.model';
import { clientMessageIdSchema, MAX_MESSAGE_LENGTH } from '../message.model';

/** Drafts of one user at most. */
export const MAX_DRAFTS = 200;

/** A message that a user has begun to write. */
export interface DraftDocument {
  _id: ObjectId;
  userId: ObjectId;
  channelId: ObjectId;
  /** The root of the thread that it is for; null outside of threads. */
  threadId: ObjectId | null;
  body: string;
  /** Under what it is going to be sent. Missing unless the client has said so. */
  clientMessageId?: string;
  updatedAt: Date;
}

export const saveDraftInput = z
  .strictObject({
    body: multilineText(MAX_MESSAGE_LENGTH),
    clientMessageId: clientMessageIdSchema
      .optional()
      .meta({ description: 'Under what it is going to be sent: once that has happened, the draft is gone.' }),
  })
  .meta({ id: 'SaveDraftInput' });
export type SaveDraftInput = z.output<typeof saveDraftInput>;

export const draftQuery = z.strictObject({
  threadId: idSchema.optional().meta({ description: 'The root of the thread that the draft is for.' }),
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
/** What the user's devices hear. */
export const draftChangedEvent = z.strictObject({
  channelId: idOut,
  threadId: idOut.nullable(),
  draft: draftSchema.nullable().meta({ description: 'Null when it is gone.' }),
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
