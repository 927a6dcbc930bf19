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
  /** A super admin used a group or channel that they are no member of. */
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
  /** By a moderator, or, without an actor, because its time had come. */
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
  /** By the owner of the old address, with the link that was mailed there. */
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
  'report.claimed',
  'report.released',
  'report.resolved',
  'channel.retention_changed',
  /** By somebody else than its author. */
  'message.deleted',
  'message.pinned',
  'message.unpinned',
  'audit_log.exported',
  'data.exported',
  'maintenance.changed',
  'announcement.created',
  'announcement.ended',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/**
 * One act that somebody may have to answer for. Entries form a chain: each holds the hash of the one before, so
 * none can be changed, removed or put in between without breaking all that follow.
 */
export interface AuditDocument {
  _id: ObjectId;
  /** 1, 2, 3 … without a hole. */
  seq: number;
  at: Date;
  action: AuditAction;
  /** Who did it; null when it was the server by itself. */
  actorId: ObjectId | null;
  /** Whom or what it concerns; null when that is the whole installation. */
  targetId: ObjectId | null;
  address: string;
  details: Record<string, string | null>;
  /** `hash` of the entry before; NO_HASH in the first. */
  previousHash: string;
  /** SHA-256, in hexadecimal digits, of all the fields above (services/audit-chain.ts tells how). */
  hash: string;
}

/** The end of the chain. Whoever adds an entry locks this document, so that no two can follow the same one. */
export interface AuditHeadDocument {
  _id: 'audit_head';
  /** Of the newest entry; 0 in an empty log. */
  seq: number;
  hash: string;
}

/** What the first entry has for the hash of the one before. */
export const NO_HASH = '0'.repeat(64);

const hash = z.string().regex(/^[0-9a-f]{64}$/);

export const auditEntrySchema = z
  .strictObject({
    id: idOut,
    seq: z.number().int().min(1).meta({ description: '1, 2, 3 … without a hole.' }),
    at: timestampOut,
    action: z.enum(AUDIT_ACTIONS),
    actorId: idOut.nullable().meta({ description: 'Null when it was the server by itself.' }),
    targetId: idOut.nullable().meta({ description: 'Null when it concerns the whole installation.' }),
    address: z.string(),
    details: z.record(z.string(), z.string().nullable()),
    previousHash: hash.meta({ description: '`hash` of the entry before.' }),
    hash: hash.meta({ description: 'SHA-256 of all the other fields; see docs/admin.md.' }),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.output<typeof auditEntrySchema>;
export const auditReply = z.strictObject({ entries: z.array(auditEntrySchema), nextCursor: nextCursorOut });

const filterFields = {
  action: z.enum(AUDIT_ACTIONS).optional(),
  actorId: idSchema.optional(),
  targetId: idSchema.optional(),
  from: z.iso.datetime().optional().meta({ description: 'The first moment that counts.' }),
  to: z.iso.datetime().optional().meta({ description: 'The first moment that no longer counts.' }),
};
export const auditFilterQuery = z.strictObject(filterFields);
export type AuditFilter = z.output<typeof auditFilterQuery>;
export const auditQuery = z.strictObject({
  ...filterFields,
  cursor: wholeNumberText(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: '`nextCursor` of the page before.' }),
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
