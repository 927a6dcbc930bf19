import {
  createChannelReadsController,
  type ChannelReadsServices,
} from '../controllers/channel-reads.controller.mongodb';
import {
  channelReadReply,
  channelSummaryReply,
  markReadInput,
  markUnreadInput,
} from '../models/channels/channel-summary.model';
import { channelParams } from '../models/channel.model';
import { callerRoute, type ApiRoute } from './api-route';

export function channelReadRoutes(services: ChannelReadsServices): ApiRoute[] {
  const summaries = createChannelReadsController(services);
  const tag = 'Channels';
  return [
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/summary',
      operationId: 'getChannelSummary',
      tag,
      summary:
        'Get what a client displays of a channel in a list: the newest message, unread counts and online members.',
      params: channelParams,
      replies: { 200: { description: 'The summary.', schema: channelSummaryReply } },
      handle: summaries.get,
    }),
    callerRoute({
      method: 'put',
      path: '/api/channels/:channelId/read',
      operationId: 'markChannelRead',
      tag,
      summary: 'Mark a channel as read up to a message. The read marker never moves back.',
      params: channelParams,
      body: markReadInput,
      replies: {
        200: { description: 'The current read marker and unread counts.', schema: channelReadReply },
      },
      handle: summaries.markRead,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/unread',
      operationId: 'markChannelUnread',
      tag,
      summary: 'Mark a message and all later ones as unread.',
      params: channelParams,
      body: markUnreadInput,
      replies: {
        200: { description: 'The current read marker and unread counts.', schema: channelReadReply },
      },
      handle: summaries.markUnread,
    }),
  ];
}
