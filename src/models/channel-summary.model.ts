import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, timeOut } from './common.model';
import { messageSchema } from './message.model';

/** How far a user has read a channel. */
export interface ChannelReadDocument {
  _id: ObjectId;
  channelId: ObjectId;
  userId: ObjectId;
  /** The `seq` up to which they have read. It never moves back. */
  seq: number;
}

export const markReadInput = z
  .strictObject({
    seq: z
      .number()
      .int()
      .min(0)
      .max(Number.MAX_SAFE_INTEGER)
      .meta({ description: 'The `seq` of the newest message that has been seen.' }),
  })
  .meta({ id: 'MarkReadInput' });
export type MarkReadInput = z.output<typeof markReadInput>;

const readSeq = z.number().int().meta({ description: 'The `seq` up to which the user has read.' });
const unread = z
  .number()
  .int()
  .meta({ description: 'Messages of others behind it that have not been deleted.' });

/** How far a user has read, and what is left. */
export const channelReadSchema = z
  .strictObject({ channelId: idOut, readSeq, unread })
  .meta({ id: 'ChannelRead' });
export type ChannelRead = z.output<typeof channelReadSchema>;

/** What a client draws of a channel in a list. */
export const channelSummarySchema = z
  .strictObject({
    channelId: idOut,
    lastMessage: messageSchema
      .nullable()
      .meta({ description: 'The newest one, without its text if it was deleted; null in an empty channel.' }),
    readSeq,
    unread,
    muted: z
      .strictObject({ reason: z.string(), expiresAt: timeOut.nullable() })
      .nullable()
      .meta({ description: 'Why the user may not write, and until when.' }),
    membersOnline: z
      .number()
      .int()
      .meta({ description: 'How many people are connected who hear the channel; the user counts too.' }),
  })
  .meta({ id: 'ChannelSummary' });
export type ChannelSummary = z.output<typeof channelSummarySchema>;

export const channelReadReply = z.strictObject({ read: channelReadSchema });
export const channelSummaryReply = z.strictObject({ summary: channelSummarySchema });
