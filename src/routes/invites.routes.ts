import { createInvitesController } from '../controllers/invites.controller.mongodb';
import { pageQuery } from '../models/kernel/common.model';
import { groupParams, groupReply } from '../models/group.model';
import {
  acceptInviteInput,
  createdInviteReply,
  createInviteInput,
  groupInviteParams,
  inviteParams,
  invitesReply,
  receivedInvitesReply,
} from '../models/groups/invite.model';
import type { InviteService } from '../services/groups/invite.service';
import { callerRoute, type ApiRoute } from './api-route';

export function inviteRoutes(service: InviteService): ApiRoute[] {
  const invites = createInvitesController(service);
  const tag = 'Groups';
  return [
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/invites',
      operationId: 'createInvite',
      answersSecret: true,
      tag,
      summary:
        'Create an invite code, or invite a single user. Requires the role admin in the group, and a higher role than the one that the invite assigns.',
      params: groupParams,
      body: createInviteInput,
      replies: { 201: { description: 'The invite, and its code.', schema: createdInviteReply } },
      handle: invites.create,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/:groupId/invites',
      operationId: 'listInvites',
      tag,
      summary: 'List the valid invites of a group. Requires the role admin in the group.',
      params: groupParams,
      query: pageQuery,
      replies: { 200: { description: 'A page of invites, without their codes.', schema: invitesReply } },
      handle: invites.list,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/groups/:groupId/invites/:inviteId',
      operationId: 'revokeInvite',
      tag,
      summary: 'Revoke an invite. Requires the role admin in the group.',
      params: groupInviteParams,
      replies: { 204: { description: 'The invite was revoked.' } },
      handle: invites.revoke,
    }),
    callerRoute({
      method: 'post',
      path: '/api/invites/accept',
      operationId: 'acceptInvite',
      tag,
      summary: 'Join a group with an invite code. For a member it has no effect.',
      body: acceptInviteInput,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: invites.accept,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/invites',
      operationId: 'listMyInvites',
      tag: 'Client',
      summary: 'List the invites for the caller.',
      query: pageQuery,
      replies: { 200: { description: 'A page of invites.', schema: receivedInvitesReply } },
      handle: invites.listMine,
    }),
    callerRoute({
      method: 'post',
      path: '/api/client/invites/:inviteId/accept',
      operationId: 'acceptMyInvite',
      tag: 'Client',
      summary: 'Accept an invite for the caller and join the group.',
      params: inviteParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: invites.acceptMine,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/client/invites/:inviteId',
      operationId: 'declineMyInvite',
      tag: 'Client',
      summary: 'Decline an invite for the caller.',
      params: inviteParams,
      replies: { 204: { description: 'The invite was declined.' } },
      handle: invites.declineMine,
    }),
  ];
}
