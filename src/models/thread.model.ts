import type { ObjectId } from 'mongodb';

/** What one user has to do with one thread. Missing when it is nothing. */
export interface ThreadFollowDocument {
  _id: ObjectId;
  userId: ObjectId;
  channelId: ObjectId;
  /** The root message. */
  threadId: ObjectId;
  /** False once they have said that they do not follow it: then only a reply of their own makes them follow again. */
  following: boolean;
  /** The `seq` up to which they have read the thread. It never moves back. */
  readSeq: number;
}
