import { createGroupMembersController } from '../controllers/group-members.controller.mongodb';
import {
  addMemberInput,
  changeMemberRoleInput,
  groupMemberParams,
  groupParams,
  groupReply,
  memberReply,
  membersQuery,
  membersReply,
  transferGroupInput,
} from '../models/group.model';
import type { GroupMemberService } from '../services/groups/group-member.service';
import { callerRoute, type ApiRoute } from './api-route';

export function groupMemberRoutes(service: GroupMemberService): ApiRoute[] {
  const members = createGroupMembersController(service);
  const tag = 'Groups';
  return [
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/join',
      operationId: 'joinGroup',
      tag,
      summary: 'Join a public group. Repeating it has no effect.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: members.join,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/leave',
      operationId: 'leaveGroup',
      tag,
      summary: 'Leave a group. The last owner cannot leave.',
      params: groupParams,
      replies: { 204: { description: 'The caller is no longer a member.' } },
      handle: members.leave,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/transfer',
      operationId: 'transferGroup',
      tag,
      summary:
        'Transfer a group to a member. The caller becomes an admin. Requires the role owner in the group.',
      params: groupParams,
      body: transferGroupInput,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: members.transfer,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/:groupId/members',
      operationId: 'listMembers',
      tag,
      summary: 'List the members of a group. Requires being a member.',
      params: groupParams,
      query: membersQuery,
      replies: { 200: { description: 'A page of members.', schema: membersReply } },
      handle: members.list,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/members',
      operationId: 'addMember',
      tag,
      summary: 'Add a user to a group. Requires the role admin in the group.',
      params: groupParams,
      body: addMemberInput,
      replies: {
        201: { description: 'The new member.', schema: memberReply },
        200: { description: 'The user was already a member.', schema: memberReply },
      },
      handle: members.add,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/groups/:groupId/members/:userId',
      operationId: 'changeMemberRole',
      tag,
      summary:
        'Change the role of a member. Requires the role admin in the group, and a higher role than the old and the new role of the member. Members may lower their own role.',
      params: groupMemberParams,
      body: changeMemberRoleInput,
      replies: { 200: { description: 'The member.', schema: memberReply } },
      handle: members.changeRole,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/groups/:groupId/members/:userId',
      operationId: 'removeMember',
      tag,
      summary:
        'Remove a member from a group. Requires the role admin in the group, and a higher role than that of the member.',
      params: groupMemberParams,
      replies: { 204: { description: 'The user is no longer a member.' } },
      handle: members.remove,
    }),
  ];
}
