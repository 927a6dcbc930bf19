import type { ObjectId } from 'mongodb';

/**
 * The last change of something in a channel that is no message: of its fields, or of whether somebody is in it.
 * Messages carry the revision of their last change themselves.
 */
export interface ChannelChangeDocument {
  _id: ObjectId;
  channelId: ObjectId;
  /** Unique in the channel, over messages too. */
  revision: number;
  kind: 'channel' | 'member' | 'members_cleared';
  /** Who came or went; null of the others. */
  userId: ObjectId | null;
  /** Of a member: whether they are in it since. */
  present?: boolean;
}
