import type { CallsQuery } from '../models/calls/call-history.model';
import type {
  CallParams,
  EnterCallInput,
  InviteToCallInput,
  SetCallMediaInput,
  StartCallInput,
} from '../models/video-call.model';
import type { ReportCallQualityInput } from '../models/calls/call-quality.model';
import type { CallHistory } from '../services/calls/call-history';
import type { CallQualityService } from '../services/calls/call-quality.service';
import type { VideoCallService } from '../services/video-call.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

type OfCall = CallerRequest<{ params: CallParams }>;

/** The services of the routes for calls. */
export interface VideoCallServices {
  videoCalls: VideoCallService;
  callHistory: CallHistory;
  callQuality: CallQualityService;
}

/** Calls. */
export function createVideoCallController({ videoCalls, callHistory, callQuality }: VideoCallServices) {
  return {
    start: async ({ caller, body }: CallerRequest<{ body: StartCallInput }>) => {
      const started = await videoCalls.start(caller, body);
      return started.created ? reply(201, started) : reply(200, started);
    },
    list: async ({ caller, query }: CallerRequest<{ query: CallsQuery }>) => {
      const { items, nextCursor } = await callHistory.list(caller, query);
      return reply(200, { calls: items, nextCursor });
    },
    active: async ({ caller }: CallerRequest) => reply(200, { calls: await callHistory.active(caller) }),
    get: async ({ caller, params }: OfCall) =>
      reply(200, { call: await videoCalls.get(caller, params.callId) }),
    accept: async ({ caller, params, body }: CallerRequest<{ params: CallParams; body: EnterCallInput }>) =>
      reply(200, await videoCalls.accept(caller, params.callId, body)),
    join: async ({ caller, params, body }: CallerRequest<{ params: CallParams; body: EnterCallInput }>) =>
      reply(200, await videoCalls.join(caller, params.callId, body)),
    decline: async ({ caller, params }: OfCall) =>
      reply(200, { call: await videoCalls.decline(caller, params.callId) }),
    cancel: async ({ caller, params }: OfCall) =>
      reply(200, { call: await videoCalls.cancel(caller, params.callId) }),
    leave: async ({ caller, params }: OfCall) =>
      reply(200, { call: await videoCalls.leave(caller, params.callId) }),
    end: async ({ caller, params }: OfCall) =>
      reply(200, { call: await videoCalls.end(caller, params.callId) }),
    invite: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: CallParams; body: InviteToCallInput }>) =>
      reply(200, { call: await videoCalls.invite(caller, params.callId, body) }),
    reportQuality: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: CallParams; body: ReportCallQualityInput }>) => {
      await callQuality.report(caller, params.callId, body);
      return reply(204);
    },
    setMedia: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: CallParams; body: SetCallMediaInput }>) =>
      reply(200, { call: await videoCalls.setMedia(caller, params.callId, body) }),
  };
}
