import type { ServerPayload } from '../../models/kernel/server-events.model';
import type { DomainEventOf, PresenceChange } from '../../services/kernel/domain-events';
import { to, type SocketsOf, type WireEvent } from './broadcast.types';

/**
 * Each socket receives all changes that concern it in one event, and sockets that the same changes concern share one
 * encoding: the cost grows with the number of sockets, not with that number times the number of changes.
 */
export function presenceChanged(
  { changes: all }: DomainEventOf<'presence.changed'>,
  socketsOf: SocketsOf,
): WireEvent[] {
  const byPlace = new Map<string, { changes: PresenceChange[]; sockets: Iterable<string> }>();
  const add = (place: string, change: PresenceChange, sockets: () => Iterable<string>) => {
    const known = byPlace.get(place);
    if (known) known.changes.push(change);
    else byPlace.set(place, { changes: [change], sockets: sockets() });
  };
  for (const change of all) {
    const { userId, groupIds, channelIds } = change;
    add(`user:${userId}`, change, () => socketsOf.user(userId));
    for (const id of groupIds) add(`group:${id}`, change, () => socketsOf.group(id));
    for (const id of channelIds) add(`channel:${id}`, change, () => socketsOf.channel(id));
  }
  const placesOf = new Map<string, string[]>();
  for (const [place, { sockets }] of byPlace) {
    for (const socketId of sockets) {
      const places = placesOf.get(socketId);
      if (places) places.push(place);
      else placesOf.set(socketId, [place]);
    }
  }
  const alike = new Map<string, { places: string[]; socketIds: string[] }>();
  for (const [socketId, places] of placesOf) {
    const key = places.join();
    const those = alike.get(key);
    if (those) those.socketIds.push(socketId);
    else alike.set(key, { places, socketIds: [socketId] });
  }
  return [...alike.values()].map(({ places, socketIds }) => {
    const concerning = new Set(places.flatMap((place) => byPlace.get(place)?.changes ?? []));
    return to({ kind: 'sockets', socketIds }, 'presence:changed', toPayload(concerning));
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
