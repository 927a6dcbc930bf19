import { createAdminGroupsController } from '../controllers/admin-groups.controller.mongodb';
import {
  adminChannelsQuery,
  adminChannelsReply,
  adminGroupReply,
  adminGroupsQuery,
  adminGroupsReply,
  inspectedChannelSchema,
  inspectedGroupSchema,
  transferGroupInput,
} from '../models/admin/admin-group.model';
import { channelParams, channelReply, transferChannelInput } from '../models/channel.model';
import { groupParams } from '../models/group.model';
import type { AdminGroupService } from '../services/admin/admin-groups.service';
import { callerRoute, type ApiRoute } from './api-route';

/**
 * The routes by which super admins manage all groups and channels. They moderate with the routes that moderators use.
 */
export function adminGroupRoutes(service: AdminGroupService): ApiRoute[] {
  const groups = createAdminGroupsController(service);
  const tag = 'Administration';
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/groups',
      operationId: 'listAllGroups',
      tag,
      summary: 'List all groups, including private ones: newest first, or by name if `query` is set.',
      query: adminGroupsQuery,
      replies: { 200: { description: 'A page of groups.', schema: adminGroupsReply } },
      handle: groups.list,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/groups/:groupId',
      operationId: 'inspectGroup',
      tag,
      summary: 'Get a group with its owners and counts.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: inspectedGroupSchema } },
      handle: groups.inspect,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/groups/:groupId/archive',
      operationId: 'archiveAnyGroup',
      tag,
      summary: 'Archive a group, which makes it read-only.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: adminGroupReply } },
      handle: groups.archive,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/groups/:groupId/restore',
      operationId: 'restoreAnyGroup',
      tag,
      summary: 'Restore an archived group.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: adminGroupReply } },
      handle: groups.restore,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/groups/:groupId/transfer',
      operationId: 'transferAnyGroup',
      tag,
      summary: 'Transfer a group to any user. The former owners become admins of the group.',
      params: groupParams,
      body: transferGroupInput,
      replies: { 200: { description: 'The group.', schema: adminGroupReply } },
      handle: groups.transfer,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/admin/groups/:groupId',
      operationId: 'deleteAnyGroup',
      tag,
      summary: 'Delete a group with all of its channels and messages.',
      params: groupParams,
      replies: { 204: { description: 'The group was deleted.' } },
      handle: groups.delete,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/channels',
      operationId: 'listAllChannels',
      tag,
      summary: 'List all channels and direct conversations: newest first, or by name if `query` is set.',
      query: adminChannelsQuery,
      replies: { 200: { description: 'A page of channels.', schema: adminChannelsReply } },
      handle: groups.listChannels,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/channels/:channelId',
      operationId: 'inspectChannel',
      tag,
      summary: 'Get a channel with its members and counts.',
      params: channelParams,
      replies: { 200: { description: 'The channel.', schema: inspectedChannelSchema } },
      handle: groups.inspectChannel,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/channels/:channelId/archive',
      operationId: 'archiveAnyChannel',
      tag,
      summary: 'Archive a channel of a group, which makes it read-only.',
      params: channelParams,
      replies: { 200: { description: 'The channel.', schema: channelReply } },
      handle: groups.archiveChannel,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/channels/:channelId/restore',
      operationId: 'restoreAnyChannel',
      tag,
      summary: 'Restore an archived channel.',
      params: channelParams,
      replies: { 200: { description: 'The channel.', schema: channelReply } },
      handle: groups.restoreChannel,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/channels/:channelId/transfer',
      operationId: 'transferAnyChannel',
      tag,
      summary: 'Transfer a channel to a member of its group, who need not be a member of a private channel.',
      params: channelParams,
      body: transferChannelInput,
      replies: { 200: { description: 'The channel.', schema: channelReply } },
      handle: groups.transferChannel,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/admin/channels/:channelId',
      operationId: 'deleteAnyChannel',
      tag,
      summary: 'Delete a channel of a group with its messages.',
      params: channelParams,
      replies: { 204: { description: 'The channel was deleted.' } },
      handle: groups.deleteChannel,
    }),
  ];
}
