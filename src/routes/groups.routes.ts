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
      summary: 'Make a group and own it.',
      body: createGroupInput,
      replies: { 201: { description: 'The group.', schema: groupReply } },
      handle: groups.create,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups',
      operationId: 'listMyGroups',
      tag,
      summary: 'The groups that the caller is a member of.',
      query: pageQuery,
      replies: { 200: { description: 'A page of groups.', schema: groupsReply } },
      handle: groups.listMine,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/discover',
      operationId: 'discoverGroups',
      tag,
      summary: 'The public groups that are not archived, in the order of their names.',
      query: discoverGroupsQuery,
      replies: { 200: { description: 'A page of groups.', schema: groupsReply } },
      handle: groups.discover,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/:groupId',
      operationId: 'getGroup',
      tag,
      summary: 'A group that is public or that the caller is a member of.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.get,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/groups/:groupId',
      operationId: 'updateGroup',
      tag,
      summary: 'Change a group. Takes the role admin in it.',
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
      summary: 'Delete a group with all that is in it. Takes the role owner.',
      params: groupParams,
      replies: { 204: { description: 'The group is gone.' } },
      handle: groups.delete,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/archive',
      operationId: 'archiveGroup',
      tag,
      summary: 'Archive a group: it is only read from then on. Takes the role owner.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.archive,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/restore',
      operationId: 'restoreGroup',
      tag,
      summary: 'Take a group out of the archive. Takes the role owner.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.restore,
    }),
  ];
}
