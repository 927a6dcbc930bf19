import { ObjectId } from 'mongodb';
import { z } from 'zod';
import { markReadInput } from '../channels/channel-summary.model';
import { idOut, idSchema, limitSchema, nextCursorOut } from '../kernel/common.model';
import { messageSchema } from '../message.model';

/** How many threads a user's list of them goes back: those that they have begun to follow last. */
export const MAX_LISTED_THREADS = 1000;

/** What one user has to do with one thread. Missing when it is nothing. */
export interface ThreadFollowDocument {
  _id: ObjectId;
  userId: ObjectId;
  channelId: ObjectId;
  /** The root message. */
  threadId: ObjectId;
  /** False once they have said that they do not follow it: then only a reply of their own makes them follow again. */
  following: boolean;
  /** The `seq` up to which they have read the thread. It never moves back. */
  readSeq: number;
}

export const threadFollowSchema = z
  .strictObject({
    threadId: idOut.meta({ description: 'The root message.' }),
    channelId: idOut,
    following: z.boolean(),
    readSeq: z.number().int().meta({ description: 'The `seq` up to which the user has read the thread.' }),
  })
  .meta({ id: 'ThreadFollow' });
export type ThreadFollow = z.output<typeof threadFollowSchema>;
/** The payload of the socket event. */
export const markThreadReadEvent = markReadInput.extend({ messageId: idSchema });
export const threadFollowReply = z.strictObject({ thread: threadFollowSchema });

export function toThreadFollow({
  threadId,
  channelId,
  following,
  readSeq,
}: ThreadFollowDocument): ThreadFollow {
  return { threadId: threadId.toHexString(), channelId: channelId.toHexString(), following, readSeq };
}

/** Where a page of threads has ended: they are in the order of their last replies. */
export interface ThreadCursor {
  activeAt: Date;
  _id: ObjectId;
}

export const threadsQuery = z.strictObject({
  cursor: z
    .string()
    .regex(/^\d{1,15}\.[0-9a-f]{24}$/, 'must be the nextCursor of a page')
    .transform((text): ThreadCursor => {
      const [time = '', id = ''] = text.split('.');
      return { activeAt: new Date(Number(time)), _id: new ObjectId(id) };
    })
    .optional()
    .meta({ type: 'string', description: '`nextCursor` of the page before.' }),
  limit: limitSchema(20, 50),
});
export type ThreadsQuery = z.output<typeof threadsQuery>;

export function encodeThreadCursor({ activeAt, _id }: ThreadCursor): string {
  return `${activeAt.getTime()}.${_id.toHexString()}`;
}

export const followedThreadSchema = z
  .strictObject({
    thread: threadFollowSchema,
    root: messageSchema,
    unread: z
      .number()
      .int()
      .meta({ description: 'Replies of others behind `readSeq` that have not been deleted.' }),
    mentions: z
      .number()
      .int()
      .meta({ description: 'Those of them that name the user, or the whole channel.' }),
  })
  .meta({ id: 'FollowedThread' });
export type FollowedThread = z.output<typeof followedThreadSchema>;
export const threadsReply = z.strictObject({
  threads: z.array(followedThreadSchema),
  nextCursor: nextCursorOut,
});
