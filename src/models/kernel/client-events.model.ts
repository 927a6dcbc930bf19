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
import { callQualityData, reportCallQualityEvent } from '../calls/call-quality.model';
import { markThreadReadEvent, threadFollowReply } from '../messages/thread.model';
import { renewTokenEvent, tokenRenewedData } from '../identity/session.model';
import { typingData, typingEvent } from '../presence/typing.model';
import {
  callParams,
  callReply,
  enterCallEvent,
  enteredCallReply,
  inviteToCallEvent,
  setCallMediaEvent,
  startCallInput,
  startedCallReply,
} from '../video-call.model';

/** An event that a client sends: its summary, and the schemas of its payload and of the data in its acknowledgement. */
export interface ClientEventSpec {
  summary: string;
  payload: z.ZodType;
  data: z.ZodType;
  /**
   * Set for an event that accepts an idempotency key: the equivalent operation of the REST API, which takes the same
   * fields and answers 200 with the same data, so that a key applies to both. An event without an equivalent uses its
   * own name.
   */
  operation?: string;
  /** Set for events that clients send automatically, so they do not count as activity of the user. */
  background?: true;
}

/**
 * The window of the event limit of a socket. It is long enough that a client may send many events after a reconnect.
 */
export const EVENT_WINDOW_SECONDS = 10;

/** Every event that a client sends. The TypeScript types of the server, of clients and of tests derive from it. */
export const CLIENT_EVENTS = {
  'auth:refresh': {
    summary: 'Replaces the access token of this socket with a newer one of the same session.',
    payload: renewTokenEvent,
    data: tokenRenewedData,
    background: true,
  },
  'presence:report': {
    summary:
      'Reports whether the user is active on this device. Other events that the user causes count as activity too, so send this when the user becomes inactive or only reads.',
    payload: reportActivityEvent,
    data: ownStatusData,
    background: true,
  },
  'typing:start': {
    summary:
      'Reports that the user is typing. Send it every 3 seconds while the user types. Requires permission to send messages in the channel.',
    payload: typingEvent,
    data: typingData,
  },
  'typing:stop': {
    summary: 'Reports that the user has stopped typing without sending.',
    payload: typingEvent,
    data: typingData,
  },
  sync: {
    summary: 'Returns the changes of channels since the revisions that the client knows.',
    payload: syncInput,
    data: syncReply,
    background: true,
  },
  'message:send': {
    summary:
      'Sends a message. It is acknowledged when the message is stored durably. A repeated send with the same `clientMessageId` returns the first message.',
    payload: sendMessageEvent,
    data: messageReply,
  },
  'message:edit': {
    summary: "Changes the text of one of the user's own messages.",
    payload: withIdempotencyKey(editMessageEvent),
    data: messageReply,
    operation: 'editMessage',
  },
  'message:delete': {
    summary: 'Deletes a message. Requires being its author or a moderator of the group.',
    payload: withIdempotencyKey(messageParams),
    data: messageReply,
    operation: 'deleteMessage',
  },
  'message:forward': {
    summary:
      'Sends the text and the files of a message to another channel. A repeated call with the same `clientMessageId` returns the first message.',
    payload: forwardMessageEvent,
    data: messageReply,
  },
  'message:react': {
    summary: 'Adds a reaction of the user to a message. Repeating it has no effect.',
    payload: withIdempotencyKey(reactionParams),
    data: messageReply,
    operation: 'addReaction',
  },
  'message:unreact': {
    summary: 'Removes a reaction of the user from a message. Without such a reaction it has no effect.',
    payload: withIdempotencyKey(reactionParams),
    data: messageReply,
    operation: 'removeReaction',
  },
  'message:pin': {
    summary:
      'Pins a message. Requires the role moderator in the group; in direct messages every participant may do it.',
    payload: withIdempotencyKey(messageParams),
    data: messageReply,
    operation: 'pinMessage',
  },
  'message:unpin': {
    summary:
      'Unpins a message. Requires the role moderator in the group; in direct messages every participant may do it.',
    payload: withIdempotencyKey(messageParams),
    data: messageReply,
    operation: 'unpinMessage',
  },
  'message:bookmark': {
    summary: 'Bookmarks a message for the user. Repeating it has no effect.',
    payload: withIdempotencyKey(messageParams),
    data: bookmarkReply,
    operation: 'addBookmark',
  },
  'message:unbookmark': {
    summary: 'Removes a bookmark of the user. Without a bookmark it has no effect.',
    payload: withIdempotencyKey(messageParams),
    data: bookmarkRemoved,
    operation: 'removeBookmark',
  },
  'thread:follow': {
    summary: 'Follows the thread of a message. Its existing replies count as read.',
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
    summary: 'Sets which messages of a channel notify the user, on all devices.',
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
  'call:start': {
    summary:
      'Calls a user, or starts a call in a channel. If the channel has an open call, the user joins that one.',
    payload: withIdempotencyKey(startCallInput),
    data: startedCallReply,
    operation: 'call:start',
  },
  'call:accept': {
    summary: 'Answers a call on this device. It stops ringing on the others.',
    payload: withIdempotencyKey(enterCallEvent),
    data: enteredCallReply,
    operation: 'acceptCall',
  },
  'call:join': {
    summary:
      'Joins a call of a channel. With `peerId` this device resumes the call after a disconnection; without it, the user moves to this device.',
    payload: withIdempotencyKey(enterCallEvent),
    data: enteredCallReply,
    operation: 'joinCall',
  },
  'call:decline': {
    summary: 'Refuses a call. It stops ringing on all devices of the user.',
    payload: withIdempotencyKey(callParams),
    data: callReply,
    operation: 'declineCall',
  },
  'call:cancel': {
    summary: 'Withdraws a call that nobody has answered.',
    payload: withIdempotencyKey(callParams),
    data: callReply,
    operation: 'cancelCall',
  },
  'call:leave': {
    summary: 'Leaves a call. A call of two ends with it. Repeating it has no effect.',
    payload: withIdempotencyKey(callParams),
    data: callReply,
    operation: 'leaveCall',
  },
  'call:end': {
    summary:
      'Ends a call for everybody. Requires having started it, being in this conversation of two, or the role moderator in the group.',
    payload: withIdempotencyKey(callParams),
    data: callReply,
    operation: 'endCall',
  },
  'call:invite': {
    summary:
      'Calls further readers of the channel. A call of two goes on in a new conversation with the people who are called. Requires being in the call.',
    payload: withIdempotencyKey(inviteToCallEvent),
    data: callReply,
    operation: 'inviteToCall',
  },
  'call:set_media': {
    summary: 'Tells the others whether the microphone, the camera, the screen and the hand are on.',
    payload: withIdempotencyKey(setCallMediaEvent),
    data: callReply,
    background: true,
    operation: 'setCallMedia',
  },
  'call:report_quality': {
    summary:
      'Reports the quality of the media from the others. Send it every 10 seconds in a call; at most one in two seconds is accepted.',
    payload: reportCallQualityEvent,
    data: callQualityData,
    background: true,
  },
} as const satisfies Record<string, ClientEventSpec>;

export type ClientEvent = keyof typeof CLIENT_EVENTS;
/** The payload of an event, without its optional idempotency key. */
export type PayloadOf<Event extends ClientEvent> = Omit<
  z.output<(typeof CLIENT_EVENTS)[Event]['payload']>,
  'idempotencyKey'
>;
export type DataOf<Event extends ClientEvent> = z.output<(typeof CLIENT_EVENTS)[Event]['data']>;
