import type { Services } from '../context';
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
} from '../models/admin-group.model';
import { channelParams } from '../models/channel.model';
import { groupParams } from '../models/group.model';
import { callerRoute, type ApiRoute } from './api-route';

/** For super admins: all groups and channels. What moderators do in one, they do over its own routes. */
export function adminGroupRoutes(services: Services): ApiRoute[] {
  const groups = createAdminGroupsController(services);
  const tag = 'Administration';
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/groups',
      operationId: 'listAllGroups',
      tag,
      summary: 'All groups, private ones too: the newest first, or by how their names begin.',
      query: adminGroupsQuery,
      replies: { 200: { description: 'A page of groups.', schema: adminGroupsReply } },
      handle: groups.list,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/groups/:groupId',
      operationId: 'inspectGroup',
      tag,
      summary: 'A group with its owners and what there is in it.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: inspectedGroupSchema } },
      handle: groups.inspect,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/groups/:groupId/archive',
      operationId: 'archiveAnyGroup',
      tag,
      summary: 'Archive a group: it is only read from then on.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: adminGroupReply } },
      handle: groups.archive,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/groups/:groupId/restore',
      operationId: 'restoreAnyGroup',
      tag,
      summary: 'Take a group out of the archive.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: adminGroupReply } },
      handle: groups.restore,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/groups/:groupId/transfer',
      operationId: 'transferAnyGroup',
      tag,
      summary: 'Hand a group over to anybody; those who owned it are admins of it from then on.',
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
      summary: 'Delete a group with all that is in it.',
      params: groupParams,
      replies: { 204: { description: 'The group is gone.' } },
      handle: groups.delete,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/channels',
      operationId: 'listAllChannels',
      tag,
      summary: 'All channels and direct conversations: the newest first, or by how their names begin.',
      query: adminChannelsQuery,
      replies: { 200: { description: 'A page of channels.', schema: adminChannelsReply } },
      handle: groups.listChannels,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/channels/:channelId',
      operationId: 'inspectChannel',
      tag,
      summary: 'A channel with those who are in it and how much was said.',
      params: channelParams,
      replies: { 200: { description: 'The channel.', schema: inspectedChannelSchema } },
      handle: groups.inspectChannel,
    }),
  ];
}
