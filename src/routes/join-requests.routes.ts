import { createJoinRequestsController } from '../controllers/join-requests.controller.mongodb';
import { pageQuery } from '../models/kernel/common.model';
import { groupMemberParams, groupParams, memberReply } from '../models/group.model';
import {
  askToJoinInput,
  joinRequestsReply,
  ownJoinRequestReply,
  ownJoinRequestsReply,
  rejectJoinInput,
} from '../models/groups/join-request.model';
import type { JoinRequestService } from '../services/groups/join-request.service';
import { callerRoute, type ApiRoute } from './api-route';

export function joinRequestRoutes(service: JoinRequestService): ApiRoute[] {
  const requests = createJoinRequestsController(service);
  const tag = 'Groups';
  return [
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/join-requests',
      operationId: 'askToJoin',
      tag,
      summary: 'Request to join a public group that requires approval. Repeating it has no effect.',
      params: groupParams,
      body: askToJoinInput,
      replies: {
        201: { description: 'The request.', schema: ownJoinRequestReply },
        200: { description: 'The existing request.', schema: ownJoinRequestReply },
      },
      handle: requests.ask,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/:groupId/join-requests',
      operationId: 'listJoinRequests',
      tag,
      summary:
        'List the pending join requests of a group, oldest first. Requires the role admin in the group.',
      params: groupParams,
      query: pageQuery,
      replies: { 200: { description: 'A page of requests.', schema: joinRequestsReply } },
      handle: requests.list,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/join-requests/:userId/approve',
      operationId: 'approveJoinRequest',
      tag,
      summary: 'Approve a join request. Requires the role admin in the group.',
      params: groupMemberParams,
      replies: { 200: { description: 'The new member.', schema: memberReply } },
      handle: requests.approve,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/join-requests/:userId/reject',
      operationId: 'rejectJoinRequest',
      tag,
      summary: 'Reject a join request. Requires the role admin in the group.',
      params: groupMemberParams,
      body: rejectJoinInput,
      replies: {
        204: {
          description:
            'The request was rejected. The user is notified, and can make another request after a day.',
        },
      },
      handle: requests.reject,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/join-requests',
      operationId: 'listMyJoinRequests',
      tag: 'Client',
      summary: "List the caller's join requests, newest first.",
      query: pageQuery,
      replies: { 200: { description: 'A page of requests.', schema: ownJoinRequestsReply } },
      handle: requests.listMine,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/client/join-requests/:groupId',
      operationId: 'withdrawJoinRequest',
      tag: 'Client',
      summary: 'Withdraw a join request.',
      params: groupParams,
      replies: { 204: { description: 'The request was withdrawn.' } },
      handle: requests.withdraw,
    }),
  ];
}
