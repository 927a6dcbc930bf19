import type { ObjectId } from 'mongodb';
import type { ChannelDocument } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { ThreadFollowDocument } from '../../models/messages/thread.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import type { MessageContent, MessageDraft } from './message-composer';

/** A draft with its content, and the id of its message, which stays the same however often it is tried to write it. */
export interface ComposedMessage {
  _id: ObjectId;
  draft: MessageDraft;
  content: MessageContent;
}

/** New messages of one channel that can be written. */
export interface ChannelBatch {
  /** The state of the channel on which everything was decided. */
  channel: ChannelDocument;
  /** In the order of their numbers; not empty. */
  messages: ComposedMessage[];
  /** The senders who have to wait for their next message, because the channel is in slow mode. */
  slowedSenders: ObjectId[];
}

/** What a committed batch has changed, to be published. */
export interface WrittenBatch {
  /** The channel after the batch. */
  channel: ChannelDocument;
  /** In the order of their sequence numbers. */
  created: MessageDocument[];
  /** The roots of threads with new replies. */
  roots: MessageDocument[];
  follows: ThreadFollowDocument[];
  notifications: NotificationDocument[];
}

/** The unique key of a message: its sender and client message id. */
export const keyOf = (senderId: ObjectId, clientMessageId: string) =>
  `${senderId.toHexString()} ${clientMessageId}`;
export const keyOfDraft = ({ sender, clientMessageId }: MessageDraft) =>
  keyOf(sender.userId, clientMessageId);
export const keyOfMessage = ({ senderId, clientMessageId }: MessageDocument) =>
  keyOf(senderId, clientMessageId);
