import type { z } from 'zod';
import { channelReadReply, markReadEvent, markUnreadEvent } from './channel-summary.model';
import { keyed } from './idempotency.model';
import { bookmarkGone, bookmarkReply } from './bookmark.model';
import { channelSettingEvent, channelSettingReply } from './channel-setting.model';
import {
  editMessageEvent,
  forwardMessageEvent,
  messageParams,
  messageReply,
  sendMessageEvent,
} from './message.model';
import { ownStatusData, reportActivityEvent } from './presence.model';
import { reactionParams } from './reaction.model';
import { syncInput, syncReply } from './sync.model';
import { markThreadReadEvent, threadFollowReply } from './thread.model';
import { renewTokenEvent, tokenRenewedData } from './session.model';
import { typingData, typingEvent } from './typing.model';

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

/** Every event that a client sends. The TypeScript types of the server, of clients and of tests follow from it. */
export const CLIENT_EVENTS = {
  'auth:refresh': {
    summary: 'Go on with a new access token of the same session.',
    payload: renewTokenEvent,
    data: tokenRenewedData,
    background: true,
  },
  'presence:report': {
    summary:
      'Say whether somebody uses this device. Every event but those that clients send by themselves says so, too.',
    payload: reportActivityEvent,
    data: ownStatusData,
    background: true,
  },
  'typing:start': {
    summary: 'Say that one types: again every 3 seconds while that lasts. Takes the right to send.',
    payload: typingEvent,
    data: typingData,
  },
  'typing:stop': {
    summary: 'Say that one has stopped typing without sending.',
    payload: typingEvent,
    data: typingData,
  },
  sync: {
    summary: 'What has happened in the channels since the revisions that the client knows.',
    payload: syncInput,
    data: syncReply,
    background: true,
  },
  'message:send': {
    summary: 'Send a message. Acknowledged when it is on disk; sent again, it returns the first message.',
    payload: sendMessageEvent,
    data: messageReply,
  },
  'message:edit': {
    summary: "Change the text of one's own message.",
    payload: keyed(editMessageEvent),
    data: messageReply,
    operation: 'editMessage',
  },
  'message:delete': {
    summary: 'Delete a message: its author may, and moderators.',
    payload: keyed(messageParams),
    data: messageReply,
    operation: 'deleteMessage',
  },
  'message:forward': {
    summary: 'Send the words of a message to another channel. Sent again, it returns the first message.',
    payload: forwardMessageEvent,
    data: messageReply,
  },
  'message:react': {
    summary: 'Put an emoji under a message. A second time changes nothing.',
    payload: keyed(reactionParams),
    data: messageReply,
    operation: 'addReaction',
  },
  'message:unreact': {
    summary: "Take one's emoji away. Where there is none, nothing changes.",
    payload: keyed(reactionParams),
    data: messageReply,
    operation: 'removeReaction',
  },
  'message:pin': {
    summary: 'Pin a message: moderators in groups, everybody in direct messages.',
    payload: keyed(messageParams),
    data: messageReply,
    operation: 'pinMessage',
  },
  'message:unpin': {
    summary: 'Unpin a message: moderators in groups, everybody in direct messages.',
    payload: keyed(messageParams),
    data: messageReply,
    operation: 'unpinMessage',
  },
  'message:bookmark': {
    summary: 'Bookmark a message, for oneself. A second time changes nothing.',
    payload: keyed(messageParams),
    data: bookmarkReply,
    operation: 'addBookmark',
  },
  'message:unbookmark': {
    summary: 'Take a bookmark away. Where there is none, nothing changes.',
    payload: keyed(messageParams),
    data: bookmarkGone,
    operation: 'removeBookmark',
  },
  'thread:follow': {
    summary: 'Follow the thread of a message. What is in it counts as read.',
    payload: keyed(messageParams),
    data: threadFollowReply,
    operation: 'followThread',
  },
  'thread:unfollow': {
    summary: 'Follow the thread of a message no more.',
    payload: keyed(messageParams),
    data: threadFollowReply,
    operation: 'unfollowThread',
  },
  'thread:mark_read': {
    summary: 'Say up to which message one has read the thread of a message. The marker never moves back.',
    payload: keyed(markThreadReadEvent),
    data: threadFollowReply,
    operation: 'markThreadRead',
  },
  'channel:set_notifications': {
    summary: 'Say what to be told of in a channel, on all devices.',
    payload: keyed(channelSettingEvent),
    data: channelSettingReply,
    operation: 'setChannelSetting',
  },
  'channel:mark_read': {
    summary: 'Say up to which message one has read a channel. The marker never moves back.',
    payload: keyed(markReadEvent),
    data: channelReadReply,
    operation: 'markChannelRead',
  },
  'channel:mark_unread': {
    summary: 'Make a message and all behind it unread again.',
    payload: keyed(markUnreadEvent),
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
