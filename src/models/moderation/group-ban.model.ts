import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { futureTime, idOut, singleLineText, nextCursorOut, timestampOut } from '../kernel/common.model';
import { publicUserSchema, toPublicUser, type UserDocument } from '../user.model';

/** A ban of a user from a group. */
export interface GroupBanDocument {
  _id: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  reason: string;
  bannedBy: ObjectId;
  /** Whether the user was notified: only users who were in the group or otherwise related to it are. */
  isTold?: boolean;
  createdAt: Date;
  /** Null if it does not expire. */
  expiresAt: Date | null;
}

export const banInput = z
  .strictObject({
    reason: singleLineText(0, 500)
      .default('')
      .meta({ description: 'The reason, which the user is notified of.' }),
    expiresAt: futureTime
      .optional()
      .meta({ description: 'When the ban expires; omit it for an unlimited ban.' }),
  })
  .meta({ id: 'GroupBanInput' });
export type BanInput = z.output<typeof banInput>;

export const groupBanSchema = z
  .strictObject({
    groupId: idOut,
    user: publicUserSchema,
    reason: z.string(),
    bannedBy: idOut,
    createdAt: timestampOut,
    expiresAt: timestampOut.nullable().meta({ description: 'Null if the ban does not expire.' }),
  })
  .meta({ id: 'GroupBan' });
export type GroupBan = z.output<typeof groupBanSchema>;
export const groupBanReply = z.strictObject({ ban: groupBanSchema });
export const groupBansReply = z.strictObject({ bans: z.array(groupBanSchema), nextCursor: nextCursorOut });

export function toGroupBan(ban: GroupBanDocument, user: UserDocument): GroupBan {
  return {
    groupId: ban.groupId.toHexString(),
    user: toPublicUser(user),
    reason: ban.reason,
    bannedBy: ban.bannedBy.toHexString(),
    createdAt: ban.createdAt.toISOString(),
    expiresAt: ban.expiresAt?.toISOString() ?? null,
  };
}
