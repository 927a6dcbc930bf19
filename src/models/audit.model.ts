import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, nextCursorOut, timeOut } from './common.model';

export const AUDIT_ACTIONS = [
  /** A super admin used a group or channel that they are no member of. */
  'super_admin.entered',
  'session.token_reused',
  'user.role_changed',
  'user.suspended',
  'user.restored',
  'user.logged_out',
  'user.deleted',
  'user.password_changed',
  'user.password_reset',
  'user.email_changed',
  'user.totp_enabled',
  'user.totp_disabled',
  'user.recovery_code_used',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** One act that somebody may have to answer for. */
export interface AuditDocument {
  _id: ObjectId;
  at: Date;
  action: AuditAction;
  /** Who did it; null when it was the server by itself. */
  actorId: ObjectId | null;
  /** Whom or what it concerns. */
  targetId: ObjectId;
  address: string;
  details: Record<string, string | null>;
}

export const auditEntrySchema = z
  .strictObject({
    id: idOut,
    at: timeOut,
    action: z.enum(AUDIT_ACTIONS),
    actorId: idOut.nullable(),
    targetId: idOut,
    address: z.string(),
    details: z.record(z.string(), z.string().nullable()),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.output<typeof auditEntrySchema>;
export const auditReply = z.strictObject({ entries: z.array(auditEntrySchema), nextCursor: nextCursorOut });

export function toAuditEntry(entry: AuditDocument): AuditEntry {
  return {
    id: entry._id.toHexString(),
    at: entry.at.toISOString(),
    action: entry.action,
    actorId: entry.actorId?.toHexString() ?? null,
    targetId: entry.targetId.toHexString(),
    address: entry.address,
    details: entry.details,
  };
}
