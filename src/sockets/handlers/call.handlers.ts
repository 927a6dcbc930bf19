import type { CallQualityService } from '../../services/calls/call-quality.service';
import type { VideoCallService } from '../../services/video-call.service';
import type { Handlers } from './handler.types';

/** Handles events about calls. A user stays in a call while the socket is open by which they entered it. */
export function callHandlers(
  calls: VideoCallService,
  quality: CallQualityService,
): Pick<
  Handlers,
  | 'call:start'
  | 'call:accept'
  | 'call:join'
  | 'call:decline'
  | 'call:cancel'
  | 'call:leave'
  | 'call:end'
  | 'call:invite'
  | 'call:set_media'
  | 'call:report_quality'
> {
  return {
    'call:start': (caller, input, { socketId }) => calls.start(caller, input, socketId),
    'call:accept': (caller, { callId, ...input }, { socketId }) =>
      calls.accept(caller, callId, input, socketId),
    'call:join': (caller, { callId, ...input }, { socketId }) => calls.join(caller, callId, input, socketId),
    'call:decline': async (caller, { callId }) => ({ call: await calls.decline(caller, callId) }),
    'call:cancel': async (caller, { callId }) => ({ call: await calls.cancel(caller, callId) }),
    'call:leave': async (caller, { callId }) => ({ call: await calls.leave(caller, callId) }),
    'call:end': async (caller, { callId }) => ({ call: await calls.end(caller, callId) }),
    'call:invite': async (caller, { callId, ...input }) => ({
      call: await calls.invite(caller, callId, input),
    }),
    'call:report_quality': async (caller, { callId, ...input }) => {
      await quality.report(caller, callId, input);
      return {};
    },
    'call:set_media': async (caller, { callId, ...changes }) => ({
      call: await calls.setMedia(caller, callId, changes),
    }),
  };
}
