import type { Services } from '../context';
import { createChannelsController } from '../controllers/channels.controller.mongodb';
import { channelMembersReply } from '../models/channels/channel-member.model';
import {
  channelOrderInput,
  channelOrderReply,
  defaultChannelInput,
} from '../models/channels/channel-order.model';
import {
  channelMemberParams,
  channelParams,
  channelReply,
  channelsQuery,
  channelsReply,
  createChannelInput,
  transferChannelInput,
  updateChannelInput,
} from '../models/channel.model';
import { pageQuery } from '../models/kernel/common.model';
import { addMemberInput, groupParams, groupReply } from '../models/group.model';
import { callerRoute, type ApiRoute } from './api-route';

export function channelRoutes(
  services: Pick<Services, 'channels' | 'channelMembership' | 'channelOrder'>,
): ApiRoute[] {
  const channels = createChannelsController(services);
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
      summary: 'The channels of a group that the caller may read, in their order.',
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
      summary:
        'Change name, topic, visibility, slow mode or who writes: for its owner and admins of the group.',
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
      summary: 'Delete a channel with its messages: for its owner and admins of the group.',
      params: channelParams,
      replies: { 204: { description: 'The channel is gone.' } },
      handle: channels.remove,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/archive',
      operationId: 'archiveChannel',
      tag,
      summary: 'Archive a channel: from then on it is only read. For its owner and admins of the group.',
      params: channelParams,
      replies: { 200: { description: 'The channel as it is now.', schema: channelReply } },
      handle: channels.archive,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/restore',
      operationId: 'restoreChannel',
      tag,
      summary: 'Take a channel back from the archive.',
      params: channelParams,
      replies: { 200: { description: 'The channel as it is now.', schema: channelReply } },
      handle: channels.restore,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/transfer',
      operationId: 'transferChannel',
      tag,
      summary: 'Hand a channel over to a member of the group, who may do from then on what its maker could.',
      params: channelParams,
      body: transferChannelInput,
      replies: { 200: { description: 'The channel as it is now.', schema: channelReply } },
      handle: channels.transfer,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/members',
      operationId: 'listChannelMembers',
      tag,
      summary:
        'Who is in a channel or a direct conversation, for those who read it: in a public channel the members of its group who are not banned from it.',
      params: channelParams,
      query: pageQuery,
      replies: { 200: { description: 'A page of members.', schema: channelMembersReply } },
      handle: channels.listMembers,
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
      summary:
        'Take a user out of a private channel, or oneself; oneself out of a small direct conversation, too.',
      params: channelMemberParams,
      replies: { 204: { description: 'The user is no longer a member of the channel.' } },
      handle: channels.removeMember,
    }),
    callerRoute({
      method: 'put',
      path: '/api/groups/:groupId/channel-order',
      operationId: 'arrangeChannels',
      tag,
      summary: 'Put the channels of a group in another order. Takes the role admin in the group.',
      params: groupParams,
      body: channelOrderInput,
      replies: { 200: { description: 'The channels in their new order.', schema: channelOrderReply } },
      handle: channels.arrange,
    }),
    callerRoute({
      method: 'put',
      path: '/api/groups/:groupId/default-channel',
      operationId: 'setDefaultChannel',
      tag,
      summary: 'Choose in which channel newcomers begin. Takes the role admin in the group.',
      params: groupParams,
      body: defaultChannelInput,
      replies: { 200: { description: 'The group as it is now.', schema: groupReply } },
      handle: channels.setDefault,
    }),
  ];
}
