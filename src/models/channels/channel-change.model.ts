import type { ObjectId } from 'mongodb';

/**
 * The latest change of the fields of a channel, or of the membership of one user. Messages themselves contain the
 * revision of their latest change.
 */
export interface ChannelChangeDocument {
  _id: ObjectId;
  channelId: ObjectId;
  /** Unique in the channel, across messages too. */
  revision: number;
  kind: 'channel' | 'member' | 'members_cleared';
  /** The user who was added or removed; null for the other kinds. */
  userId: ObjectId | null;
  /** For the kind `member`: whether the user is in the channel after the change. */
  present?: boolean;
}
