import type { AdminCallsQuery, EndCallInput } from '../models/calls/admin-call.model';
import type { CallParams } from '../models/video-call.model';
import type { CallAdministration } from '../services/calls/call-administration';
import type { CallQualityService } from '../services/calls/call-quality.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

/** Calls, for super admins. */
export function createAdminCallsController(calls: CallAdministration, quality: CallQualityService) {
  return {
    list: async ({ caller, query }: CallerRequest<{ query: AdminCallsQuery }>) => {
      const { items, nextCursor } = await calls.list(caller, query);
      return reply(200, { calls: items, nextCursor });
    },
    end: async ({ caller, params, body }: CallerRequest<{ params: CallParams; body: EndCallInput }>) =>
      reply(200, { call: await calls.end(caller, params.callId, body) }),
    quality: async ({ caller, params }: CallerRequest<{ params: CallParams }>) =>
      reply(200, { quality: await quality.get(caller, params.callId) }),
  };
}
