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
      summary: 'Ask to come into a public group that takes people in by request. Once is enough.',
      params: groupParams,
      body: askToJoinInput,
      replies: {
        201: { description: 'The request.', schema: ownJoinRequestReply },
        200: { description: 'The request that was there before.', schema: ownJoinRequestReply },
      },
      handle: requests.ask,
    }),
    callerRoute({
      method: 'get',
      path: '/api/groups/:groupId/join-requests',
      operationId: 'listJoinRequests',
      tag,
      summary: 'Who asks to come in, the first first. Takes the role admin.',
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
      summary: 'Take somebody in who has asked. Takes the role admin.',
      params: groupMemberParams,
      replies: { 200: { description: 'The member.', schema: memberReply } },
      handle: requests.approve,
    }),
    callerRoute({
      method: 'post',
      path: '/api/groups/:groupId/join-requests/:userId/reject',
      operationId: 'rejectJoinRequest',
      tag,
      summary: 'Turn a request down. Takes the role admin.',
      params: groupMemberParams,
      body: rejectJoinInput,
      replies: { 204: { description: 'The user is told, and may ask again after a day.' } },
      handle: requests.reject,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/join-requests',
      operationId: 'listMyJoinRequests',
      tag: 'Client',
      summary: 'Where the caller has asked to come in, the newest first.',
      query: pageQuery,
      replies: { 200: { description: 'A page of requests.', schema: ownJoinRequestsReply } },
      handle: requests.listMine,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/client/join-requests/:groupId',
      operationId: 'withdrawJoinRequest',
      tag: 'Client',
      summary: 'Take a request back.',
      params: groupParams,
      replies: { 204: { description: 'The request is gone.' } },
      handle: requests.withdraw,
    }),
  ];
}
