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
      summary: 'What a client draws of a channel in a list: newest message, unread, people online.',
      params: channelParams,
      replies: { 200: { description: 'The summary.', schema: channelSummaryReply } },
      handle: summaries.get,
    }),
    callerRoute({
      method: 'put',
      path: '/api/channels/:channelId/read',
      operationId: 'markChannelRead',
      tag,
      summary: 'Say up to which message the caller has read. It never moves back.',
      params: channelParams,
      body: markReadInput,
      replies: { 200: { description: 'Where the marker is now.', schema: channelReadReply } },
      handle: summaries.markRead,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/unread',
      operationId: 'markChannelUnread',
      tag,
      summary: 'Make a message and all behind it unread again.',
      params: channelParams,
      body: markUnreadInput,
      replies: { 200: { description: 'Where the marker is now.', schema: channelReadReply } },
      handle: summaries.markUnread,
    }),
  ];
}
