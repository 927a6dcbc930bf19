import { createAdminCallsController } from '../controllers/admin-calls.controller.mongodb';
import { adminCallsQuery, adminCallsReply, endCallInput } from '../models/calls/admin-call.model';
import { callQualityReply } from '../models/calls/call-quality.model';
import { callParams, callReply } from '../models/video-call.model';
import type { CallAdministration } from '../services/calls/call-administration';
import type { CallQualityService } from '../services/calls/call-quality.service';
import { callerRoute, type ApiRoute } from './api-route';

/** The routes by which super admins look after calls. */
export function adminCallRoutes(administration: CallAdministration, quality: CallQualityService): ApiRoute[] {
  const calls = createAdminCallsController(administration, quality);
  const tag = 'Administration';
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/video-calls',
      operationId: 'listOpenCalls',
      tag,
      summary: 'List the open calls of the server, the newest first.',
      query: adminCallsQuery,
      replies: { 200: { description: 'A page of calls.', schema: adminCallsReply } },
      handle: calls.list,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/video-calls/:callId/end',
      operationId: 'endAnyCall',
      tag,
      summary: 'End a call for everybody, with a reason for the audit log. Repeating it has no effect.',
      params: callParams,
      body: endCallInput,
      replies: { 200: { description: 'The call after the change.', schema: callReply } },
      handle: calls.end,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/video-calls/:callId/quality',
      operationId: 'getCallQuality',
      tag,
      summary: 'Get what the participants of a call have reported about its quality.',
      params: callParams,
      replies: { 200: { description: 'The quality by pairs of participants.', schema: callQualityReply } },
      handle: calls.quality,
    }),
  ];
}
