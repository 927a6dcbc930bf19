import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, lineOfText, nextCursorOut, timeOut } from './common.model';
import { publicUserSchema, toPublicUser, type UserDocument } from './user.model';

export const VISIBILITIES = ['public', 'private'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

export const GROUP_ROLES = ['owner', 'admin', 'moderator', 'member'] as const;
export type GroupRole = (typeof GROUP_ROLES)[number];

export interface GroupDocument {
  _id: ObjectId;
  /** Unique without regard to case. */
  name: string;
  description: string;
  visibility: Visibility;
  createdBy: ObjectId;
  memberCount: number;
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

export const createGroupInput = z
  .strictObject({
    name: lineOfText(1, 80),
    description: lineOfText(0, 1000).default(''),
    visibility: z.enum(VISIBILITIES),
  })
  .meta({ id: 'CreateGroupInput' });
export type CreateGroupInput = z.output<typeof createGroupInput>;

export const addMemberInput = z.strictObject({ userId: idSchema }).meta({ id: 'AddMemberInput' });

export const groupParams = z.strictObject({ groupId: idSchema });
export const groupMemberParams = z.strictObject({ groupId: idSchema, userId: idSchema });

export const groupSchema = z
  .strictObject({
    id: idOut,
    name: z.string(),
    description: z.string(),
    visibility: z.enum(VISIBILITIES),
    createdBy: idOut,
    memberCount: z.number().int(),
    myRole: z.enum(GROUP_ROLES).nullable().meta({ description: 'Null when the caller is not a member.' }),
    createdAt: timeOut,
    updatedAt: timeOut,
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

export function toGroup(group: GroupDocument, myRole: GroupRole | null): Group {
  return {
    id: group._id.toHexString(),
    name: group.name,
    description: group.description,
    visibility: group.visibility,
    createdBy: group.createdBy.toHexString(),
    memberCount: group.memberCount,
    myRole,
    createdAt: group.createdAt.toISOString(),
    updatedAt: group.updatedAt.toISOString(),
  };
}

export function toMember(membership: MembershipDocument, user: UserDocument): Member {
  return {
    userId: membership.userId.toHexString(),
    role: membership.role,
    joinedAt: membership.joinedAt.toISOString(),
    user: toPublicUser(user),
  };
}
