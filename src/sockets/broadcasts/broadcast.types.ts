import type { ObjectId } from 'mongodb';
import type { ServerEvent, ServerPayload } from '../../models/kernel/server-events.model';
import type { ChannelAudience, DomainEventOf, DomainEventType } from '../../services/kernel/domain-events';
import type { EventStage } from '../../services/kernel/event-bus';

/** Who receives a wire event. */
export type Audience =
  | { kind: 'everyone' }
  /** Some users, on all their devices. */
  | { kind: 'users'; userIds: readonly ObjectId[] }
  /** All members of a group. */
  | { kind: 'group'; groupId: ObjectId }
  /** Those who read a channel, without some. */
  | (ChannelAudience & { excluded?: readonly ObjectId[] })
  /** Some sockets of this node. */
  | { kind: 'sockets'; socketIds: string[] };

/** An event as clients receive it. */
export type WireEvent = {
  [Name in ServerEvent]: { audience: Audience; name: Name; payload: ServerPayload<Name> };
}[ServerEvent];

/** Which sockets of this node are in an audience, by id. */
export interface SocketsOf {
  user(userId: string): Iterable<string>;
  group(groupId: string): Iterable<string>;
  channel(channelId: string): Iterable<string>;
}

/** Turns a domain event into the wire events that clients receive of it, in this order. */
export type ToWire<Event> = (event: Event, socketsOf: SocketsOf) => WireEvent[];

/**
 * What clients receive of a domain event, and in which stage of it; null if they receive nothing.
 * - `before`: while its audience is still there, for what takes an audience away.
 * - `everywhere`: each node sends it to its own clients.
 * - `after`: when it has taken effect on all nodes. This is the usual one.
 */
export type Broadcast<Event> = Partial<Record<EventStage, ToWire<Event>>> | null;

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

export function group(groupId: ObjectId): Audience {
  return { kind: 'group', groupId };
}
