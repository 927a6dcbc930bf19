import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, nextCursorOut, timestampOut } from '../kernel/common.model';
import { messageSchema, toMessage, type MessageDocument } from '../message.model';

/** The maximum number of bookmarks per user. */
export const MAX_BOOKMARKS = 1000;

/** A bookmark of a user on a message. */
export interface BookmarkDocument {
  _id: ObjectId;
  userId: ObjectId;
  messageId: ObjectId;
  channelId: ObjectId;
  createdAt: Date;
}

export const bookmarkSchema = z
  .strictObject({ message: messageSchema, createdAt: timestampOut })
  .meta({ id: 'Bookmark' });
export type Bookmark = z.output<typeof bookmarkSchema>;
export const bookmarkReply = z.strictObject({ bookmark: bookmarkSchema });
export const bookmarksReply = z.strictObject({
  bookmarks: z.array(bookmarkSchema),
  nextCursor: nextCursorOut,
});
export const bookmarkRemoved = z.strictObject({ messageId: idOut });

export function toBookmark({ createdAt }: BookmarkDocument, message: MessageDocument): Bookmark {
  return { message: toMessage(message), createdAt: createdAt.toISOString() };
}
