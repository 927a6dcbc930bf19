import { createDirectMessagesController } from '../controllers/direct-messages.controller.mongodb';
import { channelParams } from '../models/channel.model';
import {
  addPeopleInput,
  conversationReply,
  conversationsQuery,
  conversationsReply,
  startDirectInput,
} from '../models/channels/direct-message.model';
import type { DirectMessageService } from '../services/channels/direct-message.service';
import { callerRoute, type ApiRoute } from './api-route';

export function directMessageRoutes(service: DirectMessageService): ApiRoute[] {
  const directMessages = createDirectMessagesController(service);
  const tag = 'Direct messages';
  return [
    callerRoute({
      method: 'post',
      path: '/api/direct-messages',
      operationId: 'startConversation',
      tag,
      summary: 'Open the one conversation with somebody, or start a new one with two to nine others.',
      body: startDirectInput,
      replies: {
        201: { description: 'A new conversation.', schema: conversationReply },
        200: { description: 'The conversation of these two, which was there.', schema: conversationReply },
      },
      handle: directMessages.start,
    }),
    callerRoute({
      method: 'get',
      path: '/api/direct-messages',
      operationId: 'listConversations',
      tag,
      summary: "The caller's conversations, newest activity first.",
      query: conversationsQuery,
      replies: { 200: { description: 'A page of conversations.', schema: conversationsReply } },
      handle: directMessages.list,
    }),
    callerRoute({
      method: 'post',
      path: '/api/direct-messages/:channelId/people',
      operationId: 'addPeople',
      tag,
      summary: 'Take people into a conversation. One of two stays as it is, and a new one is started.',
      params: channelParams,
      body: addPeopleInput,
      replies: {
        200: { description: 'The conversation with them.', schema: conversationReply },
        201: { description: 'A new conversation with both and them.', schema: conversationReply },
      },
      handle: directMessages.add,
    }),
  ];
}
