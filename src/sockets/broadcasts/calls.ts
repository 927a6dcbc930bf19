import type { ObjectId } from 'mongodb';
import { toCall, type Call } from '../../models/video-call.model';
import type { ChannelAudience } from '../../services/kernel/domain-events';
import { readers, to, users, type BroadcastsOf, type WireEvent } from './broadcast.types';

/** Broadcasts of calls. */
export const callBroadcasts = {
  'call.changed': {
    // Sent while the audience is known to be current; `after` comes when the other nodes have confirmed the event.
    everywhere: ({ call, audience, rung, silent, removed }) => {
      const payload = { call: toCall(call) };
      const ended = { callId: payload.call.id, channelId: payload.call.channelId };
      return [
        ...(audience ? [to(audience, 'call:updated', payload)] : []),
        ...ringing(
          rung.filter((id) => !silent.some((one) => one.equals(id))),
          audience,
          payload,
          false,
        ),
        ...ringing(silent, audience, payload, true),
        ...(removed.length > 0 ? [to(users(...removed), 'call:removed', ended)] : []),
      ];
    },
  },
} satisfies BroadcastsOf<'call.changed'>;

function ringing(
  userIds: readonly ObjectId[],
  audience: ChannelAudience | null,
  payload: { call: Call },
  silent: boolean,
): WireEvent[] {
  return userIds.length > 0 ? [to(readers(userIds, audience), 'call:ringing', { ...payload, silent })] : [];
}
