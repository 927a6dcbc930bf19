import { z } from 'zod';
import { announcementSchema } from '../operations/announcement.model';
import { channelSummarySchema } from '../channels/channel-summary.model';
import { channelSchema } from '../channel.model';
import { timestampOut, idOut } from '../kernel/common.model';
import { groupSchema } from '../group.model';
import { receivedInviteSchema } from '../groups/invite.model';
import { ownJoinRequestSchema } from '../groups/join-request.model';
import { presenceSchema } from '../presence/presence.model';
import { preferencesSchema } from '../users/preferences.model';
import { publicUserSchema, userSchema } from '../user.model';
import { callSchema } from '../video-call.model';

/** The maximum number of items of each kind in an overview. */
export const OVERVIEW_LIMITS = {
  groups: 500,
  channels: 2000,
  blocked: 1000,
  admissions: 100,
  calls: 100,
} as const;

const unreadCount = z.number().int().meta({ description: 'The unread messages in all of its channels.' });

const mentionCount = z
  .number()
  .int()
  .meta({ description: 'The unread messages that mention the caller or everyone.' });

const overviewChannelSchema = z
  .strictObject({ channel: channelSchema, summary: channelSummarySchema })
  .meta({ id: 'OverviewChannel' });
export type OverviewChannel = z.output<typeof overviewChannelSchema>;

const overviewGroupSchema = z
  .strictObject({
    group: groupSchema,
    unread: unreadCount,
    mentions: mentionCount,
    channels: z
      .array(overviewChannelSchema)
      .meta({ description: 'The channels that the caller may read, in their order.' }),
  })
  .meta({ id: 'OverviewGroup' });
export type OverviewGroup = z.output<typeof overviewGroupSchema>;

const overviewDirectSchema = z
  .strictObject({
    channel: channelSchema,
    summary: channelSummarySchema,
    userIds: z.array(idOut).meta({ description: 'The participants, including the caller.' }),
  })
  .meta({ id: 'OverviewDirect' });
export type OverviewDirect = z.output<typeof overviewDirectSchema>;

/** The limits of the server, so that a client can check input before it sends it. */
const serverLimitsSchema = z
  .strictObject({
    messageLength: z
      .number()
      .int()
      .meta({ description: 'The maximum length of a message, in UTF-16 code units.' }),
    bodyBytes: z.number().int().meta({ description: 'The maximum size of a JSON body or a socket packet.' }),
    avatarBytes: z.number().int(),
    attachments: z.number().int().meta({ description: 'The maximum number of files in a message.' }),
    uploadBytes: z
      .strictObject({ image: z.number().int(), media: z.number().int(), file: z.number().int() })
      .meta({
        description: 'The maximum size of a file, by category: an image, audio or video, or any other file.',
      }),
    quotaBytes: z.number().int().meta({ description: 'The maximum total size of all files of the caller.' }),
    pageSize: z.number().int().meta({ description: 'The maximum `limit` of a list.' }),
    passwordBytes: z.number().int(),
  })
  .meta({ id: 'ServerLimits' });
export type ServerLimits = z.output<typeof serverLimitsSchema>;

/** Everything that a client displays at start. */
export const overviewSchema = z
  .strictObject({
    serverTime: timestampOut,
    me: userSchema,
    groups: z.array(overviewGroupSchema).meta({ description: 'The groups of the caller, sorted by name.' }),
    direct: z
      .array(overviewDirectSchema)
      .meta({ description: 'The direct conversations, sorted by their newest message, latest first.' }),
    users: z.array(publicUserSchema).meta({
      description:
        'The users to whom the lists above refer: participants of direct conversations, and senders of last messages.',
    }),
    presences: z.array(presenceSchema).meta({
      description:
        'The presence of the participants of direct conversations. Users who are not listed are offline.',
    }),
    unread: z.strictObject({
      messages: unreadCount,
      mentions: mentionCount,
      direct: unreadCount,
      notifications: z.number().int(),
    }),
    joinRequests: z.array(ownJoinRequestSchema).meta({
      description:
        'The join requests of the caller that are pending or were rejected recently, newest first.',
    }),
    invites: z.array(receivedInviteSchema).meta({ description: 'The invites for the caller, oldest first.' }),
    activeCalls: z.array(callSchema).meta({
      description: 'The open calls of all channels that the caller can read, the newest first.',
    }),
    announcements: z.array(announcementSchema),
    preferences: preferencesSchema,
    blockedUserIds: z.array(idOut),
    limits: serverLimitsSchema,
    complete: z.boolean().meta({
      description:
        `False if the caller is in more than ${OVERVIEW_LIMITS.groups} groups or ${OVERVIEW_LIMITS.channels} channels, ` +
        `has blocked more than ${OVERVIEW_LIMITS.blocked} users, has more than ${OVERVIEW_LIMITS.admissions} ` +
        `join requests or invites, or can read channels with more than ${OVERVIEW_LIMITS.calls} open calls. The list endpoints return the rest.`,
    }),
  })
  .meta({ id: 'Overview' });
export type Overview = z.output<typeof overviewSchema>;
