import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import type { EncryptedValue } from '../../utils/encryption';

/** What a client calls a write, so that it can safely be sent again. */
export const idempotencyKey = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 printable ASCII characters without spaces')
  .meta({
    description:
      'Made by the client, such as a random UUID. The same request under the same key is done once: the first ' +
      'answer comes again, with the header Idempotency-Replayed, for 24 hours.',
    // No example: Swagger UI fills it in for everybody who tries a call.
  });

/** The header by which a REST write carries its key. */
export const idempotencyHeaders = z.object({ 'Idempotency-Key': idempotencyKey.optional() });

/** The payload of a socket event that may carry a key. */
export function withIdempotencyKey<Shape extends z.ZodRawShape>(payload: z.ZodObject<Shape, z.core.$strict>) {
  return payload.extend({ idempotencyKey: idempotencyKey.optional() });
}

/**
 * How the answer to a write is recorded. `atomic`: in one transaction with the write, which must then be able to
 * run again and to be undone. `recorded`: after the write; a crash in between leaves the write without its answer.
 */
export type IdempotencyMode = 'atomic' | 'recorded';

/** What a write is answered with. The body is something that JSON can hold. */
export interface Answer {
  status: number;
  body?: unknown;
}

/** A used key. The key itself is not stored. */
export interface IdempotencyDocument {
  /** A hash of the key and of what it is unique in: the user, or the request of a caller without a token. */
  _id: string;
  /** The request and its answer, for whoever has the key; null while the write is under way. */
  sealed: EncryptedValue | null;
  /** Who has the write under way. */
  holder: ObjectId;
  /** When it may be forgotten: while the write is under way, when its holder must have died. */
  expiresAt: Date;
}
