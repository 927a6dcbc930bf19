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
      summary: 'Open the direct conversation with another user, or start a new one with two to nine others.',
      body: startDirectInput,
      replies: {
        201: { description: 'A new conversation.', schema: conversationReply },
        200: { description: 'The existing conversation of the two users.', schema: conversationReply },
      },
      handle: directMessages.start,
    }),
    callerRoute({
      method: 'get',
      path: '/api/direct-messages',
      operationId: 'listConversations',
      tag,
      summary: "List the caller's direct conversations, latest activity first.",
      query: conversationsQuery,
      replies: { 200: { description: 'A page of conversations.', schema: conversationsReply } },
      handle: directMessages.list,
    }),
    callerRoute({
      method: 'post',
      path: '/api/direct-messages/:channelId/people',
      operationId: 'addPeople',
      tag,
      summary:
        'Add users to a direct conversation. A conversation of two remains unchanged, and a new conversation is started instead.',
      params: channelParams,
      body: addPeopleInput,
      replies: {
        200: { description: 'The conversation with the added users.', schema: conversationReply },
        201: {
          description: 'A new conversation of the two users and the added users.',
          schema: conversationReply,
        },
      },
      handle: directMessages.add,
    }),
  ];
}
