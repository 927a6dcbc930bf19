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
      tag,
      summary:
        'Make a code that lets people in, or invite a single user. Takes the role admin, and one above that which it gives.',
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
      summary: 'The invites into a group that are good. Takes the role admin.',
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
      summary: 'Take an invite back. Takes the role admin.',
      params: groupInviteParams,
      replies: { 204: { description: 'Nobody comes in by it any more.' } },
      handle: invites.revoke,
    }),
    callerRoute({
      method: 'post',
      path: '/api/invites/accept',
      operationId: 'acceptInvite',
      tag,
      summary: 'Come into a group by a code. For a member it changes nothing.',
      body: acceptInviteInput,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: invites.accept,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/invites',
      operationId: 'listMyInvites',
      tag: 'Client',
      summary: 'The invites for the caller.',
      query: pageQuery,
      replies: { 200: { description: 'A page of invites.', schema: receivedInvitesReply } },
      handle: invites.listMine,
    }),
    callerRoute({
      method: 'post',
      path: '/api/client/invites/:inviteId/accept',
      operationId: 'acceptMyInvite',
      tag: 'Client',
      summary: 'Come into a group by an invite for the caller.',
      params: inviteParams,
      replies: { 200: { description: 'The group.', schema: groupReply } },
      handle: invites.acceptMine,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/client/invites/:inviteId',
      operationId: 'declineMyInvite',
      tag: 'Client',
      summary: 'Decline an invite.',
      params: inviteParams,
      replies: { 204: { description: 'The invite is gone.' } },
      handle: invites.declineMine,
    }),
  ];
}
