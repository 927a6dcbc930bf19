import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { futureTime, idOut, singleLineText, nextCursorOut, timestampOut } from '../kernel/common.model';
import { publicUserSchema, toPublicUser, type UserDocument } from '../user.model';

/** Somebody who must stay out of a group. */
export interface GroupBanDocument {
  _id: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  reason: string;
  bannedBy: ObjectId;
  /** Whether the user was told of it: those are who were in the group, or had something to do with it. */
  isTold?: boolean;
  createdAt: Date;
  /** Null when it holds for good. */
  expiresAt: Date | null;
}

export const banInput = z
  .strictObject({
    reason: singleLineText(0, 500).default('').meta({ description: 'The user is told.' }),
    expiresAt: futureTime
      .optional()
      .meta({ description: 'When it ends by itself; never, if it is left out.' }),
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
    expiresAt: timestampOut.nullable().meta({ description: 'Null when it holds for good.' }),
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
