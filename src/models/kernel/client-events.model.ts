import type { z } from 'zod';
import { channelReadReply, markReadEvent, markUnreadEvent } from '../channels/channel-summary.model';
import { withIdempotencyKey } from '../idempotency/idempotency.model';
import { bookmarkRemoved, bookmarkReply } from '../messages/bookmark.model';
import { channelSettingEvent, channelSettingReply } from '../channels/channel-setting.model';
import {
  editMessageEvent,
  forwardMessageEvent,
  messageParams,
  messageReply,
  sendMessageEvent,
} from '../message.model';
import { ownStatusData, reportActivityEvent } from '../presence/presence.model';
import { reactionParams } from '../messages/reaction.model';
import { syncInput, syncReply } from '../catch-up/sync.model';
import { markThreadReadEvent, threadFollowReply } from '../messages/thread.model';
import { renewTokenEvent, tokenRenewedData } from '../identity/session.model';
import { typingData, typingEvent } from '../presence/typing.model';

/** An event that a client sends: what it does, the schema of its payload and of the data in its acknowledgement. */
export interface ClientEventSpec {
  summary: string;
  payload: z.ZodType;
  data: z.ZodType;
  /**
   * For an event that takes an idempotency key: the operation of the REST API that does the same, takes the same
   * fields and answers 200 with the same data, so that a key holds over both. An event without such a sister
   * gives its own name.
   */
  operation?: string;
  /** Set on what clients send by themselves, so that it does not tell that somebody is there. */
  background?: true;
}

/** The seconds in which the events of one socket are counted, so that a client that was away may send many at once. */
export const EVENT_WINDOW_SECONDS = 10;

/** Every event that a client sends. The TypeScript types of the server, of clients and of tests follow from it. */
export const CLIENT_EVENTS = {
  'auth:refresh': {
    summary: 'Replaces the access token of this socket with a newer one of the same session.',
    payload: renewTokenEvent,
    data: tokenRenewedData,
    background: true,
  },
  'presence:report': {
    summary:
      'Reports whether somebody uses this device. Events that a client sends for its user report it as well, so this is for when they stop, or only read.',
    payload: reportActivityEvent,
    data: ownStatusData,
    background: true,
  },
  'typing:start': {
    summary:
      'Reports that the user is typing. Send it again every 3 seconds while they type. Requires the right to send.',
    payload: typingEvent,
    data: typingData,
  },
  'typing:stop': {
    summary: 'Reports that the user has stopped typing without sending.',
    payload: typingEvent,
    data: typingData,
  },
  sync: {
    summary: 'Returns what has changed in the channels since the revisions that the client knows.',
    payload: syncInput,
    data: syncReply,
    background: true,
  },
  'message:send': {
    summary:
      'Sends a message. Acknowledged when it is on disk. Sent again with the same `clientMessageId`, it returns the first message.',
    payload: sendMessageEvent,
    data: messageReply,
  },
  'message:edit': {
    summary: 'Changes the text of an own message.',
    payload: withIdempotencyKey(editMessageEvent),
    data: messageReply,
    operation: 'editMessage',
  },
  'message:delete': {
    summary: 'Deletes a message. Its author and moderators may do so.',
    payload: withIdempotencyKey(messageParams),
    data: messageReply,
    operation: 'deleteMessage',
  },
  'message:forward': {
    summary:
      'Sends the text and the files of a message to another channel. Sent again with the same `clientMessageId`, it returns the first message.',
    payload: forwardMessageEvent,
    data: messageReply,
  },
  'message:react': {
    summary: 'Adds a reaction of the user to a message. If it is there already, nothing changes.',
    payload: withIdempotencyKey(reactionParams),
    data: messageReply,
    operation: 'addReaction',
  },
  'message:unreact': {
    summary: 'Removes a reaction of the user. If there is none, nothing changes.',
    payload: withIdempotencyKey(reactionParams),
    data: messageReply,
    operation: 'removeReaction',
  },
  'message:pin': {
    summary: 'Pins a message. In groups moderators may do so, in direct messages everybody.',
    payload: withIdempotencyKey(messageParams),
    data: messageReply,
    operation: 'pinMessage',
  },
  'message:unpin': {
    summary: 'Unpins a message. In groups moderators may do so, in direct messages everybody.',
    payload: withIdempotencyKey(messageParams),
    data: messageReply,
    operation: 'unpinMessage',
  },
  'message:bookmark': {
    summary: 'Adds a message to the bookmarks of the user. If it is there already, nothing changes.',
    payload: withIdempotencyKey(messageParams),
    data: bookmarkReply,
    operation: 'addBookmark',
  },
  'message:unbookmark': {
    summary: 'Removes a bookmark. If there is none, nothing changes.',
    payload: withIdempotencyKey(messageParams),
    data: bookmarkRemoved,
    operation: 'removeBookmark',
  },
  'thread:follow': {
    summary: 'Follows the thread of a message. What is in it counts as read.',
    payload: withIdempotencyKey(messageParams),
    data: threadFollowReply,
    operation: 'followThread',
  },
  'thread:unfollow': {
    summary: 'Stops following the thread of a message.',
    payload: withIdempotencyKey(messageParams),
    data: threadFollowReply,
    operation: 'unfollowThread',
  },
  'thread:mark_read': {
    summary: 'Marks the thread of a message as read up to a message. The marker never moves back.',
    payload: withIdempotencyKey(markThreadReadEvent),
    data: threadFollowReply,
    operation: 'markThreadRead',
  },
  'channel:set_notifications': {
    summary: 'Sets which messages of a channel the user is notified of, on all devices.',
    payload: withIdempotencyKey(channelSettingEvent),
    data: channelSettingReply,
    operation: 'setChannelSetting',
  },
  'channel:mark_read': {
    summary: 'Marks a channel as read up to a message. The marker never moves back.',
    payload: withIdempotencyKey(markReadEvent),
    data: channelReadReply,
    operation: 'markChannelRead',
  },
  'channel:mark_unread': {
    summary: 'Marks a message and all later ones as unread.',
    payload: withIdempotencyKey(markUnreadEvent),
    data: channelReadReply,
    operation: 'markChannelUnread',
  },
} as const satisfies Record<string, ClientEventSpec>;

export type ClientEvent = keyof typeof CLIENT_EVENTS;
/** What an event takes, without the key that it may carry. */
export type PayloadOf<Event extends ClientEvent> = Omit<
  z.output<(typeof CLIENT_EVENTS)[Event]['payload']>,
  'idempotencyKey'
>;
export type DataOf<Event extends ClientEvent> = z.output<(typeof CLIENT_EVENTS)[Event]['data']>;
