import type { ObjectId } from 'mongodb';

/** A block of one user by another. */
export interface BlockDocument {
  _id: ObjectId;
  userId: ObjectId;
  blockedId: ObjectId;
  createdAt: Date;
}
