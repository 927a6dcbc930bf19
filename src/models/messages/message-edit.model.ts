import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, nextCursorOut, timestampOut } from '../kernel/common.model';

/** A former text of an edited message. It is deleted with the message. */
export interface MessageEditDocument {
  _id: ObjectId;
  messageId: ObjectId;
  body: string;
  writtenAt: Date;
  replacedAt: Date;
}

export const messageEditSchema = z
  .strictObject({
    id: idOut,
    messageId: idOut,
    body: z.string().meta({ description: 'The former text.' }),
    writtenAt: timestampOut.meta({ description: 'When this text was written.' }),
    replacedAt: timestampOut.meta({ description: 'When it was replaced.' }),
  })
  .meta({ id: 'MessageEdit' });
export type MessageEdit = z.output<typeof messageEditSchema>;

export const messageEditsReply = z.strictObject({
  edits: z.array(messageEditSchema),
  nextCursor: nextCursorOut,
});

export function toMessageEdit({
  _id,
  messageId,
  body,
  writtenAt,
  replacedAt,
}: MessageEditDocument): MessageEdit {
  return {
    id: _id.toHexString(),
    messageId: messageId.toHexString(),
    body,
    writtenAt: writtenAt.toISOString(),
    replacedAt: replacedAt.toISOString(),
  };
}
