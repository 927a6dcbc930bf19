import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, singleLineText, nextCursorOut, timestampOut } from '../kernel/common.model';
import { groupBriefSchema, toGroupBrief, type GroupDocument } from '../group.model';
import { publicUserSchema, toPublicUser, type PublicFields } from '../user.model';

/** A request to join a group. When it is approved, it is deleted and replaced by a membership. */
export interface JoinRequestDocument {
  _id: ObjectId;
  groupId: ObjectId;
  userId: ObjectId;
  note: string;
  createdAt: Date;
  /** Null while it is pending. */
  rejectedAt: Date | null;
}

/**
 * How a request ends: `lapsed` if no decision is needed any more (joined in another way, banned, group made private).
 */
export const REQUEST_OUTCOMES = ['approved', 'rejected', 'withdrawn', 'lapsed'] as const;
export type RequestOutcome = (typeof REQUEST_OUTCOMES)[number];

export const askToJoinInput = z
  .strictObject({
    note: singleLineText(0, 500).default('').meta({ description: 'A note for the admins of the group.' }),
  })
  .meta({ id: 'AskToJoinInput' });
export type AskToJoinInput = z.output<typeof askToJoinInput>;
export const rejectJoinInput = z
  .strictObject({
    reason: singleLineText(0, 500)
      .default('')
      .meta({ description: 'The reason, which the user is notified of.' }),
  })
  .meta({ id: 'RejectJoinInput' });
export type RejectJoinInput = z.output<typeof rejectJoinInput>;

export const joinRequestSchema = z
  .strictObject({ groupId: idOut, user: publicUserSchema, note: z.string(), createdAt: timestampOut })
  .meta({ id: 'JoinRequest' });
export type JoinRequest = z.output<typeof joinRequestSchema>;
export const joinRequestsReply = z.strictObject({
  joinRequests: z.array(joinRequestSchema),
  nextCursor: nextCursorOut,
});

export const ownJoinRequestSchema = z
  .strictObject({
    group: groupBriefSchema,
    note: z.string(),
    status: z.enum(['pending', 'rejected']),
    createdAt: timestampOut,
    rejectedAt: timestampOut.nullable(),
  })
  .meta({ id: 'OwnJoinRequest' });
export type OwnJoinRequest = z.output<typeof ownJoinRequestSchema>;
export const ownJoinRequestReply = z.strictObject({ joinRequest: ownJoinRequestSchema });
export const ownJoinRequestsReply = z.strictObject({
  joinRequests: z.array(ownJoinRequestSchema),
  nextCursor: nextCursorOut,
});

export function toJoinRequest(request: JoinRequestDocument, user: PublicFields): JoinRequest {
  return {
    groupId: request.groupId.toHexString(),
    user: toPublicUser(user),
    note: request.note,
    createdAt: request.createdAt.toISOString(),
  };
}

export function toOwnJoinRequest(request: JoinRequestDocument, group: GroupDocument): OwnJoinRequest {
  return {
    group: toGroupBrief(group),
    note: request.note,
    status: request.rejectedAt ? 'rejected' : 'pending',
    createdAt: request.createdAt.toISOString(),
    rejectedAt: request.rejectedAt?.toISOString() ?? null,
  };
}
