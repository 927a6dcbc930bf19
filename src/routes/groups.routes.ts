import { createGroupsController } from '../controllers/groups.controller.mongodb';
import { pageQuery } from '../models/kernel/common.model';
import {
  createGroupInput,
  discoverGroupsQuery,
  groupParams,
  groupReply,
  groupsReply,
  updateGroupInput,
} from '../models/group.model';
import type { GroupService } from '../services/group.service';
import { callerRoute, type ApiRoute } from './api-route';

export function groupRoutes(service: GroupService): ApiRoute[] {
  const groups = createGroupsController(service);
  const tag = 'Groups';
  return [
    callerRoute({
      method: 'post',
      path: '/api/groups',
      operationId: 'createGroup',
      tag,
      summary:
        'Create a group. The caller becomes its owner. Depending on the setting GROUP_CREATION, requires the role group admin on the server.',
      body: createGroupInput,
      replies: { 201: { description: 'The group.', schema: groupReply } },
      handle: groups.create,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups',
      operationId: 'listMyGroups',
      tag,
      summary: 'List the groups of which the caller is a member.',
      query: pageQuery,
      replies: { 200: { description: 'A page of groups.', schema: groupsReply } },
      handle: groups.listMine,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/discover',
      operationId: 'discoverGroups',
      tag,
      summary: 'List the public groups that are not archived, sorted by name.',
      query: discoverGroupsQuery,
      replies: { 200: { description: 'A page of groups.', schema: groupsReply } },
      handle: groups.discover,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/:groupId',
      operationId: 'getGroup',
      tag,
      summary: 'Get a group that is public or of which the caller is a member.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.get,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/groups/:groupId',
      operationId: 'updateGroup',
      tag,
      summary: 'Change a group. Requires the role admin in the group.',
      params: groupParams,
      body: updateGroupInput,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.update,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/groups/:groupId',
      operationId: 'deleteGroup',
      tag,
      summary: 'Delete a group with all of its channels and messages. Requires the role owner in the group.',
      params: groupParams,
      replies: { 204: { description: 'The group was deleted.' } },
      handle: groups.delete,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/archive',
      operationId: 'archiveGroup',
      tag,
      summary: 'Archive a group, which makes it read-only. Requires the role owner in the group.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.archive,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/restore',
      operationId: 'restoreGroup',
      tag,
      summary: 'Restore an archived group. Requires the role owner in the group.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.restore,
    }),
  ];
}
