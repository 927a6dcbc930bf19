import type { Services } from '../context';
import { createChannelsController } from '../controllers/channels.controller.mongodb';
import {
  channelMemberParams,
  channelParams,
  channelReply,
  channelsQuery,
  channelsReply,
  createChannelInput,
  updateChannelInput,
} from '../models/channel.model';
import { addMemberInput } from '../models/group.model';
import { callerRoute, type ApiRoute } from './api-route';

export function channelRoutes(service: Services['channels']): ApiRoute[] {
  const channels = createChannelsController(service);
  const tag = 'Channels';
  return [
    callerRoute({
      method: 'post',
      path: '/api/channels',
      operationId: 'createChannel',
      tag,
      summary: 'Make a channel in a group. Takes the role admin in the group.',
      body: createChannelInput,
      replies: { 201: { description: 'The channel.', schema: channelReply } },
      handle: channels.create,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels',
      operationId: 'listChannels',
      tag,
      summary: 'The channels of a group that the caller may read.',
      query: channelsQuery,
      replies: { 200: { description: 'A page of channels.', schema: channelsReply } },
      handle: channels.list,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId',
      operationId: 'getChannel',
      tag,
      summary: 'A channel.',
      params: channelParams,
      replies: { 200: { description: 'The channel.', schema: channelReply } },
      handle: channels.get,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/channels/:channelId',
      operationId: 'updateChannel',
      tag,
      summary: 'Change name, topic or visibility: for its creator and admins of the group.',
      params: channelParams,
      body: updateChannelInput,
      replies: { 200: { description: 'The channel as it is now.', schema: channelReply } },
      handle: channels.update,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/channels/:channelId',
      operationId: 'deleteChannel',
      tag,
      summary: 'Delete a channel with its messages: for its creator and admins of the group.',
      params: channelParams,
      replies: { 204: { description: 'The channel is gone.' } },
      handle: channels.remove,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/members',
      operationId: 'addChannelMember',
      tag,
      summary: 'Take a member of the group into a private channel.',
      params: channelParams,
      body: addMemberInput,
      replies: { 204: { description: 'The user is a member of the channel.' } },
      handle: channels.addMember,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/channels/:channelId/members/:userId',
      operationId: 'removeChannelMember',
      tag,
      summary: 'Take a user out of a private channel.',
      params: channelMemberParams,
      replies: { 204: { description: 'The user is no longer a member of the channel.' } },
      handle: channels.removeMember,
    }),
  ];
}
