import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { futureTime, idOut, idSchema, nextCursorOut, timestampOut } from '../kernel/common.model';
import { groupBriefSchema, toGroupBrief, type GroupDocument } from '../group.model';
import { publicUserSchema, toPublicUser, type PublicFields } from '../user.model';

/** The roles that an invite can assign. It cannot make somebody an owner. */
export const INVITED_ROLES = ['admin', 'moderator', 'member'] as const;
export type InvitedRole = (typeof INVITED_ROLES)[number];

/** An invite into a group: for anybody who has the code, or for one user. */
export interface InviteDocument {
  _id: ObjectId;
  groupId: ObjectId;
  /** The SHA-256 hash of the code. Missing if it is for one user. */
  hash?: string;
  /** The invited user. Missing if it is a code. */
  userId?: ObjectId;
  role: InvitedRole;
  /** How often the code has been used, and how often it can still be used; null for no limit. */
  uses: number;
  usesLeft: number | null;
  createdBy: ObjectId;
  createdAt: Date;
  /** Null if it does not expire. */
  expiresAt: Date | null;
}

/** The default validity of an invite. */
export const INVITE_LIFETIME_MS = 7 * 24 * 3600_000;

export const createInviteInput = z
  .strictObject({
    userId: idSchema
      .optional()
      .meta({ description: 'Invites only this user; nobody else can use the invite.' }),
    role: z
      .enum(INVITED_ROLES)
      .default('member')
      .meta({ description: 'The role of the new member. It must be lower than the role of the caller.' }),
    maxUses: z
      .number()
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .meta({ description: 'How often the code can be used; omit it for no limit.' }),
    expiresAt: futureTime
      .nullable()
      .optional()
      .meta({ description: 'When the invite expires: after seven days if omitted, never if null.' }),
  })
  .refine((input) => input.userId === undefined || input.maxUses === undefined, {
    message: 'is only for codes: an invite for one user can be used once',
    path: ['maxUses'],
  })
  .meta({ id: 'CreateInviteInput' });
export type CreateInviteInput = z.output<typeof createInviteInput>;

export const acceptInviteInput = z
  .strictObject({ code: z.string().min(1).max(128) })
  .meta({ id: 'AcceptInviteInput' });
export type AcceptInviteInput = z.output<typeof acceptInviteInput>;
export const groupInviteParams = z.strictObject({ groupId: idSchema, inviteId: idSchema });
export type GroupInviteParams = z.output<typeof groupInviteParams>;
export const inviteParams = z.strictObject({ inviteId: idSchema });
export type InviteParams = z.output<typeof inviteParams>;

export const inviteSchema = z
  .strictObject({
    id: idOut,
    groupId: idOut,
    userId: idOut.nullable().meta({ description: 'The invited user; null if it is a code.' }),
    role: z.enum(INVITED_ROLES),
    uses: z.number().int(),
    usesLeft: z
      .number()
      .int()
      .nullable()
      .meta({ description: 'How often the code can still be used; null for no limit.' }),
    createdBy: idOut,
    createdAt: timestampOut,
    expiresAt: timestampOut.nullable(),
  })
  .meta({ id: 'Invite', description: 'An invite as admins of the group see it.' });
export type Invite = z.output<typeof inviteSchema>;
export const createdInviteReply = z.strictObject({
  invite: inviteSchema,
  code: z
    .string()
    .nullable()
    .meta({ description: 'Shown only in this answer. Null if the invite is for one user.' }),
});
export const invitesReply = z.strictObject({ invites: z.array(inviteSchema), nextCursor: nextCursorOut });

export const receivedInviteSchema = z
  .strictObject({
    id: idOut,
    group: groupBriefSchema,
    role: z.enum(INVITED_ROLES),
    invitedBy: publicUserSchema,
    createdAt: timestampOut,
    expiresAt: timestampOut.nullable(),
  })
  .meta({ id: 'ReceivedInvite' });
export type ReceivedInvite = z.output<typeof receivedInviteSchema>;
export const receivedInvitesReply = z.strictObject({
  invites: z.array(receivedInviteSchema),
  nextCursor: nextCursorOut,
});

export function toInvite(invite: InviteDocument): Invite {
  return {
    id: invite._id.toHexString(),
    groupId: invite.groupId.toHexString(),
    userId: invite.userId?.toHexString() ?? null,
    role: invite.role,
    uses: invite.uses,
    usesLeft: invite.usesLeft,
    createdBy: invite.createdBy.toHexString(),
    createdAt: invite.createdAt.toISOString(),
    expiresAt: invite.expiresAt?.toISOString() ?? null,
  };
}

export function toReceivedInvite(
  invite: InviteDocument,
  group: GroupDocument,
  invitedBy: PublicFields,
): ReceivedInvite {
  return {
    id: invite._id.toHexString(),
    group: toGroupBrief(group),
    role: invite.role,
    invitedBy: toPublicUser(invitedBy),
    createdAt: invite.createdAt.toISOString(),
    expiresAt: invite.expiresAt?.toISOString() ?? null,
  };
}
