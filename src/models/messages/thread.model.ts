import { ObjectId } from 'mongodb';
import { z } from 'zod';
import { markReadInput } from '../channels/channel-summary.model';
import { idOut, idSchema, limitSchema, nextCursorOut } from '../kernel/common.model';
import { messageSchema } from '../message.model';

/** The maximum number of threads that a user's list covers: the ones that they followed most recently. */
export const MAX_LISTED_THREADS = 1000;

/** Whether a user follows a thread, and how far they have read it. Missing if they never followed it. */
export interface ThreadFollowDocument {
  _id: ObjectId;
  userId: ObjectId;
  channelId: ObjectId;
  /** The root message. */
  threadId: ObjectId;
  /**
   * False after the user unfollowed the thread. Then only a reply of their own makes them follow it again
   * automatically.
   */
  following: boolean;
  /** The `seq` up to which the user has read the thread. It never moves back. */
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

/** The end of a page of threads, which are sorted by their last replies. */
export interface ThreadCursor {
  activeAt: Date;
  _id: ObjectId;
}

export const threadsQuery = z.strictObject({
  cursor: z
    .string()
    .regex(/^\d{1,15}\.[0-9a-f]{24}$/, 'must be the `nextCursor` of the previous page')
    .transform((text): ThreadCursor => {
      const [time = '', id = ''] = text.split('.');
      return { activeAt: new Date(Number(time)), _id: new ObjectId(id) };
    })
    .optional()
    .meta({ type: 'string', description: 'The `nextCursor` of the previous page.' }),
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
      .meta({ description: 'The replies of other users after `readSeq` that are not deleted.' }),
    mentions: z
      .number()
      .int()
      .meta({ description: 'The unread replies that mention the user or the whole channel.' }),
  })
  .meta({ id: 'FollowedThread' });
export type FollowedThread = z.output<typeof followedThreadSchema>;
export const threadsReply = z.strictObject({
  threads: z.array(followedThreadSchema),
  nextCursor: nextCursorOut,
});
