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

/** A direct conversation has no name, and therefore none of NameKeys. */
export interface ChannelDocument extends Partial<NameKeys> {
  _id: ObjectId;
  kind: ChannelKind;
  /** Null for a direct conversation. */
  groupId: ObjectId | null;
  /** Unique in its group: see NameKeys. Empty for a direct conversation. */
  name: string;
  topic: string;
  /** Public: every member of the group can read it. Private: only the users in channel_members can. */
  visibility: Visibility;
  createdBy: ObjectId;
  /** The user to whom it was transferred. Missing while its creator owns it. */
  ownerId?: ObjectId;
  /**
   * Its position among the channels of its group; equal ones are sorted by age. See
   * services/channels/channel-order.service.ts.
   */
  position: number;
  /**
   * The minimum seconds between two messages of one member, and between two of their changes; 0 for no limit.
   * Moderators are exempt.
   */
  slowModeSeconds: number;
  /** Whether only moderators may write. */
  announcementOnly: boolean;
  archivedAt: Date | null;
  /** The number of days for which messages are kept; missing or null for ever. */
  retentionDays?: number | null;
  /** Messages with a smaller `seq` were too old and have been removed. Missing until that happens. */
  retainedFrom?: number;
  /**
   * For a direct conversation of two: the ids of both in sorted order. It is unique, so two users have one
   * conversation.
   */
  directKey?: string;
  /**
   * The number of members of a private channel or direct conversation. 0 for a public channel, whose members
   * services/channels/channel-counts.ts counts.
   */
  memberCount: number;
  /** The `seq` of the newest message. */
  seq: number;
  /** How many messages were sent in it outside threads. */
  mainSeq: number;
  /** The number of the latest change. */
  revision: number;
  /** Up to where it counts as read for users without a read marker: the messages that existed when it became public. */
  readFrom?: { seq: number; mainSeq: number };
  createdAt: Date;
  updatedAt: Date;
}

/** The kinds of restrictions of a user in a channel. */
export const RESTRICTION_KINDS = ['muted', 'banned'] as const;
export type RestrictionKind = (typeof RESTRICTION_KINDS)[number];

/** A mute or ban of a user in a channel. */
export interface ChannelRestrictionDocument {
  _id: ObjectId;
  channelId: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  kind: RestrictionKind;
  reason: string;
  restrictedBy: ObjectId;
  createdAt: Date;
  /** Null if it does not expire. */
  expiresAt: Date | null;
}

/** When a user last sent a message in a channel with slow mode. */
export interface SlowModeMarkDocument {
  _id: ObjectId;
  channelId: ObjectId;
  userId: ObjectId;
  sentAt: Date;
}

/** When a user last edited a message or reacted to one in a channel with slow mode. */
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
  /** The group of the channel. */
  groupId: ObjectId | null;
  userId: ObjectId;
  joinedAt: Date;
  /** For a direct conversation: when a message was last sent in it. Lists of conversations are sorted by it. */
  activeAt?: Date;
}

/** A deleted channel whose messages have not all been removed yet. */
export interface ChannelPurgeDocument {
  /** The channel's id. */
  _id: ObjectId;
  requestedAt: Date;
}

const topic = singleLineText(0, 500);
const slowModeSeconds = z.number().int().min(0).max(MAX_SLOW_MODE_SECONDS).meta({
  description:
    'The minimum seconds between two messages of one member, and between two of their edits or reactions; 0 for no limit.',
});
const announcementOnly = z
  .boolean()
  .meta({ description: 'Whether only moderators may send, edit and react.' });

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
  .strictObject({ userId: idSchema.meta({ description: 'The new owner, a member of the group.' }) })
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
    .regex(/^\d{1,9}\.[0-9a-f]{24}$/, 'must be the `nextCursor` of the previous page')
    .optional()
    .meta({ description: 'The `nextCursor` of the previous page.' }),
  limit: limitSchema(50, 200),
});
export type ChannelsQuery = z.output<typeof channelsQuery>;

export const channelSchema = z
  .strictObject({
    id: idOut,
    kind: z.enum(CHANNEL_KINDS),
    groupId: idOut.nullable().meta({ description: 'Null for a direct conversation.' }),
    name: z.string().meta({ description: 'Empty for a direct conversation.' }),
    topic: z.string(),
    visibility: z.enum(VISIBILITIES),
    createdBy: idOut,
    ownerId: idOut.nullable().meta({
      description:
        'The user who administers the channel besides the admins of its group: its creator, unless it was transferred. Null for a direct conversation.',
    }),
    position: z.number().int().meta({ description: 'Sort channels by it, then by `id`.' }),
    slowModeSeconds: z.number().int(),
    announcementOnly,
    archivedAt: timestampOut.nullable().meta({
      description: 'When the channel was archived and became read-only; null if it is not archived.',
    }),
    retentionDays: z
      .number()
      .int()
      .nullable()
      .meta({ description: 'The number of days for which messages are kept; null for ever.' }),
    retainedFrom: z
      .number()
      .int()
      .meta({ description: 'Messages with a smaller `seq` have been removed; delete them from caches.' }),
    memberCount: z.number().int().meta({
      description:
        'The number of members. For a public channel: the members of its group who are not banned from it, at the time of this answer; update it on `member:added` and `member:removed` of the group.',
    }),
    seq: z.number().int().meta({ description: 'The `seq` of the newest message; 0 in an empty channel.' }),
    revision: z.number().int().meta({ description: 'The number of the latest change.' }),
    createdAt: timestampOut,
    updatedAt: timestampOut,
  })
  .meta({ id: 'Channel' });
export type Channel = z.output<typeof channelSchema>;

export const channelReply = z.strictObject({ channel: channelSchema });
export const channelsReply = z.strictObject({ channels: z.array(channelSchema), nextCursor: nextCursorOut });

/** Returns the owner of a channel of a group, and null for a direct conversation. */
export function ownerOf({ kind, createdBy, ownerId }: ChannelDocument): ObjectId | null {
  return kind === 'direct' ? null : (ownerId ?? createdBy);
}

/** Returns the channel as clients see it, with a `memberCount` of 0 if it is public: ChannelCounts supplies that. */
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
