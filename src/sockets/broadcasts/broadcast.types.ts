import type { ObjectId } from 'mongodb';
import type { ServerEvent, ServerPayload } from '../../models/kernel/server-events.model';
import type { ChannelAudience, DomainEventOf, DomainEventType } from '../../services/kernel/domain-events';
import type { EventStage } from '../../services/kernel/event-bus';

/** Who receives a wire event. */
export type Audience =
  | { kind: 'everyone' }
  /** Some users, on all their devices. With `readersOf`, those of them who still read a channel. */
  | { kind: 'users'; userIds: readonly ObjectId[]; readersOf?: ChannelAudience | null }
  /** All members of a group. */
  | { kind: 'group'; groupId: ObjectId }
  /** The readers of a channel, except some users. */
  | (ChannelAudience & { excluded?: readonly ObjectId[] })
  /** Some sockets of this node. */
  | { kind: 'sockets'; socketIds: string[] };

/** An event as clients receive it. */
export type WireEvent = {
  [Name in ServerEvent]: { audience: Audience; name: Name; payload: ServerPayload<Name> };
}[ServerEvent];

/** Finds the ids of the sockets of this node that are in an audience. */
export interface SocketsOf {
  user(userId: string): Iterable<string>;
  group(groupId: string): Iterable<string>;
  channel(channelId: string): Iterable<string>;
}

/** Converts a domain event to the wire events that clients receive for it, in this order. */
export type ToWire<Event> = (event: Event, socketsOf: SocketsOf) => WireEvent[];

/**
 * What clients receive for a domain event, and at which stage; null if they receive nothing. Each node
 * sends it to its own clients.
 * - `before`: before the event removes its audience.
 * - `everywhere`: while the audience is known to be current.
 * - `after`: when the event has taken effect. This is the usual stage.
 */
export type Broadcast<Event> = Partial<Record<Exclude<EventStage, 'publisher'>, ToWire<Event>>> | null;

/** The broadcasts of some types of domain events. */
export type BroadcastsOf<Type extends DomainEventType> = { [Each in Type]: Broadcast<DomainEventOf<Each>> };

/** Builds a wire event. */
export function to<Name extends ServerEvent>(
  audience: Audience,
  name: Name,
  payload: ServerPayload<Name>,
): WireEvent {
  return { audience, name, payload } as WireEvent;
}

export function everyone(): Audience {
  return { kind: 'everyone' };
}

export function users(...userIds: readonly ObjectId[]): Audience {
  return { kind: 'users', userIds };
}

/** Those of some users who read a channel when the event is sent; all of them if there is no channel. */
export function readers(userIds: readonly ObjectId[], readersOf: ChannelAudience | null): Audience {
  return { kind: 'users', userIds, readersOf };
}

export function group(groupId: ObjectId): Audience {
  return { kind: 'group', groupId };
}
