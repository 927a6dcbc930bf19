import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { avatarUrl, avatarUrlOut } from './avatar.model';
import { idOut, idSchema, lineOfText, nextCursorOut, timeOut } from './common.model';
import { publicUserSchema, toPublicUser, type UserDocument } from './user.model';

export const VISIBILITIES = ['public', 'private'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

export const GROUP_ROLES = ['owner', 'admin', 'moderator', 'member'] as const;
export type GroupRole = (typeof GROUP_ROLES)[number];

/** How people come into a public group: by themselves, or by asking. */
export const JOIN_POLICIES = ['open', 'approval'] as const;
export type JoinPolicy = (typeof JOIN_POLICIES)[number];

export interface GroupDocument {
  _id: ObjectId;
  /** Unique without regard to case. */
  name: string;
  description: string;
  visibility: Visibility;
  joinPolicy: JoinPolicy;
  /** 32 hexadecimal digits, new ones for each upload. Missing without an avatar. */
  avatarId?: string;
  createdBy: ObjectId;
  memberCount: number;
  /** Public channels: how many private ones there are is nobody's business. */
  channelCount: number;
  /** The public channel that newcomers see first. Null while there is none. */
  defaultChannelId: ObjectId | null;
  archivedAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
}

/** One user in one group. */
export interface MembershipDocument {
  _id: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  role: GroupRole;
  joinedAt: Date;
}

/** Somebody who must stay out of a group. */
export interface GroupBanDocument {
  _id: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  reason: string;
  bannedBy: ObjectId;
  createdAt: Date;
  /** Null when it holds for good. */
  expiresAt: Date | null;
}

export const createGroupInput = z
  .strictObject({
    name: lineOfText(1, 80),
    description: lineOfText(0, 1000).default(''),
    visibility: z.enum(VISIBILITIES),
    joinPolicy: z
      .enum(JOIN_POLICIES)
      .default('open')
      .meta({ description: 'Of a public group: whether people join by themselves or have to ask.' }),
  })
  .meta({ id: 'CreateGroupInput' });
export type CreateGroupInput = z.output<typeof createGroupInput>;

export const addMemberInput = z.strictObject({ userId: idSchema }).meta({ id: 'AddMemberInput' });

export const groupParams = z.strictObject({ groupId: idSchema });
export const groupMemberParams = z.strictObject({ groupId: idSchema, userId: idSchema });

const groupFields = {
  id: idOut,
  name: z.string(),
  description: z.string(),
  visibility: z.enum(VISIBILITIES),
  joinPolicy: z.enum(JOIN_POLICIES),
  avatarUrl: avatarUrlOut,
  createdBy: idOut,
  memberCount: z.number().int(),
  channelCount: z.number().int().meta({ description: 'How many public channels it has.' }),
  defaultChannelId: idOut.nullable().meta({ description: 'The channel that newcomers see first.' }),
  archivedAt: timeOut.nullable(),
  createdAt: timeOut,
  updatedAt: timeOut,
};

/** A group as all of its members see it alike. */
export const sharedGroupSchema = z.strictObject(groupFields).meta({ id: 'SharedGroup' });
export type SharedGroup = z.output<typeof sharedGroupSchema>;

export const groupSchema = z
  .strictObject({
    ...groupFields,
    myRole: z.enum(GROUP_ROLES).nullable().meta({ description: 'Null when the caller is not a member.' }),
  })
  .meta({ id: 'Group' });
export type Group = z.output<typeof groupSchema>;

export const memberSchema = z
  .strictObject({ userId: idOut, role: z.enum(GROUP_ROLES), joinedAt: timeOut, user: publicUserSchema })
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

export function toGroup(group: GroupDocument, myRole: GroupRole | null): Group {
  return { ...toSharedGroup(group), myRole };
}

export function toMember(membership: MembershipDocument, user: UserDocument): Member {
  return {
    userId: membership.userId.toHexString(),
    role: membership.role,
    joinedAt: membership.joinedAt.toISOString(),
    user: toPublicUser(user),
  };
}
