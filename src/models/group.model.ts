import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import type { NameKeys } from '../utils/name-keys';
import { avatarUrl, avatarUrlOut } from './files/avatar.model';
import {
  idOut,
  idSchema,
  singleLineText,
  nextCursorOut,
  pageQuery,
  timestampOut,
  visibleName,
} from './kernel/common.model';
import { publicUserSchema, toPublicUser, type PublicFields } from './user.model';

export const VISIBILITIES = ['public', 'private'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

export const GROUP_ROLES = ['owner', 'admin', 'moderator', 'member'] as const;
export type GroupRole = (typeof GROUP_ROLES)[number];

/** How users join a public group: directly, or after approval. */
export const JOIN_POLICIES = ['open', 'approval'] as const;
export type JoinPolicy = (typeof JOIN_POLICIES)[number];

/** Why a user is no longer in a group or a channel, as reported to that user. */
export const REMOVAL_REASONS = ['left', 'removed', 'banned', 'deleted', 'closed'] as const;
export type RemovalReason = (typeof REMOVAL_REASONS)[number];

/** A group. Its name is unique among all groups: see NameKeys. */
export interface GroupDocument extends NameKeys {
  _id: ObjectId;
  name: string;
  description: string;
  visibility: Visibility;
  joinPolicy: JoinPolicy;
  /** 32 hexadecimal digits, which change with each upload. Missing without an avatar. */
  avatarId?: string;
  createdBy: ObjectId;
  memberCount: number;
  /** The number of public channels. The number of private channels is not disclosed. */
  channelCount: number;
  /** The public channel that new members see first. Null if there is none. */
  defaultChannelId: ObjectId | null;
  archivedAt: Date | null;
  /** The index entry for the list of public groups. Missing for a group that is not listed. */
  listing?: GroupListing;
  createdAt: Date;
  updatedAt: Date;
}

/** The search and sort keys of a public group; services/groups/group-listing.ts computes them. */
export interface GroupListing {
  /** The sort key: the name without case and accents, followed by the id, which makes it unique. */
  place: string;
  /** The words of the name and the description, without case and accents. */
  words: string[];
}

/** The membership of one user in one group. */
export interface MembershipDocument {
  _id: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  role: GroupRole;
  joinedAt: Date;
}

export const createGroupInput = z
  .strictObject({
    name: visibleName(80),
    description: singleLineText(0, 1000).default(''),
    visibility: z.enum(VISIBILITIES),
    joinPolicy: z
      .enum(JOIN_POLICIES)
      .default('open')
      .meta({ description: 'Whether users can join a public group directly, or need approval.' }),
  })
  .meta({ id: 'CreateGroupInput' });
export type CreateGroupInput = z.output<typeof createGroupInput>;

export const updateGroupInput = z
  .strictObject({
    name: visibleName(80).optional(),
    description: singleLineText(0, 1000).optional(),
    visibility: z.enum(VISIBILITIES).optional(),
    joinPolicy: z.enum(JOIN_POLICIES).optional(),
  })
  .refine((input) => Object.values(input).some((value) => value !== undefined), 'must change something')
  .meta({ id: 'UpdateGroupInput' });
export type UpdateGroupInput = z.output<typeof updateGroupInput>;

export const discoverGroupsQuery = pageQuery.extend({
  query: singleLineText(1, 80).optional().meta({
    description: 'Prefixes of words in the name or the description. A group must match all of them.',
  }),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,1024}$/, 'must be the `nextCursor` of the previous page')
    .optional()
    .meta({ description: 'The `nextCursor` of the previous page.' }),
});
export type DiscoverGroupsQuery = z.output<typeof discoverGroupsQuery>;

export const membersQuery = pageQuery.extend({
  role: z.enum(GROUP_ROLES).optional().meta({ description: 'Only members with this role.' }),
});
export type MembersQuery = z.output<typeof membersQuery>;

export const changeMemberRoleInput = z
  .strictObject({ role: z.enum(GROUP_ROLES) })
  .meta({ id: 'ChangeMemberRoleInput' });
export type ChangeMemberRoleInput = z.output<typeof changeMemberRoleInput>;
export const transferGroupInput = z.strictObject({ userId: idSchema }).meta({ id: 'TransferGroupInput' });
export type TransferGroupInput = z.output<typeof transferGroupInput>;

export const addMemberInput = z.strictObject({ userId: idSchema }).meta({ id: 'AddMemberInput' });
export type AddMemberInput = z.output<typeof addMemberInput>;

export const groupParams = z.strictObject({ groupId: idSchema });
export type GroupParams = z.output<typeof groupParams>;
export const groupMemberParams = z.strictObject({ groupId: idSchema, userId: idSchema });
export type GroupMemberParams = z.output<typeof groupMemberParams>;

const groupFields = {
  id: idOut,
  name: z.string(),
  description: z.string(),
  visibility: z.enum(VISIBILITIES),
  joinPolicy: z.enum(JOIN_POLICIES),
  avatarUrl: avatarUrlOut,
  createdBy: idOut,
  memberCount: z.number().int(),
  channelCount: z.number().int().meta({ description: 'The number of public channels.' }),
  defaultChannelId: idOut
    .nullable()
    .meta({ description: 'The channel that new members see first; null if there is none.' }),
  archivedAt: timestampOut.nullable(),
  createdAt: timestampOut,
  updatedAt: timestampOut,
};

/** A group without what differs from member to member. */
export const sharedGroupSchema = z.strictObject(groupFields).meta({ id: 'SharedGroup' });
export type SharedGroup = z.output<typeof sharedGroupSchema>;

export const groupSchema = z
  .strictObject({
    ...groupFields,
    myRole: z.enum(GROUP_ROLES).nullable().meta({ description: 'Null if the caller is not a member.' }),
  })
  .meta({ id: 'Group' });
export type Group = z.output<typeof groupSchema>;

/** A group as users see it who are invited or have requested to join. */
export const groupBriefSchema = z
  .strictObject({
    id: idOut,
    name: z.string(),
    description: z.string(),
    avatarUrl: avatarUrlOut,
    memberCount: z.number().int(),
  })
  .meta({ id: 'GroupBrief' });

export const memberSchema = z
  .strictObject({ userId: idOut, role: z.enum(GROUP_ROLES), joinedAt: timestampOut, user: publicUserSchema })
  .meta({ id: 'Member' });
export type Member = z.output<typeof memberSchema>;

export const groupReply = z.strictObject({ group: groupSchema });
export const groupsReply = z.strictObject({ groups: z.array(groupSchema), nextCursor: nextCursorOut });
export const memberReply = z.strictObject({ member: memberSchema });
export const membersReply = z.strictObject({ members: z.array(memberSchema), nextCursor: nextCursorOut });

export function toSharedGroup(group: GroupDocument): SharedGroup {
  return {
    id: group._id.toHexString(),
    name: group.name,
    description: group.description,
    visibility: group.visibility,
    joinPolicy: group.joinPolicy,
    avatarUrl: avatarUrl(group.avatarId),
    createdBy: group.createdBy.toHexString(),
    memberCount: group.memberCount,
    channelCount: group.channelCount,
    defaultChannelId: group.defaultChannelId?.toHexString() ?? null,
    archivedAt: group.archivedAt?.toISOString() ?? null,
    createdAt: group.createdAt.toISOString(),
    updatedAt: group.updatedAt.toISOString(),
  };
}

export function toGroupBrief(group: GroupDocument): z.output<typeof groupBriefSchema> {
  const { id, name, description, avatarUrl, memberCount } = toSharedGroup(group);
  return { id, name, description, avatarUrl, memberCount };
}

export function toGroup(group: GroupDocument, myRole: GroupRole | null): Group {
  return { ...toSharedGroup(group), myRole };
}

export function toMember(membership: MembershipDocument, user: PublicFields): Member {
  return {
    userId: membership.userId.toHexString(),
    role: membership.role,
    joinedAt: membership.joinedAt.toISOString(),
    user: toPublicUser(user),
  };
}
