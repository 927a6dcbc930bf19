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

/** The origin of a request. */
export interface Origin {
  /** The IP address of the client. Forwarding headers count only from the proxies that TRUST_PROXY names. */
  address: string;
  userAgent: string;
  /** Aborts if the client closes the connection before the answer has been sent. */
  signal?: AbortSignal;
}

/** One log-in on one device. */
export interface SessionDocument extends Omit<Origin, 'signal'> {
  _id: ObjectId;
  userId: ObjectId;
  /** The SHA-256 hash of the current refresh token. */
  refreshTokenHash: string;
  /** The previous refresh token; missing until the first exchange. */
  spentToken?: SpentToken;
  createdAt: Date;
  lastSeenAt: Date;
  /** When the refresh token expires; each refresh extends it. */
  expiresAt: Date;
  revokedAt: Date | null;
}

/** A refresh token that has been exchanged. */
export interface SpentToken {
  /** The SHA-256 hash of the token. */
  hash: string;
  spentAt: Date;
  /** The token that replaced it, encrypted with the spent token and the key of the server. */
  successor: EncryptedValue;
}

/** The authenticated user of a request: the first argument of every service method that acts for a user. */
export interface Caller {
  userId: ObjectId;
  sessionId: ObjectId;
  role: GlobalRole;
  /** The IP address of the client, for the audit log. */
  address: string;
}

/** Why a session ended. Its sockets receive the reason. */
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

/** The payloads of the socket events about the access token of a socket. */
export const renewTokenEvent = z.strictObject({ token: z.string().min(1).max(4096) });
export const tokenRenewedData = z.strictObject({ expiresAt: timestampOut });
export const authExpiringEvent = z.strictObject({ expiresAt: timestampOut });
export const authEndedEvent = z.strictObject({ reason: z.enum([...REVOCATION_REASONS, 'token_expired']) });
export type AuthEndedEvent = z.output<typeof authEndedEvent>;

export const refreshInput = z
  .strictObject({ refreshToken: z.string().min(1).max(256) })
  .meta({ id: 'RefreshInput' });
export type RefreshInput = z.output<typeof refreshInput>;

/** The list is sorted by the last use of each session, which changes, so the cursor contains a time. */
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
    current: z.boolean().meta({ description: 'Whether this is the session of the request.' }),
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
