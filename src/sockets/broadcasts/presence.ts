import type { ServerPayload } from '../../models/kernel/server-events.model';
import type { DomainEventOf, PresenceChange } from '../../services/kernel/domain-events';
import { to, type SocketsOf, type WireEvent } from './broadcast.types';

/**
 * Sends each socket all changes that are relevant to it in one event. Sockets with the same relevant changes share one
 * encoding, so the cost grows with the number of sockets, not with that number times the number of changes.
 */
export function presenceChanged(
  { changes: all }: DomainEventOf<'presence.changed'>,
  socketsOf: SocketsOf,
): WireEvent[] {
  const byAudience = new Map<string, { changes: PresenceChange[]; sockets: Iterable<string> }>();
  const add = (audience: string, change: PresenceChange, sockets: () => Iterable<string>) => {
    const known = byAudience.get(audience);
    if (known) known.changes.push(change);
    else byAudience.set(audience, { changes: [change], sockets: sockets() });
  };
  for (const change of all) {
    const { userId, groupIds, channelIds } = change;
    add(`user:${userId}`, change, () => socketsOf.user(userId));
    for (const id of groupIds) add(`group:${id}`, change, () => socketsOf.group(id));
    for (const id of channelIds) add(`channel:${id}`, change, () => socketsOf.channel(id));
  }
  const audiencesOf = new Map<string, string[]>();
  for (const [audience, { sockets }] of byAudience) {
    for (const socketId of sockets) {
      const audiences = audiencesOf.get(socketId);
      if (audiences) audiences.push(audience);
      else audiencesOf.set(socketId, [audience]);
    }
  }
  const groups = new Map<string, { audiences: string[]; socketIds: string[] }>();
  for (const [socketId, audiences] of audiencesOf) {
    const key = audiences.join();
    const group = groups.get(key);
    if (group) group.socketIds.push(socketId);
    else groups.set(key, { audiences, socketIds: [socketId] });
  }
  return [...groups.values()].map(({ audiences, socketIds }) => {
    const relevant = new Set(audiences.flatMap((audience) => byAudience.get(audience)?.changes ?? []));
    return to({ kind: 'sockets', socketIds }, 'presence:changed', toPayload(relevant));
  });
}

function toPayload(changes: Iterable<PresenceChange>): ServerPayload<'presence:changed'> {
  const payload: ServerPayload<'presence:changed'> = {
    online: [],
    away: [],
    do_not_disturb: [],
    offline: [],
  };
  for (const { userId, status } of changes) payload[status].push(userId);
  return payload;
}
