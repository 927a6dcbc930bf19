import { createMessagesController } from '../controllers/messages.controller.mongodb';
import { channelParams } from '../models/channel.model';
import {
  editMessageInput,
  forwardMessageInput,
  messageParams,
  messageReply,
  sendMessageInput,
} from '../models/message.model';
import type { MessageService } from '../services/message.service';
import { callerRoute, type ApiRoute } from './api-route';

export function messageRoutes(service: MessageService): ApiRoute[] {
  const messages = createMessagesController(service);
  const tag = 'Messages';
  return [
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/messages',
      operationId: 'sendMessage',
      tag,
      summary:
        'Send a message. The answer is sent when the message is stored durably. A repeated send returns the first message.',
      params: channelParams,
      body: sendMessageInput,
      replies: {
        201: { description: 'The message.', schema: messageReply },
        200: {
          description: 'The message, which was sent before with the same `clientMessageId`.',
          schema: messageReply,
        },
      },
      // Messages of several users are written in one transaction, and the clientMessageId already makes it idempotent.
      idempotency: 'recorded',
      handle: messages.send,
    }),
    callerRoute({
      method: 'post',
      path: '/api/messages/:messageId/forward',
      operationId: 'forwardMessage',
      tag,
      summary: 'Forward the text and files of a message to another channel, with its original author.',
      params: messageParams,
      body: forwardMessageInput,
      replies: {
        201: { description: 'The message in the other channel.', schema: messageReply },
        200: {
          description: 'The message, which was forwarded before with the same `clientMessageId`.',
          schema: messageReply,
        },
      },
      // See sendMessage.
      idempotency: 'recorded',
      handle: messages.forward,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/messages/:messageId',
      operationId: 'editMessage',
      tag,
      summary: "Change the text of one of the caller's own messages.",
      params: messageParams,
      body: editMessageInput,
      replies: { 200: { description: 'The message after the change.', schema: messageReply } },
      handle: messages.edit,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId',
      operationId: 'deleteMessage',
      tag,
      summary:
        'Delete a message. It keeps its `seq`. Requires being its author or the role moderator in the group.',
      params: messageParams,
      replies: { 200: { description: 'The message without its text.', schema: messageReply } },
      handle: messages.remove,
    }),
  ];
}
