/** A running process of Parley. It is in the collection from the start of the process until its end. */
export interface NodeDocument {
  /** A UUID, new at each start. */
  _id: string;
  startedAt: Date;
  /** The version of Parley. */
  version: string;
  /** The number of the last migration that this version knows: the form in which the node writes documents. */
  schemaVersion: number;
  /** The end of its lease. A node that has not renewed the lease by then has died, or cannot reach the database. */
  aliveUntil: Date;
}
