import type { ObjectId } from 'mongodb';

/** A token that was mailed to somebody, to prove that they read mail at that address. */
export interface OneTimeTokenDocument {
  _id: ObjectId;
  /** `stop_email_change` goes to the old address when another one is to take its place. */
  kind: 'verify_email' | 'reset_password' | 'stop_email_change';
  userId: ObjectId;
  /** The address that it was sent to. */
  email: string;
  /** SHA-256 of the token. */
  hash: string;
  expiresAt: Date;
}
