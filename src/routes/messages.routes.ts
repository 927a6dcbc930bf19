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
      summary: 'Send a message. Answered once it is on disk; sending it again returns the first one.',
      params: channelParams,
      body: sendMessageInput,
      replies: {
        201: { description: 'The message.', schema: messageReply },
        200: { description: 'It was sent before: the same message.', schema: messageReply },
      },
      // It is written in one transaction with the sends of others, and its clientMessageId makes it unique.
      idempotency: 'recorded',
      handle: messages.send,
    }),
    callerRoute({
      method: 'post',
      path: '/api/messages/:messageId/forward',
      operationId: 'forwardMessage',
      tag,
      summary: "Send a message's words to another channel, under their author's name.",
      params: messageParams,
      body: forwardMessageInput,
      replies: {
        201: { description: 'The message in the other channel.', schema: messageReply },
        200: { description: 'It was forwarded before: the same message.', schema: messageReply },
      },
      // As sendMessage.
      idempotency: 'recorded',
      handle: messages.forward,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/messages/:messageId',
      operationId: 'editMessage',
      tag,
      summary: "Change the text of one's own message.",
      params: messageParams,
      body: editMessageInput,
      replies: { 200: { description: 'The message as it is now.', schema: messageReply } },
      handle: messages.edit,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId',
      operationId: 'deleteMessage',
      tag,
      summary: 'Delete a message: for its author and moderators of the group. Its place in the order stays.',
      params: messageParams,
      replies: { 200: { description: 'The message without its text.', schema: messageReply } },
      handle: messages.remove,
    }),
  ];
}
