import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, timestampOut } from '../kernel/common.model';
import { messageSchema } from '../message.model';

/** How far a user has read a channel. */
export interface ChannelReadDocument {
  _id: ObjectId;
  channelId: ObjectId;
  userId: ObjectId;
  /** The `seq` up to which they have read. It moves back only when they say so. */
  seq: number;
  /** How many messages outside of threads there are up to there. */
  mainSeq: number;
  /** How many outside of threads behind it are their own, since they have put it back; deleted ones count. */
  own: number;
  /** Grows with every move. */
  version: number;
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

export const markUnreadInput = z
  .strictObject({
    seq: z
      .number()
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .meta({ description: 'The `seq` of the message from which on it is to be unread.' }),
  })
  .meta({ id: 'MarkUnreadInput' });
export type MarkUnreadInput = z.output<typeof markUnreadInput>;

/** The payloads of the socket events. */
export const markReadEvent = markReadInput.extend({ channelId: idSchema });
export const markUnreadEvent = markUnreadInput.extend({ channelId: idSchema });

const readSeq = z.number().int().meta({ description: 'The `seq` up to which the user has read.' });
const unread = z.number().int().meta({
  description: 'Messages of others behind it that have not been deleted, without replies in threads.',
});
const mentions = z
  .number()
  .int()
  .meta({ description: 'Those of them that name the user, or the whole channel.' });

/** How far a user has read, and what is left. */
export const channelReadSchema = z
  .strictObject({
    channelId: idOut,
    readSeq,
    unread,
    mentions,
    lastSeq: z.number().int().meta({ description: "The channel's newest `seq` when it was counted." }),
    revision: z.number().int().meta({ description: "The channel's `revision` when it was counted." }),
    version: z.number().int().meta({ description: 'Of two states, the one with the greater one is later.' }),
  })
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
    mentions,
    muted: z
      .strictObject({ reason: z.string(), expiresAt: timestampOut.nullable() })
      .nullable()
      .meta({ description: 'Why the user may not write, and until when.' }),
    membersOnline: z
      .number()
      .int()
      .meta({ description: 'How many people are connected who hear the channel; the user counts too.' }),
  })
  .meta({ id: 'ChannelSummary' });
export type ChannelSummary = z.output<typeof channelSummarySchema>;

const counts = { unread: z.number().int(), mentions: z.number().int() };

/** All that is unread of a user. */
export const unreadTotals = z
  .strictObject({
    ...counts,
    groups: z.array(z.strictObject({ groupId: idOut.nullable(), ...counts })).meta({
      description: 'Those with something unread; `groupId` is null of direct conversations together.',
    }),
    channels: z.array(channelReadSchema).meta({ description: 'Those with something unread.' }),
  })
  .meta({ id: 'UnreadTotals' });
export type UnreadTotals = z.output<typeof unreadTotals>;

/** What a recount of somebody's channels has found. */
export const verification = z
  .strictObject({
    channels: z.number().int().meta({ description: 'How many were recounted.' }),
    drift: z
      .array(
        z.strictObject({
          channelId: idOut,
          shown: z.strictObject(counts).meta({ description: 'What was shown until now.' }),
          counted: z.strictObject(counts).meta({ description: 'What it is, and what is shown from now on.' }),
        }),
      )
      .meta({ description: 'Where the two differed. It was repaired, and the operators are told.' }),
  })
  .meta({ id: 'Verification' });
export type Verification = z.output<typeof verification>;

export const channelReadReply = z.strictObject({ read: channelReadSchema });
export const channelSummaryReply = z.strictObject({ summary: channelSummarySchema });
