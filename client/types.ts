/** What the reducer looks into; whatever else the server sends is carried along. */
export interface Message {
  id: string;
  channelId: string;
  /** Its place in the channel. */
  seq: number;
  /** The channel's change that last touched it. */
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
  /** Messages with a smaller `seq` have been removed. */
  retainedFrom: number;
  /** The newest message's. */
  seq: number;
  /** The newest change's. */
  revision: number;
}

/** How far the user has read a channel, and what is left of it. */
export interface Read {
  channelId: string;
  readSeq: number;
  unread: number;
  mentions: number;
  /** The channel's, when it was counted. */
  lastSeq: number;
  /** The channel's, when it was counted. */
  revision: number;
  /** Greater with every move of the marker. */
  version: number;
}

/** What changed in a channel under a revision. */
export type Change =
  | { kind: 'message'; revision: number; message: Message }
  | { kind: 'channel'; revision: number }
  | { kind: 'member'; revision: number; userId: string; present: boolean }
  | { kind: 'members_cleared'; revision: number };

/** What `sync` takes: for each channel, the revision that is known. */
export interface SyncRequest {
  since: Record<string, number>;
  /** About these channels alone. */
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
