import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import type { GlobalRole } from './user.model';

/** One log-in on one device. */
export interface SessionDocument {
  _id: ObjectId;
  userId: ObjectId;
  /** SHA-256 of the refresh token that is good now. */
  refreshTokenHash: string;
  createdAt: Date;
  lastUsedAt: Date;
  /** When the refresh token ends; moves with each refresh. */
  expiresAt: Date;
  revokedAt: Date | null;
}

/** Who makes a call: what every service method that acts for somebody takes first. */
export interface Caller {
  userId: ObjectId;
  sessionId: ObjectId;
  role: GlobalRole;
}

export const refreshInput = z
  .strictObject({ refreshToken: z.string().min(1).max(256) })
  .meta({ id: 'RefreshInput' });
export type RefreshInput = z.output<typeof refreshInput>;
