import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import type { NameKeys } from '../utils/name-keys';
import {
  idOut,
  idSchema,
  limitSchema,
  singleLineText,
  nextCursorOut,
  timestampOut,
  visibleName,
} from './kernel/common.model';
import { VISIBILITIES, type Visibility } from './group.model';

export const CHANNEL_KINDS = ['group', 'direct'] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

/** A direct conversation has no name, and so none of NameKeys. */
export interface ChannelDocument extends Partial<NameKeys> {
  _id: ObjectId;
  kind: ChannelKind;
  /** Null of a direct conversation. */
  groupId: ObjectId | null;
  /** Unique in its group: see NameKeys. Empty of a direct conversation. */
  name: string;
  topic: string;
  /** Public: every member of the group reads it. Private: only those in channel_members. */
  visibility: Visibility;
  createdBy: ObjectId;
  /** To whom it was handed over; missing as long as whoever made it owns it. */
  ownerId?: ObjectId;
  /** Its place among the channels of its group, see services/channel-order.service.ts; equal ones go by age. */
  position: number;
  /** Seconds between two messages of one member, and between two of their changes; 0 for no limit. Moderators are free of it. */
  slowModeSeconds: number;
  /** Whether only moderators write. */
  announcementOnly: boolean;
  archivedAt: Date | null;
  /** For how many days messages are kept; missing or null for ever. */
  retentionDays?: number | null;
  /** Messages with a smaller `seq` were too old and have been removed. Missing as long as there were none. */
  retainedFrom?: number;
  /** Of a direct conversation: its people in one order, so that there is one conversation of them for ever. */
  directKey?: string;
  /** How many are in a private channel or a direct conversation; 0 of a public channel, see services/channel-counts.ts. */
  memberCount: number;
  /** The number of the newest message. */
  seq: number;
  /** How many messages were sent in it outside of threads. */
  mainSeq: number;
  /** The number of the newest change. */
  revision: number;
  /** Up to where it counts as read by those who have no marker in it: what was there when it became public. */
  readFrom?: { seq: number; mainSeq: number };
  createdAt: Date;
  updatedAt: Date;
}

/** What a member of a group may not do in a channel. */
export const RESTRICTION_KINDS = ['muted', 'banned'] as const;
export type RestrictionKind = (typeof RESTRICTION_KINDS)[number];

/** A user who may not write in a channel, or may not know of it, for a time. */
export interface ChannelRestrictionDocument {
  _id: ObjectId;
  channelId: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  kind: RestrictionKind;
  reason: string;
  restrictedBy: ObjectId;
  createdAt: Date;
  /** Null when it holds for good. */
  expiresAt: Date | null;
}

/** When somebody last wrote in a channel with slow mode. */
export interface SlowModeMarkDocument {
  _id: ObjectId;
  channelId: ObjectId;
  userId: ObjectId;
  sentAt: Date;
}

/** When somebody last changed something that all see in a channel with slow mode: edited a message, or reacted. */
export interface SlowModeChangeDocument {
  _id: ObjectId;
  channelId: ObjectId;
  userId: ObjectId;
  changedAt: Date;
}

/** The longest slow mode, in seconds. */
export const MAX_SLOW_MODE_SECONDS = 6 * 3600;

/** One user in one private channel or direct conversation. */
export interface ChannelMemberDocument {
  _id: ObjectId;
  channelId: ObjectId;
  /** That of the channel. */
  groupId: ObjectId | null;
  userId: ObjectId;
  joinedAt: Date;
  /** Of a direct conversation: when something was last written in it. Lists of conversations go by it. */
  activeAt?: Date;
}

/** A deleted channel whose messages are still to be removed from the disk. */
export interface ChannelPurgeDocument {
  /** The channel's id. */
  _id: ObjectId;
  requestedAt: Date;
}

const topic = singleLineText(0, 500);
const slowModeSeconds = z.number().int().min(0).max(MAX_SLOW_MODE_SECONDS).meta({
  description:
    'Seconds between two messages of one member, and between two of their edits or reactions; 0 for no limit.',
});
const announcementOnly = z
  .boolean()
  .meta({ description: 'Whether only moderators write: send, edit and react.' });

export const createChannelInput = z
  .strictObject({
    groupId: idSchema,
    name: visibleName(80),
    topic: topic.default(''),
    visibility: z.enum(VISIBILITIES).default('public'),
    slowModeSeconds: slowModeSeconds.optional(),
    announcementOnly: announcementOnly.optional(),
  })
  .meta({ id: 'CreateChannelInput' });
export type CreateChannelInput = z.output<typeof createChannelInput>;

export const updateChannelInput = z
  .strictObject({
    name: visibleName(80).optional(),
    topic: topic.optional(),
    visibility: z.enum(VISIBILITIES).optional(),
    slowModeSeconds: slowModeSeconds.optional(),
    announcementOnly: announcementOnly.optional(),
  })
  .refine((input) => Object.values(input).some((value) => value !== undefined), 'must change something')
  .meta({ id: 'UpdateChannelInput' });
export type UpdateChannelInput = z.output<typeof updateChannelInput>;

export const transferChannelInput = z
  .strictObject({ userId: idSchema.meta({ description: 'A member of the group.' }) })
  .meta({ id: 'TransferChannelInput' });
export type TransferChannelInput = z.output<typeof transferChannelInput>;

export const channelParams = z.strictObject({ channelId: idSchema });
export type ChannelParams = z.output<typeof channelParams>;
export const channelMemberParams = z.strictObject({ channelId: idSchema, userId: idSchema });
export type ChannelMemberParams = z.output<typeof channelMemberParams>;
export const channelsQuery = z.strictObject({
  groupId: idSchema,
  cursor: z
    .string()
    .regex(/^\d{1,9}\.[0-9a-f]{24}$/, 'must be the `nextCursor` of the page before')
    .optional()
    .meta({ description: '`nextCursor` of the page before.' }),
  limit: limitSchema(50, 200),
});
export type ChannelsQuery = z.output<typeof channelsQuery>;

export const channelSchema = z
  .strictObject({
    id: idOut,
    kind: z.enum(CHANNEL_KINDS),
    groupId: idOut.nullable().meta({ description: 'Null of a direct conversation.' }),
    name: z.string().meta({ description: 'Empty of a direct conversation.' }),
    topic: z.string(),
    visibility: z.enum(VISIBILITIES),
    createdBy: idOut,
    ownerId: idOut.nullable().meta({
      description:
        'Who administers it beside the admins of its group: who made it, until it is handed over. Null of a direct conversation.',
    }),
    position: z.number().int().meta({ description: 'Sort by it, then by `id`.' }),
    slowModeSeconds: z.number().int(),
    announcementOnly,
    archivedAt: timestampOut
      .nullable()
      .meta({ description: 'Since when it is only read; null while it is in use.' }),
    retentionDays: z
      .number()
      .int()
      .nullable()
      .meta({ description: 'For how many days messages are kept; null for ever.' }),
    retainedFrom: z
      .number()
      .int()
      .meta({ description: 'Messages with a smaller `seq` have been removed: drop them.' }),
    memberCount: z.number().int().meta({
      description:
        'How many are in it. Of a public channel: the members of its group without those who are banned from it, as of this answer; `member:added` and `member:removed` of the group change it.',
    }),
    seq: z.number().int().meta({ description: 'The `seq` of the newest message; 0 in an empty channel.' }),
    revision: z.number().int().meta({ description: 'The number of the newest change.' }),
    createdAt: timestampOut,
    updatedAt: timestampOut,
  })
  .meta({ id: 'Channel' });
export type Channel = z.output<typeof channelSchema>;

export const channelReply = z.strictObject({ channel: channelSchema });
export const channelsReply = z.strictObject({ channels: z.array(channelSchema), nextCursor: nextCursorOut });

/** Who owns a channel of a group; nobody owns a direct conversation. */
export function ownerOf({ kind, createdBy, ownerId }: ChannelDocument): ObjectId | null {
  return kind === 'direct' ? null : (ownerId ?? createdBy);
}

/** With 0 members where it is public: ChannelCounts knows how many it has. */
export function toChannel(channel: ChannelDocument): Channel {
  return {
    id: channel._id.toHexString(),
    kind: channel.kind,
    groupId: channel.groupId?.toHexString() ?? null,
    name: channel.name,
    topic: channel.topic,
    visibility: channel.visibility,
    createdBy: channel.createdBy.toHexString(),
    ownerId: ownerOf(channel)?.toHexString() ?? null,
    position: channel.position,
    slowModeSeconds: channel.slowModeSeconds,
    announcementOnly: channel.announcementOnly,
    archivedAt: channel.archivedAt?.toISOString() ?? null,
    retentionDays: channel.retentionDays ?? null,
    retainedFrom: channel.retainedFrom ?? 1,
    memberCount: channel.memberCount,
    seq: channel.seq,
    revision: channel.revision,
    createdAt: channel.createdAt.toISOString(),
    updatedAt: channel.updatedAt.toISOString(),
  };
}
