import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import {
  idOut,
  idSchema,
  limitSchema,
  nextCursorOut,
  timestampOut,
  wholeNumberText,
} from '../kernel/common.model';

export const AUDIT_ACTIONS = [
  /** A super admin used a group or channel of which they are not a member. */
  'super_admin.entered',
  'group.channels_arranged',
  'group.default_channel_set',
  'channel.created',
  'channel.updated',
  'channel.visibility_changed',
  'channel.archived',
  'channel.restored',
  'channel.deleted',
  'channel.transferred',
  'channel.member_added',
  'channel.member_removed',
  'channel.user_muted',
  'channel.user_banned',
  /** Ended by a moderator; or without an actor, when it expired. */
  'channel.restriction_ended',
  'session.token_reused',
  'user.role_changed',
  'user.suspended',
  'user.banned',
  'user.restored',
  'user.logged_out',
  'user.deleted',
  'user.password_changed',
  'user.password_reset',
  'user.password_reset_sent',
  'user.email_change_requested',
  /** Stopped by the owner of the old address, with the link that was mailed there. */
  'user.email_change_stopped',
  'user.email_changed',
  'user.totp_enabled',
  'user.totp_disabled',
  'user.recovery_code_used',
  'user.recovery_codes_renewed',
  'group.updated',
  'group.avatar_changed',
  'group.archived',
  'group.restored',
  'group.deleted',
  'group.transferred',
  'member.added',
  'member.role_changed',
  'member.removed',
  'member.banned',
  'member.unbanned',
  'join_request.approved',
  'join_request.rejected',
  'invite.created',
  'invite.revoked',
  /** By a moderator or a super admin who is not in it. */
  'call.ended',
  'report.claimed',
  'report.released',
  'report.resolved',
  'channel.retention_changed',
  /** Deleted by another user than its author. */
  'message.deleted',
  'message.pinned',
  'message.unpinned',
  'audit_log.exported',
  'data.exported',
  'backup.created',
  'maintenance.changed',
  'announcement.created',
  'announcement.ended',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/**
 * A record of one privileged action. Entries form a chain: each contains the hash of its predecessor, so an entry that
 * is changed, removed or inserted later breaks the chain from there on.
 */
export interface AuditDocument {
  _id: ObjectId;
  /** 1, 2, 3 … without gaps. */
  seq: number;
  at: Date;
  action: AuditAction;
  /** The user who did it; null if the server did. */
  actorId: ObjectId | null;
  /** The user or object that it concerns; null for the whole installation. */
  targetId: ObjectId | null;
  address: string;
  details: Record<string, string | null>;
  /** The `hash` of the previous entry; NO_HASH in the first one. */
  previousHash: string;
  /** The SHA-256 hash, in hexadecimal digits, of all the fields above; services/audit/audit-chain.ts computes it. */
  hash: string;
}

/** The end of the chain. Adding an entry locks this document, so that two entries cannot have the same predecessor. */
export interface AuditHeadDocument {
  _id: 'audit_head';
  /** The `seq` of the newest entry; 0 in an empty log. */
  seq: number;
  hash: string;
}

/** The `previousHash` of the first entry. */
export const NO_HASH = '0'.repeat(64);

const hash = z.string().regex(/^[0-9a-f]{64}$/);

export const auditEntrySchema = z
  .strictObject({
    id: idOut,
    seq: z.number().int().min(1).meta({ description: '1, 2, 3 … without gaps.' }),
    at: timestampOut,
    action: z.enum(AUDIT_ACTIONS),
    actorId: idOut.nullable().meta({ description: 'Null if the server itself did it.' }),
    targetId: idOut.nullable().meta({ description: 'Null if it concerns the whole installation.' }),
    address: z.string(),
    details: z.record(z.string(), z.string().nullable()),
    previousHash: hash.meta({ description: 'The `hash` of the previous entry.' }),
    hash: hash.meta({ description: 'The SHA-256 hash of all other fields; see docs/admin.md.' }),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.output<typeof auditEntrySchema>;
export const auditReply = z.strictObject({ entries: z.array(auditEntrySchema), nextCursor: nextCursorOut });

const filterFields = {
  action: z.enum(AUDIT_ACTIONS).optional(),
  actorId: idSchema.optional(),
  targetId: idSchema.optional(),
  from: z.iso.datetime().optional().meta({ description: 'Only entries at or after this time.' }),
  to: z.iso.datetime().optional().meta({ description: 'Only entries before this time.' }),
};
export const auditFilterQuery = z.strictObject(filterFields);
export type AuditFilter = z.output<typeof auditFilterQuery>;
export const auditQuery = z.strictObject({
  ...filterFields,
  cursor: wholeNumberText(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'The `nextCursor` of the previous page.' }),
  limit: limitSchema(50, 200),
});
export type AuditQuery = z.output<typeof auditQuery>;

export function toAuditEntry(entry: AuditDocument): AuditEntry {
  return {
    id: entry._id.toHexString(),
    seq: entry.seq,
    at: entry.at.toISOString(),
    action: entry.action,
    actorId: entry.actorId?.toHexString() ?? null,
    targetId: entry.targetId?.toHexString() ?? null,
    address: entry.address,
    details: entry.details,
    previousHash: entry.previousHash,
    hash: entry.hash,
  };
}
