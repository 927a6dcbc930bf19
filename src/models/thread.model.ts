import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut } from './common.model';

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
export const threadFollowReply = z.strictObject({ thread: threadFollowSchema });

export function toThreadFollow({
  threadId,
  channelId,
  following,
  readSeq,
}: ThreadFollowDocument): ThreadFollow {
  return { threadId: threadId.toHexString(), channelId: channelId.toHexString(), following, readSeq };
}
