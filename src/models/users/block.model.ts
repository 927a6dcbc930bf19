import type { ObjectId } from 'mongodb';

/** One user who wants to hear nothing from another. */
export interface BlockDocument {
  _id: ObjectId;
  userId: ObjectId;
  blockedId: ObjectId;
  createdAt: Date;
}
