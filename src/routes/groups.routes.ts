import type { Services } from '../context';
import { createGroupsController } from '../controllers/groups.controller.mongodb';
import { pageQuery } from '../models/common.model';
import {
  addMemberInput,
  createGroupInput,
  groupMemberParams,
  groupParams,
  groupReply,
  groupsReply,
  memberReply,
  membersReply,
} from '../models/group.model';
import { callerRoute, type ApiRoute } from './api-route';

export function groupRoutes(service: Services['groups']): ApiRoute[] {
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
      path: '/api/groups/:groupId',
      operationId: 'getGroup',
      tag,
      summary: 'A group that is public or that the caller is a member of.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.get,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/join',
      operationId: 'joinGroup',
      tag,
      summary: 'Join a public group. Joining again changes nothing.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: groups.join,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/leave',
      operationId: 'leaveGroup',
      tag,
      summary: 'Leave a group. Its last owner cannot.',
      params: groupParams,
      replies: { 204: { description: 'The caller is no longer a member.' } },
      handle: groups.leave,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/:groupId/members',
      operationId: 'listMembers',
      tag,
      summary: 'The members of a group, for its members.',
      params: groupParams,
      query: pageQuery,
      replies: { 200: { description: 'A page of members.', schema: membersReply } },
      handle: groups.listMembers,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/members',
      operationId: 'addMember',
      tag,
      summary: 'Take a user in. Takes the role admin in the group.',
      params: groupParams,
      body: addMemberInput,
      replies: {
        201: { description: 'The new member.', schema: memberReply },
        200: { description: 'The user was a member before.', schema: memberReply },
      },
      handle: groups.addMember,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/groups/:groupId/members/:userId',
      operationId: 'removeMember',
      tag,
      summary: 'Remove a member, who hears nothing more of the group from then on.',
      params: groupMemberParams,
      replies: { 204: { description: 'The user is no longer a member.' } },
      handle: groups.removeMember,
    }),
  ];
}
