import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, lineOfText, nextCursorOut, pageQuery, timeOut } from './common.model';
import { VISIBILITIES, type Visibility } from './group.model';

export interface ChannelDocument {
  _id: ObjectId;
  groupId: ObjectId;
  /** Unique in its group without regard to case. */
  name: string;
  topic: string;
  /** Public: every member of the group reads it. Private: only those in channel_members. */
  visibility: Visibility;
  createdBy: ObjectId;
  /** The number of the newest message. */
  seq: number;
  /** The number of the newest change. */
  revision: number;
  createdAt: Date;
  updatedAt: Date;
}

/** One user in one private channel. */
export interface ChannelMemberDocument {
  _id: ObjectId;
  channelId: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  joinedAt: Date;
}

/** A deleted channel whose messages are still to be removed from the disk. */
export interface ChannelPurgeDocument {
  /** The channel's id. */
  _id: ObjectId;
  requestedAt: Date;
}

const topic = lineOfText(0, 500);

export const createChannelInput = z
  .strictObject({
    groupId: idSchema,
    name: lineOfText(1, 80),
    topic: topic.default(''),
    visibility: z.enum(VISIBILITIES).default('public'),
  })
  .meta({ id: 'CreateChannelInput' });
export type CreateChannelInput = z.output<typeof createChannelInput>;

export const updateChannelInput = z
  .strictObject({
    name: lineOfText(1, 80).optional(),
    topic: topic.optional(),
    visibility: z.enum(VISIBILITIES).optional(),
  })
  .refine((input) => Object.values(input).some((value) => value !== undefined), 'must change something')
  .meta({ id: 'UpdateChannelInput' });
export type UpdateChannelInput = z.output<typeof updateChannelInput>;

export const channelParams = z.strictObject({ channelId: idSchema });
export const channelMemberParams = z.strictObject({ channelId: idSchema, userId: idSchema });
export const channelsQuery = pageQuery.extend({ groupId: idSchema });
export type ChannelsQuery = z.output<typeof channelsQuery>;

export const channelSchema = z
  .strictObject({
    id: idOut,
    groupId: idOut,
    name: z.string(),
    topic: z.string(),
    visibility: z.enum(VISIBILITIES),
    createdBy: idOut,
    seq: z.number().int().meta({ description: 'The `seq` of the newest message; 0 in an empty channel.' }),
    revision: z.number().int().meta({ description: 'The number of the newest change.' }),
    createdAt: timeOut,
    updatedAt: timeOut,
  })
  .meta({ id: 'Channel' });
export type Channel = z.output<typeof channelSchema>;

export const channelReply = z.strictObject({ channel: channelSchema });
export const channelsReply = z.strictObject({ channels: z.array(channelSchema), nextCursor: nextCursorOut });

export function toChannel(channel: ChannelDocument): Channel {
  return {
    id: channel._id.toHexString(),
    groupId: channel.groupId.toHexString(),
    name: channel.name,
    topic: channel.topic,
    visibility: channel.visibility,
    createdBy: channel.createdBy.toHexString(),
    seq: channel.seq,
    revision: channel.revision,
    createdAt: channel.createdAt.toISOString(),
    updatedAt: channel.updatedAt.toISOString(),
  };
}
