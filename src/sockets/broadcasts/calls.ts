import { toCall } from '../../models/video-call.model';
import { to, users, type BroadcastsOf } from './broadcast.types';

/** Broadcasts of calls. */
export const callBroadcasts = {
  'call.changed': {
    // Sent while the audience is known to be current; `after` comes when the other nodes have confirmed the event.
    everywhere: ({ call, audience, rung, removed }) => {
      const payload = { call: toCall(call) };
      const ended = { callId: payload.call.id, channelId: payload.call.channelId };
      return [
        ...(audience ? [to(audience, 'call:updated', payload)] : []),
        ...(rung.length > 0 ? [to(users(...rung), 'call:ringing', payload)] : []),
        ...(removed.length > 0 ? [to(users(...removed), 'call:removed', ended)] : []),
      ];
    },
  },
} satisfies BroadcastsOf<'call.changed'>;
