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
      summary: 'Join a public group. Joining again changes nothing.',
      params: groupParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: members.join,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/leave',
      operationId: 'leaveGroup',
      tag,
      summary: 'Leave a group. Its last owner cannot.',
      params: groupParams,
      replies: { 204: { description: 'The caller is no longer a member.' } },
      handle: members.leave,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/transfer',
      operationId: 'transferGroup',
      tag,
      summary: 'Hand a group over to a member, and be an admin from then on. Takes the role owner.',
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
      summary: 'The members of a group, for its members.',
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
      summary: 'Take a user in. Takes the role admin in the group.',
      params: groupParams,
      body: addMemberInput,
      replies: {
        201: { description: 'The new member.', schema: memberReply },
        200: { description: 'The user was a member before.', schema: memberReply },
      },
      handle: members.add,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/groups/:groupId/members/:userId',
      operationId: 'changeMemberRole',
      tag,
      summary:
        'Give a member another role. Takes the role admin, and a role above both; members may step down by themselves.',
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
      summary: 'Remove a member, who hears nothing more of the group from then on.',
      params: groupMemberParams,
      replies: { 204: { description: 'The user is no longer a member.' } },
      handle: members.remove,
    }),
  ];
}
