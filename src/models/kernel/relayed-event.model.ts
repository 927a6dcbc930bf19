import type { Binary, ObjectId } from 'mongodb';

/** An event that not all nodes have confirmed, which they read from the database. */
export interface RelayedEventDocument {
  _id: ObjectId;
  /** The id of the node that published it. */
  from: string;
  /** By the clock of that node. */
  at: Date;
  /** The event, as a BSON document. */
  event: Binary;
}
