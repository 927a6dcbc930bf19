/** The fields that the reducer uses. It keeps all other fields that the server sends. */
export interface Message {
  id: string;
  channelId: string;
  /** Its position in the channel. */
  seq: number;
  /** The channel's revision at its last change. */
  revision: number;
  senderId: string;
  clientMessageId: string;
  deletedAt: string | null;
  threadId: string | null;
  mentionIds: readonly string[];
  mentionsEveryone: string | null;
}

export interface Channel {
  id: string;
  groupId: string | null;
  memberCount: number;
  /** Messages with a smaller `seq` have been deleted. */
  retainedFrom: number;
  /** The `seq` of the newest message. */
  seq: number;
  /** The revision of the newest change. */
  revision: number;
}

/** How far the user has read a channel, and the unread counts. */
export interface Read {
  channelId: string;
  readSeq: number;
  unread: number;
  mentions: number;
  /** The channel's `seq` when the counts were computed. */
  lastSeq: number;
  /** The channel's `revision` when the counts were computed. */
  revision: number;
  /** Increases with every move of the marker. */
  version: number;
}

/** A change of a channel. */
export type Change =
  | { kind: 'message'; revision: number; message: Message }
  | { kind: 'channel'; revision: number }
  | { kind: 'member'; revision: number; userId: string; present: boolean }
  | { kind: 'members_cleared'; revision: number };

/** The input of `sync`: the known revision of each channel. */
export interface SyncRequest {
  since: Record<string, number>;
  /** Whether the response should contain only these channels. */
  named?: true;
}

export interface SyncAnswer {
  channels: {
    channelId: string;
    channel: Channel | null;
    changes: readonly Change[];
    revision: number;
    more: boolean;
    read: Read;
  }[];
  reset: { channel: Channel; read: Read }[];
  gone: { channelId: string }[];
  added: { channel: Channel; read: Read }[];
  more: boolean;
}
