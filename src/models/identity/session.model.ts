import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import {
  idOut,
  idSchema,
  limitSchema,
  MAX_PAGE_SIZE,
  nextCursorOut,
  timestampOut,
} from '../kernel/common.model';
import type { EncryptedValue } from '../../utils/encryption';
import { timeCursor } from '../kernel/time-cursor.model';
import type { GlobalRole } from '../user.model';

/** Where a call comes from. */
export interface Origin {
  /** The client's IP address, as far as TRUST_PROXY believes it. */
  address: string;
  userAgent: string;
  /** Aborts when the client closes the connection before it has its answer. */
  signal?: AbortSignal;
}

/** One log-in on one device. */
export interface SessionDocument extends Omit<Origin, 'signal'> {
  _id: ObjectId;
  userId: ObjectId;
  /** SHA-256 of the refresh token that is good now. */
  refreshTokenHash: string;
  /** The refresh token that was exchanged for it; missing until the first exchange. */
  spentToken?: SpentToken;
  createdAt: Date;
  lastSeenAt: Date;
  /** When the refresh token ends; moves with each refresh. */
  expiresAt: Date;
  revokedAt: Date | null;
}

/** A refresh token that has been exchanged. */
export interface SpentToken {
  /** SHA-256 of it. */
  hash: string;
  spentAt: Date;
  /** The token that it was exchanged for, sealed under the spent one and the server's key. */
  successor: EncryptedValue;
}

/** Who makes a call: what every service method that acts for somebody takes first. */
export interface Caller {
  userId: ObjectId;
  sessionId: ObjectId;
  role: GlobalRole;
  /** Where the call comes from, for the audit log. */
  address: string;
}

/** What ends a session; its sockets are told. */
export const REVOCATION_REASONS = [
  'logged_out',
  'revoked',
  'token_reused',
  'password_changed',
  'account_suspended',
  'account_banned',
  'account_deactivated',
  'account_deleted',
] as const;
export type RevocationReason = (typeof REVOCATION_REASONS)[number];

/** The payloads of the socket events that concern the token of the socket. */
export const renewTokenEvent = z.strictObject({ token: z.string().min(1).max(4096) });
export const tokenRenewedData = z.strictObject({ expiresAt: timestampOut });
export const authExpiringEvent = z.strictObject({ expiresAt: timestampOut });
export const authEndedEvent = z.strictObject({ reason: z.enum([...REVOCATION_REASONS, 'token_expired']) });
export type AuthEndedEvent = z.output<typeof authEndedEvent>;

export const refreshInput = z
  .strictObject({ refreshToken: z.string().min(1).max(256) })
  .meta({ id: 'RefreshInput' });
export type RefreshInput = z.output<typeof refreshInput>;

/** A session that is used moves to the front of the list, so what comes behind a cursor is told by the time. */
export const sessionsQuery = z.strictObject({
  cursor: timeCursor.optional(),
  limit: limitSchema(50, MAX_PAGE_SIZE),
});
export type SessionsQuery = z.output<typeof sessionsQuery>;

export const sessionParams = z.strictObject({ sessionId: idSchema });
export type SessionParams = z.output<typeof sessionParams>;

export const sessionSchema = z
  .strictObject({
    id: idOut,
    current: z.boolean().meta({ description: 'Whether it is the one that asks.' }),
    userAgent: z.string(),
    address: z.string(),
    createdAt: timestampOut,
    lastSeenAt: timestampOut,
    expiresAt: timestampOut,
  })
  .meta({ id: 'Session' });
export type Session = z.output<typeof sessionSchema>;
export const sessionsReply = z.strictObject({
  sessions: z.array(sessionSchema),
  nextCursor: nextCursorOut,
});

export function toSession(session: SessionDocument, caller: Caller): Session {
  return {
    id: session._id.toHexString(),
    current: session._id.equals(caller.sessionId),
    userAgent: session.userAgent,
    address: session.address,
    createdAt: session.createdAt.toISOString(),
    lastSeenAt: session.lastSeenAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
  };
}
