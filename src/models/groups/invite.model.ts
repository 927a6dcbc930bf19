import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { futureTime, idOut, idSchema, nextCursorOut, timestampOut } from '../kernel/common.model';
import { groupBriefSchema, toGroupBrief, type GroupDocument } from '../group.model';
import { publicUserSchema, toPublicUser, type PublicFields } from '../user.model';

/** What an invite can make of somebody: a group is handed over to nobody by a code. */
export const INVITED_ROLES = ['admin', 'moderator', 'member'] as const;
export type InvitedRole = (typeof INVITED_ROLES)[number];

/** A way into a group: for whoever has the code, or for one user. */
export interface InviteDocument {
  _id: ObjectId;
  groupId: ObjectId;
  /** SHA-256 of the code. Missing when it is for one user. */
  hash?: string;
  /** Whom it is for. Missing when it is a code. */
  userId?: ObjectId;
  role: InvitedRole;
  /** How often the code has been used, and can be yet; null for no limit. */
  uses: number;
  usesLeft: number | null;
  createdBy: ObjectId;
  createdAt: Date;
  /** Null when it never ends by itself. */
  expiresAt: Date | null;
}

/** For how long an invite is good unless it says otherwise, in milliseconds. */
export const INVITE_LIFETIME_MS = 7 * 24 * 3600_000;

export const createInviteInput = z
  .strictObject({
    userId: idSchema.optional().meta({ description: 'Invites this user alone; nobody else can use it.' }),
    role: z.enum(INVITED_ROLES).default('member').meta({ description: 'Below that of the caller.' }),
    maxUses: z
      .number()
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .meta({ description: 'How many can come in by the code; any number, if it is left out.' }),
    expiresAt: futureTime
      .nullable()
      .optional()
      .meta({ description: 'In seven days, if it is left out; null for never.' }),
  })
  .refine((input) => input.userId === undefined || input.maxUses === undefined, {
    message: 'is for codes: an invite for one user is used once',
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
    userId: idOut.nullable().meta({ description: 'Whom it is for; null when it is a code.' }),
    role: z.enum(INVITED_ROLES),
    uses: z.number().int(),
    usesLeft: z.number().int().nullable().meta({ description: 'Null for any number.' }),
    createdBy: idOut,
    createdAt: timestampOut,
    expiresAt: timestampOut.nullable(),
  })
  .meta({ id: 'Invite', description: 'What admins of a group see of an invite.' });
export type Invite = z.output<typeof inviteSchema>;
export const createdInviteReply = z.strictObject({
  invite: inviteSchema,
  code: z
    .string()
    .nullable()
    .meta({ description: 'It is shown only now. Null when the invite is for one user.' }),
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
