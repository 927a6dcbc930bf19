import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, timestampOut } from '../kernel/common.model';
import { messageSchema } from '../message.model';

/** The read marker of a user in a channel. */
export interface ChannelReadDocument {
  _id: ObjectId;
  channelId: ObjectId;
  userId: ObjectId;
  /** The `seq` up to which the user has read. It moves back only if the user marks messages as unread. */
  seq: number;
  /** How many messages outside threads there are up to `seq`. */
  mainSeq: number;
  /**
   * How many messages outside threads after `seq` are the user's own, deleted ones included: 0 unless the marker was
   * moved back.
   */
  own: number;
  /** Increases with every move of the marker. */
  version: number;
}

export const markReadInput = z
  .strictObject({
    seq: z
      .number()
      .int()
      .min(0)
      .max(Number.MAX_SAFE_INTEGER)
      .meta({ description: 'The `seq` of the newest message that the user has seen.' }),
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
      .meta({ description: 'The `seq` of the first message to mark as unread.' }),
  })
  .meta({ id: 'MarkUnreadInput' });
export type MarkUnreadInput = z.output<typeof markUnreadInput>;

/** The payloads of the socket events. */
export const markReadEvent = markReadInput.extend({ channelId: idSchema });
export const markUnreadEvent = markUnreadInput.extend({ channelId: idSchema });

const readSeq = z.number().int().meta({ description: 'The `seq` up to which the user has read.' });
const unread = z.number().int().meta({
  description:
    'The messages of other users after `readSeq`, without deleted messages and replies in threads.',
});
const mentions = z
  .number()
  .int()
  .meta({ description: 'The unread messages that mention the user or the whole channel.' });

/** The read marker of a user in a channel, and what is unread. */
export const channelReadSchema = z
  .strictObject({
    channelId: idOut,
    readSeq,
    unread,
    mentions,
    lastSeq: z
      .number()
      .int()
      .meta({ description: 'The newest `seq` of the channel at the time of counting.' }),
    revision: z
      .number()
      .int()
      .meta({ description: 'The `revision` of the channel at the time of counting.' }),
    version: z.number().int().meta({
      description:
        'Increases with every change: of two states, the one with the greater version is the later one.',
    }),
  })
  .meta({ id: 'ChannelRead' });
export type ChannelRead = z.output<typeof channelReadSchema>;

/** What a client displays of a channel in a list. */
export const channelSummarySchema = z
  .strictObject({
    channelId: idOut,
    lastMessage: messageSchema.nullable().meta({
      description: 'The newest message, without its text if it was deleted; null in an empty channel.',
    }),
    readSeq,
    unread,
    mentions,
    muted: z
      .strictObject({ reason: z.string(), expiresAt: timestampOut.nullable() })
      .nullable()
      .meta({ description: 'The reason and the end of a mute of the user; null if the user is not muted.' }),
    membersOnline: z.number().int().meta({
      description:
        'The number of connected users who receive the events of the channel, including this user.',
    }),
  })
  .meta({ id: 'ChannelSummary' });
export type ChannelSummary = z.output<typeof channelSummarySchema>;

const counts = { unread: z.number().int(), mentions: z.number().int() };

/** All unread messages of a user. */
export const unreadTotals = z
  .strictObject({
    ...counts,
    groups: z.array(z.strictObject({ groupId: idOut.nullable(), ...counts })).meta({
      description:
        'The groups with unread messages; `groupId` is null for all direct conversations together.',
    }),
    channels: z.array(channelReadSchema).meta({ description: 'The channels with unread messages.' }),
  })
  .meta({ id: 'UnreadTotals' });
export type UnreadTotals = z.output<typeof unreadTotals>;

/** The result of recounting a user's unread messages. */
export const verification = z
  .strictObject({
    channels: z.number().int().meta({ description: 'The number of channels that were recounted.' }),
    drift: z
      .array(
        z.strictObject({
          channelId: idOut,
          shown: z.strictObject(counts).meta({ description: 'The counts that were shown so far.' }),
          counted: z
            .strictObject(counts)
            .meta({ description: 'The correct counts, which are shown from now on.' }),
        }),
      )
      .meta({
        description:
          'The channels whose counts were wrong. They have been corrected, and the server has logged them.',
      }),
  })
  .meta({ id: 'Verification' });
export type Verification = z.output<typeof verification>;

export const channelReadReply = z.strictObject({ read: channelReadSchema });
export const channelSummaryReply = z.strictObject({ summary: channelSummarySchema });
