import type { Services } from '../context';
import { createMessagesController } from '../controllers/messages.controller.mongodb';
import { channelParams } from '../models/channel.model';
import {
  editMessageInput,
  historyQuery,
  messageParams,
  messageReply,
  messagesReply,
  sendMessageInput,
} from '../models/message.model';
import { callerRoute, type ApiRoute } from './api-route';

export function messageRoutes(service: Services['messages']): ApiRoute[] {
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
      method: 'get',
      path: '/api/channels/:channelId/messages',
      operationId: 'listMessages',
      tag,
      summary: 'A page of history: newest first, or oldest first with `after`.',
      params: channelParams,
      query: historyQuery,
      replies: { 200: { description: 'A page of messages.', schema: messagesReply } },
      handle: messages.history,
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
