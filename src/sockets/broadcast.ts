import type { ObjectId } from 'mongodb';
import type { AudienceChange, AudienceIndex } from '../services/access/audience-index';
import type { DomainEvent } from '../services/kernel/domain-events';
import type { EventBus, EventStage } from '../services/kernel/event-bus';
import type { Freshness } from '../services/kernel/freshness';
import type { NodeRelay } from '../services/kernel/node-relay';
import { BROADCASTS } from './broadcasts';
import type { Audience, SocketsOf, ToWire, WireEvent } from './broadcasts/broadcast.types';
import { EncodedEvent } from './encoded-event';
import { RevisionOrder } from './revision-order';
import { endSocket } from './socket-lifetime';
import type { SocketMetrics } from './socket-metrics';
import type { ParleyServer, ParleySocket } from './socket.types';

const userRoom = (id: ObjectId | string) => `user:${id.toString()}`;
const sessionRoom = (id: ObjectId) => `session:${id.toHexString()}`;
const groupRoom = (id: ObjectId | string) => `group:${id.toString()}`;
const channelRoom = (id: ObjectId | string) => `channel:${id.toString()}`;
/** The sockets of users who are banned from a public channel of a group that they are in. */
const bannedRoom = (id: ObjectId | string) => `banned:${id.toString()}`;

/** Events that wait until this node is fresh, at most. */
const MAX_HELD = 10_000;

const ROOM_OF = { group: groupRoom, channel: channelRoom, banned: bannedRoom } as const;
const STAGES = ['before', 'everywhere', 'after'] as const satisfies readonly EventStage[];
type Stage = (typeof STAGES)[number];

/**
 * Broadcasts domain events to open sockets. Only this class uses rooms: each socket is in the room of its user, of its
 * session, and of each audience that the audience index has for its user. BROADCASTS defines what clients receive for
 * an event.
 *
 * It works synchronously: a socket that loses access by an event receives nothing that is published after it. With several
 * nodes, a change of a channel may wait for the ones before it; its audience is decided when it is sent.
 */
export class Broadcaster {
  private readonly subscriptions: (() => void)[];
  private readonly order: RevisionOrder;
  private held: (() => void)[] = [];
  private hasDropped = false;
  private readonly socketsOf: SocketsOf = {
    user: (id) => this.idsIn(userRoom(id)),
    group: (id) => this.idsIn(groupRoom(id)),
    channel: (id) => this.idsIn(channelRoom(id)),
  };

  constructor(
    private readonly io: ParleyServer,
    bus: EventBus,
    private readonly audiences: AudienceIndex,
    private readonly metrics: Pick<SocketMetrics, 'recordBroadcast'>,
    private readonly freshness: Pick<Freshness, 'isFresh' | 'whenFresh'>,
    relay: Pick<NodeRelay, 'isConnected' | 'hasOthers'> | undefined,
  ) {
    this.order = new RevisionOrder(() => relay !== undefined && relay.isConnected && relay.hasOthers);
    this.subscriptions = [
      audiences.onChange((change) => this.move(change)),
      bus.subscribe((event) => this.closeSockets(event)),
      ...STAGES.map((stage) => bus.subscribe((event) => this.broadcast(stage, event), stage)),
    ];
  }

  stop(): void {
    for (const unsubscribe of this.subscriptions) unsubscribe();
    this.order.close();
  }

  /** Adds a socket to the rooms of its user, who must be in the audience index. */
  enter(socket: ParleySocket): void {
    const { userId, sessionId } = socket.data.caller;
    const { groupIds, channelIds, bannedFrom } = this.audiences.audiencesOf(userId.toHexString());
    void socket.join([
      userRoom(userId),
      sessionRoom(sessionId),
      ...[...groupIds].map(groupRoom),
      ...[...channelIds].map(channelRoom),
      ...[...bannedFrom].map(bannedRoom),
    ]);
  }

  private move({ userId, kind, id, present }: AudienceChange): void {
    const room = ROOM_OF[kind](id);
    for (const socket of this.socketsIn(userRoom(userId))) {
      if (present) void socket.join(room);
      else void socket.leave(room);
    }
  }

  private closeSockets(event: DomainEvent): void {
    if (event.type === 'session.revoked') {
      for (const socket of this.socketsIn(sessionRoom(event.sessionId))) endSocket(socket, event.reason);
    } else if (event.type === 'events.missed') {
      this.closeTransports();
    }
  }

  /** Clients whose transport closes reconnect at once, and their audiences are read again. */
  private closeTransports(): void {
    for (const socket of this.io.of('/').sockets.values()) socket.conn.close();
  }

  private broadcast(stage: Stage, event: DomainEvent): void {
    const toWire = BROADCASTS[event.type]?.[stage] as ToWire<DomainEvent> | undefined;
    if (!toWire) return;
    const send = (): void => {
      for (const wireEvent of toWire(event, this.socketsOf)) this.send(wireEvent);
    };
    const change = channelChangeOf(event);
    // An event that removes its audience cannot wait.
    if (stage === 'before') {
      send();
      if (change) this.order.skip(change.channelId.toHexString(), change.revision);
    } else if (change)
      this.order.pass(change.channelId.toHexString(), change.revision, () => this.whenFresh(send));
    else this.whenFresh(send);
  }

  /**
   * Sends something when this node is fresh: before that, users may have lost access whom it still has in the audience.
   * What waits is sent in order.
   */
  private whenFresh(send: () => void): void {
    if (this.held.length === 0 && this.freshness.isFresh) return send();
    if (this.held.length === 0) this.freshness.whenFresh(() => this.release());
    if (this.held.length < MAX_HELD) this.held.push(send);
    else this.hasDropped = true;
  }

  private release(): void {
    const { held, hasDropped } = this;
    this.held = [];
    this.hasDropped = false;
    for (const send of held) send();
    // The clients catch up when they connect again.
    if (hasDropped) this.closeTransports();
  }

  /** Sends a wire event to its audience on this node. */
  private send({ audience, name, payload }: WireEvent): void {
    const event = new EncodedEvent(name, payload);
    const { sockets } = this.io.of('/');
    let recipients = 0;
    for (const id of this.idsOf(audience)) {
      const socket = sockets.get(id);
      if (!socket) continue;
      event.sendTo(socket.conn);
      recipients++;
    }
    this.metrics.recordBroadcast(name, recipients);
  }

  private idsOf(audience: Audience): Iterable<string> {
    if (audience.kind === 'everyone') return this.io.of('/').sockets.keys();
    if (audience.kind === 'sockets') return new Set(audience.socketIds);
    if (audience.kind === 'users' && audience.readersOf) {
      const reading = new Set(this.idsOf(audience.readersOf));
      return [...this.idsInAny(audience.userIds.map(userRoom))].filter((id) => reading.has(id));
    }
    const { to, except } = roomsOf(audience);
    // Usually nobody is excluded, and there is one room, which is not copied.
    const ids = to.length === 1 ? this.idsIn(to[0]!) : this.idsInAny(to);
    const excluded = this.idsInAny(except);
    return excluded.size === 0 ? ids : [...ids].filter((id) => !excluded.has(id));
  }

  private idsInAny(rooms: readonly string[]): Set<string> {
    return new Set(rooms.flatMap((room) => [...this.idsIn(room)]));
  }

  private idsIn(room: string): Iterable<string> {
    return this.io.of('/').adapter.rooms.get(room) ?? [];
  }

  private socketsIn(room: string): ParleySocket[] {
    const { sockets } = this.io.of('/');
    return [...this.idsIn(room)].flatMap((id) => sockets.get(id) ?? []);
  }
}

/** The change of a channel that clients apply in the order of revisions; undefined if the event is none. */
function channelChangeOf(event: DomainEvent): { channelId: ObjectId; revision: number } | undefined {
  switch (event.type) {
    case 'message.created':
    case 'message.edited':
    case 'message.updated':
    case 'message.deleted':
      return event.message;
    case 'channel.updated':
    case 'channel.opened':
    case 'channel_member.added':
    case 'channel_member.removed':
      return { channelId: event.channel._id, revision: event.channel.revision };
    case 'channel_members.cleared':
      return event;
    default:
      return undefined;
  }
}

/** The rooms whose sockets receive an event for this audience, and the rooms whose sockets are excluded. */
function roomsOf(audience: Exclude<Audience, { kind: 'everyone' | 'sockets' }>): {
  to: string[];
  except: string[];
} {
  switch (audience.kind) {
    case 'users':
      return { to: audience.userIds.map(userRoom), except: [] };
    case 'group':
      return { to: [groupRoom(audience.groupId)], except: [] };
    case 'public_channel':
      return {
        to: [groupRoom(audience.groupId)],
        except: [bannedRoom(audience.channelId), ...(audience.excluded ?? []).map(userRoom)],
      };
    case 'channel':
      return { to: [channelRoom(audience.channelId)], except: (audience.excluded ?? []).map(userRoom) };
  }
}
