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

/** How much of each an overview holds at most. */
export const OVERVIEW_LIMITS = { groups: 500, channels: 2000, blocked: 1000, admissions: 100 } as const;

const unreadCount = z.number().int().meta({ description: 'Unread messages of all its channels together.' });

const mentionCount = z.number().int().meta({ description: 'Those of them that name the caller, or all.' });

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
      .meta({ description: 'Those that the caller may read, in order.' }),
  })
  .meta({ id: 'OverviewGroup' });
export type OverviewGroup = z.output<typeof overviewGroupSchema>;

const overviewDirectSchema = z
  .strictObject({
    channel: channelSchema,
    summary: channelSummarySchema,
    userIds: z.array(idOut).meta({ description: 'Who is in it, the caller too.' }),
  })
  .meta({ id: 'OverviewDirect' });
export type OverviewDirect = z.output<typeof overviewDirectSchema>;

/** What the server takes, so that a client refuses it before it asks. */
const serverLimitsSchema = z
  .strictObject({
    messageLength: z.number().int().meta({ description: 'Of a message, in UTF-16 code units.' }),
    bodyBytes: z.number().int().meta({ description: 'Of a JSON body or a socket packet.' }),
    avatarBytes: z.number().int(),
    attachments: z.number().int().meta({ description: 'Files of a message.' }),
    uploadBytes: z
      .strictObject({ image: z.number().int(), media: z.number().int(), file: z.number().int() })
      .meta({ description: 'Of a file, by what it is: a picture, sound or video, anything else.' }),
    quotaBytes: z.number().int().meta({ description: 'Of all files of the caller.' }),
    pageSize: z.number().int().meta({ description: 'The greatest `limit` of a list.' }),
    passwordBytes: z.number().int(),
  })
  .meta({ id: 'ServerLimits' });
export type ServerLimits = z.output<typeof serverLimitsSchema>;

/** All that a client draws at start. */
export const overviewSchema = z
  .strictObject({
    serverTime: timestampOut,
    me: userSchema,
    groups: z.array(overviewGroupSchema).meta({ description: 'The groups of the caller, by name.' }),
    direct: z
      .array(overviewDirectSchema)
      .meta({ description: 'Direct conversations, the one with the newest message first.' }),
    users: z.array(publicUserSchema).meta({
      description: 'Those who are named above: in direct conversations, and as senders of last messages.',
    }),
    presences: z.array(presenceSchema).meta({
      description: 'Who of the people in direct conversations is there. Whoever is not named is offline.',
    }),
    unread: z.strictObject({
      messages: unreadCount,
      mentions: mentionCount,
      direct: unreadCount,
      notifications: z.number().int(),
    }),
    joinRequests: z.array(ownJoinRequestSchema).meta({
      description: 'What the caller has asked to come into: waiting, or rejected lately. The newest first.',
    }),
    invites: z.array(receivedInviteSchema).meta({ description: 'Invites for the caller, the oldest first.' }),
    announcements: z.array(announcementSchema),
    preferences: preferencesSchema,
    blockedUserIds: z.array(idOut),
    limits: serverLimitsSchema,
    complete: z.boolean().meta({
      description:
        `False for somebody in more than ${OVERVIEW_LIMITS.groups} groups or ${OVERVIEW_LIMITS.channels} channels, ` +
        `who has blocked more than ${OVERVIEW_LIMITS.blocked} users, or of whose requests and invites more than ` +
        `${OVERVIEW_LIMITS.admissions} wait: the lists have the rest.`,
    }),
  })
  .meta({ id: 'Overview' });
export type Overview = z.output<typeof overviewSchema>;
