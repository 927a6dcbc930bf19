import {
  createVideoCallController,
  type VideoCallServices,
} from '../controllers/video-call.controller.mongodb';
import { reportCallQualityInput } from '../models/calls/call-quality.model';
import { callHistoryReply, callsQuery } from '../models/calls/call-history.model';
import {
  callParams,
  callReply,
  callsReply,
  enterCallInput,
  enteredCallReply,
  inviteToCallInput,
  setCallMediaInput,
  startCallInput,
  startedCallReply,
} from '../models/video-call.model';
import { callerRoute, type ApiRoute } from './api-route';

/** Calls: to a user, or in a channel. */
export function videoCallRoutes(services: VideoCallServices): ApiRoute[] {
  const calls = createVideoCallController(services);
  const tag = 'Calls';
  const currentCall = { 200: { description: 'The call after the change.', schema: callReply } };
  const entered = { 200: { description: 'The call, and how to connect to it.', schema: enteredCallReply } };
  return [
    callerRoute({
      method: 'post',
      path: '/api/video-calls',
      operationId: 'startCall',
      answersSecret: true,
      tag,
      summary:
        'Call a user, or start a call in a channel. If the channel has an open call, the caller joins that one.',
      body: startCallInput,
      replies: {
        201: { description: 'The new call.', schema: startedCallReply },
        200: { description: 'The call that was open already.', schema: startedCallReply },
      },
      handle: calls.start,
    }),
    callerRoute({
      method: 'get',
      path: '/api/video-calls',
      operationId: 'listCalls',
      tag,
      summary:
        'List the calls in which the caller was or to which they were called, or all calls of a channel, the newest first. Only calls of channels that they can read now.',
      query: callsQuery,
      replies: {
        200: {
          description:
            'The calls. While `nextCursor` is not null, there may be more, even if the page is short or empty.',
          schema: callHistoryReply,
        },
      },
      handle: calls.list,
    }),
    callerRoute({
      method: 'get',
      path: '/api/video-calls/active',
      operationId: 'listActiveCalls',
      tag,
      summary: 'List the open calls of all channels that the caller can read, the newest first.',
      replies: { 200: { description: 'The calls.', schema: callsReply } },
      handle: calls.active,
    }),
    callerRoute({
      method: 'get',
      path: '/api/video-calls/:callId',
      operationId: 'getCall',
      tag,
      summary: 'Get a call.',
      params: callParams,
      replies: { 200: { description: 'The call.', schema: callReply } },
      handle: calls.get,
    }),
    callerRoute({
      method: 'post',
      path: '/api/video-calls/:callId/accept',
      operationId: 'acceptCall',
      answersSecret: true,
      tag,
      summary: 'Answer a call on this device. It stops ringing on the others.',
      params: callParams,
      body: enterCallInput,
      replies: entered,
      handle: calls.accept,
    }),
    callerRoute({
      method: 'post',
      path: '/api/video-calls/:callId/join',
      operationId: 'joinCall',
      answersSecret: true,
      tag,
      summary:
        'Join a call of a channel. With `peerId` this device resumes the call after a disconnection; without it, the caller moves to this device.',
      params: callParams,
      body: enterCallInput,
      replies: entered,
      handle: calls.join,
    }),
    callerRoute({
      method: 'post',
      path: '/api/video-calls/:callId/decline',
      operationId: 'declineCall',
      tag,
      summary: 'Refuse a call. It stops ringing on all devices of the caller.',
      params: callParams,
      replies: currentCall,
      handle: calls.decline,
    }),
    callerRoute({
      method: 'post',
      path: '/api/video-calls/:callId/cancel',
      operationId: 'cancelCall',
      tag,
      summary: 'Withdraw a call that nobody has answered. Requires having started it.',
      params: callParams,
      replies: currentCall,
      handle: calls.cancel,
    }),
    callerRoute({
      method: 'post',
      path: '/api/video-calls/:callId/leave',
      operationId: 'leaveCall',
      tag,
      summary: 'Leave a call. A call of two ends with it. Repeating it has no effect.',
      params: callParams,
      replies: currentCall,
      handle: calls.leave,
    }),
    callerRoute({
      method: 'post',
      path: '/api/video-calls/:callId/end',
      operationId: 'endCall',
      tag,
      summary:
        'End a call for everybody. Requires having started it, being in this conversation of two, or the role moderator in the group.',
      params: callParams,
      replies: currentCall,
      handle: calls.end,
    }),
    callerRoute({
      method: 'post',
      path: '/api/video-calls/:callId/invite',
      operationId: 'inviteToCall',
      tag,
      summary:
        'Call further readers of the channel. A call of two goes on in a new conversation with the people who are called. Requires being in the call.',
      params: callParams,
      body: inviteToCallInput,
      replies: currentCall,
      handle: calls.invite,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/video-calls/:callId/media',
      operationId: 'setCallMedia',
      tag,
      summary: 'Tell the others whether the microphone, the camera, the screen and the hand are on.',
      params: callParams,
      body: setCallMediaInput,
      replies: currentCall,
      handle: calls.setMedia,
    }),
    callerRoute({
      method: 'post',
      path: '/api/video-calls/:callId/quality',
      operationId: 'reportCallQuality',
      tag,
      summary:
        'Report the quality of the media from the others. Requires being in the call, or having left it less than a minute ago. At most one report in two seconds is accepted.',
      params: callParams,
      body: reportCallQualityInput,
      replies: { 204: { description: 'The report has been stored.' } },
      handle: calls.reportQuality,
    }),
  ];
}
