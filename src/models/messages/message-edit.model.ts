import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, nextCursorOut, timestampOut } from '../kernel/common.model';

/** What a message said before its author changed it. Gone with the message. */
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
    body: z.string().meta({ description: 'What the message said.' }),
    writtenAt: timestampOut.meta({ description: 'Since when it said so.' }),
    replacedAt: timestampOut.meta({ description: 'Until when.' }),
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
