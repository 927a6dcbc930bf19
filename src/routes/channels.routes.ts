import { createChannelsController, type ChannelsServices } from '../controllers/channels.controller.mongodb';
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

export function channelRoutes(services: ChannelsServices): ApiRoute[] {
  const channels = createChannelsController(services);
  const tag = 'Channels';
  return [
    callerRoute({
      method: 'post',
      path: '/api/channels',
      operationId: 'createChannel',
      tag,
      summary: 'Create a channel in a group. Requires the role admin in the group.',
      body: createChannelInput,
      replies: { 201: { description: 'The channel.', schema: channelReply } },
      handle: channels.create,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels',
      operationId: 'listChannels',
      tag,
      summary: 'List the channels of a group that the caller may read, in their order.',
      query: channelsQuery,
      replies: { 200: { description: 'A page of channels.', schema: channelsReply } },
      handle: channels.list,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId',
      operationId: 'getChannel',
      tag,
      summary: 'Get a channel.',
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
        'Change the name, topic, visibility, slow mode or announcement mode of a channel. Requires being its owner or the role admin in the group.',
      params: channelParams,
      body: updateChannelInput,
      replies: { 200: { description: 'The channel after the change.', schema: channelReply } },
      handle: channels.update,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/channels/:channelId',
      operationId: 'deleteChannel',
      tag,
      summary: 'Delete a channel with its messages. Requires being its owner or the role admin in the group.',
      params: channelParams,
      replies: { 204: { description: 'The channel was deleted.' } },
      handle: channels.remove,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/archive',
      operationId: 'archiveChannel',
      tag,
      summary:
        'Archive a channel, which makes it read-only. Requires being its owner or the role admin in the group.',
      params: channelParams,
      replies: { 200: { description: 'The channel after the change.', schema: channelReply } },
      handle: channels.archive,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/restore',
      operationId: 'restoreChannel',
      tag,
      summary: 'Restore an archived channel. Requires being its owner or the role admin in the group.',
      params: channelParams,
      replies: { 200: { description: 'The channel after the change.', schema: channelReply } },
      handle: channels.restore,
    }),
    callerRoute({
      method: 'post',
      path: '/api/channels/:channelId/transfer',
      operationId: 'transferChannel',
      tag,
      summary:
        'Transfer a channel to a member of the group, who becomes its owner. Requires being its owner or the role admin in the group.',
      params: channelParams,
      body: transferChannelInput,
      replies: { 200: { description: 'The channel after the change.', schema: channelReply } },
      handle: channels.transfer,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/members',
      operationId: 'listChannelMembers',
      tag,
      summary:
        'List the members of a channel or direct conversation. The members of a public channel are the members of its group who are not banned from it. Requires permission to read the channel.',
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
      summary:
        'Add a member of the group to a private channel. Requires being the owner of the channel or the role admin in the group.',
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
        'Remove a user from a private channel, or leave it. Removing another user requires being the owner of the channel or the role admin in the group. A direct conversation of three or more people can be left, too.',
      params: channelMemberParams,
      replies: { 204: { description: 'The user is no longer a member of the channel.' } },
      handle: channels.removeMember,
    }),
    callerRoute({
      method: 'put',
      path: '/api/groups/:groupId/channel-order',
      operationId: 'arrangeChannels',
      tag,
      summary: 'Change the order of the channels of a group. Requires the role admin in the group.',
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
      summary: 'Set the channel that new members see first. Requires the role admin in the group.',
      params: groupParams,
      body: defaultChannelInput,
      replies: { 200: { description: 'The group after the change.', schema: groupReply } },
      handle: channels.setDefault,
    }),
  ];
}
