import type { ObjectId } from 'mongodb';

/** A token that was mailed to somebody, to prove that they read mail at that address. */
export interface OneTimeTokenDocument {
  _id: ObjectId;
  kind: 'verify_email' | 'reset_password';
  userId: ObjectId;
  /** The address that it was sent to. */
  email: string;
  /** SHA-256 of the token. */
  hash: string;
  expiresAt: Date;
}
