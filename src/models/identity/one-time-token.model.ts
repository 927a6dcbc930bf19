import type { ObjectId } from 'mongodb';

/** A token that was mailed to a user, to prove that they receive mail at that address. */
export interface OneTimeTokenDocument {
  _id: ObjectId;
  /** `stop_email_change` is mailed to the old address when another address is to replace it. */
  kind: 'verify_email' | 'reset_password' | 'stop_email_change';
  userId: ObjectId;
  /** The address to which it was sent. */
  email: string;
  /** The SHA-256 hash of the token. */
  hash: string;
  expiresAt: Date;
}
