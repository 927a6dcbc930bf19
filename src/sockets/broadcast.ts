import type { ObjectId } from 'mongodb';
import { toMaintenance } from '../models/operations/maintenance.model';
import type { ServerEvent, ServerPayload } from '../models/kernel/server-events.model';
import type { UserAudiences } from '../services/access/read-access';
import type {
  Audience,
  ClientEventOf,
  DomainEvent,
  EventBus,
  PresenceChange,
} from '../services/kernel/event-bus';
import { endSocket } from './socket-lifetime';
import type { ParleyServer, ParleySocket } from './socket.types';

const userRoom = (id: ObjectId | string) => `user:${id.toString()}`;
const sessionRoom = (id: ObjectId) => `session:${id.toHexString()}`;
const groupRoom = (id: ObjectId | string) => `group:${id.toString()}`;
const channelRoom = (id: ObjectId | string) => `channel:${id.toString()}`;

/** A room that nobody is in. */
const NOBODY = 'nobody';
/** The sockets of those who are banned from a public channel of a group that they hear. */
const bannedRoom = (channelId: ObjectId) => `banned:${channelId.toHexString()}`;

/**
 * Carries domain events to open sockets. The only place that knows rooms: a socket is in one for its user, its
 * session, each group and each private channel of the user, and events go to rooms.
 *
 * Every listener does its work synchronously, so a socket that an event shuts out hears nothing that is
 * published after it.
 */
export class Broadcaster {
  /** Counts the changes of what anybody may hear. */
  private epoch = 0;
  /** The epoch at which it last changed for each user. */
  private readonly changedAt = new Map<string, number>();
  /** For users who are not in `changedAt` it may have changed up to here. */
  private forgottenUpTo = 0;
  private readonly unsubscribe: () => void;

  constructor(
    private readonly io: ParleyServer,
    bus: EventBus,
  ) {
    this.unsubscribe = bus.subscribe((event) => this.handle(event));
  }

  stop(): void {
    this.unsubscribe();
  }

  /** Taken before a socket's rights are read; `enter` tells whether they may have changed since. */
  mark(): number {
    return this.epoch;
  }

  /**
   * Lets a socket hear what its user may hear.
   * @param audiences as read after `mark` was taken.
   * @returns false, and lets it hear nothing, if what the user may hear has changed since then.
   */
  enter(socket: ParleySocket, audiences: UserAudiences, mark: number): boolean {
    const { userId, sessionId } = socket.data.caller;
    const changed = this.changedAt.get(userId.toHexString()) ?? this.forgottenUpTo;
    if (changed > mark) return false;
    void socket.join([userRoom(userId), sessionRoom(sessionId), ...audiences.groupIds.map(groupRoom)]);
    for (const { channelId, groupId } of audiences.privateChannels) {
      joinPrivateChannel(socket, channelId, groupId);
    }
    void socket.join(audiences.bannedFrom.map(bannedRoom));
    return true;
  }

  private handle(event: DomainEvent): void {
    switch (event.type) {
      case 'client':
        this.emit(event);
        break;
      case 'member.added':
        this.noteChange(event.userId);
        this.io.in(userRoom(event.userId)).socketsJoin(groupRoom(event.groupId));
        break;
      case 'member.removed':
        this.noteChange(event.userId);
        for (const socket of this.socketsOf(event.userId)) leaveGroup(socket, event.groupId);
        break;
      case 'group.deleted':
        for (const socket of this.socketsIn(groupRoom(event.groupId))) {
          this.noteChange(socket.data.caller.userId);
          leaveGroup(socket, event.groupId);
        }
        break;
      case 'channel_ban.added':
        this.noteChange(event.userId);
        for (const socket of this.socketsOf(event.userId)) {
          leaveChannel(socket, event.channelId.toHexString());
          void socket.join(bannedRoom(event.channelId));
        }
        break;
      case 'channel_ban.ended':
        this.noteChange(event.userId);
        for (const socket of this.socketsOf(event.userId)) {
          void socket.leave(bannedRoom(event.channelId));
          if (event.isMember) joinPrivateChannel(socket, event.channelId, event.groupId);
        }
        break;
      case 'channel_member.added':
        this.noteChange(event.userId);
        for (const socket of this.socketsOf(event.userId)) {
          joinPrivateChannel(socket, event.channelId, event.groupId);
        }
        break;
      case 'channel_member.removed':
        this.noteChange(event.userId);
        for (const socket of this.socketsOf(event.userId))
          leaveChannel(socket, event.channelId.toHexString());
        break;
      case 'channel_members.cleared':
        for (const socket of this.socketsIn(channelRoom(event.channelId))) {
          this.noteChange(socket.data.caller.userId);
          leaveChannel(socket, event.channelId.toHexString());
        }
        break;
      case 'preferences.changed':
        // How the user is seen follows from them: a socket on its way has read what they were before.
        this.noteChange(event.userId);
        break;
      case 'presence.changed':
        this.tellPresence(event.changes);
        break;
      case 'block.changed':
        // Two who have blocked each other go on hearing the same channels.
        break;
      case 'user.changed':
        this.noteChange(event.userId);
        break;
      case 'session.revoked':
        this.noteChange(event.userId);
        for (const socket of this.socketsIn(sessionRoom(event.sessionId))) endSocket(socket, event.reason);
        break;
      case 'maintenance.changed':
        // Every node tells its own clients.
        this.io.local.emit('maintenance:changed', toMaintenance(event.state));
        break;
      case 'events.missed':
        this.noteChangeOfAll();
        // Closing the transport makes clients come again at once, and what they may hear is read anew.
        for (const socket of this.io.of('/').sockets.values()) socket.conn.close();
        break;
    }
  }

  /**
   * Each socket is told all that concerns it in one event, and those whom the same concerns get it in one and the
   * same encoding: the cost grows with those who are told, not with their number times that of the changes.
   */
  private tellPresence(changes: readonly PresenceChange[]): void {
    const byRoom = new Map<string, PresenceChange[]>();
    for (const change of changes) {
      for (const room of roomsAround(change)) {
        const known = byRoom.get(room);
        if (known) known.push(change);
        else byRoom.set(room, [change]);
      }
    }
    const heardBy = new Map<string, string[]>();
    const { rooms: members } = this.io.of('/').adapter;
    for (const room of byRoom.keys()) {
      for (const socketId of members.get(room) ?? []) {
        const rooms = heardBy.get(socketId);
        if (rooms) rooms.push(room);
        else heardBy.set(socketId, [room]);
      }
    }
    const alike = new Map<string, { rooms: string[]; socketIds: string[] }>();
    for (const [socketId, rooms] of heardBy) {
      const key = rooms.join();
      const those = alike.get(key);
      if (those) those.socketIds.push(socketId);
      else alike.set(key, { rooms, socketIds: [socketId] });
    }
    for (const { rooms, socketIds } of alike.values()) {
      const payload = toPresenceChanged(new Set(rooms.flatMap((room) => byRoom.get(room) ?? [])));
      this.io.local.to(socketIds).emit('presence:changed', payload);
    }
  }

  /** Everybody hears what the payload says in one and the same encoding. */
  private emit({ audience, name, payload }: ClientEventOf<ServerEvent>): void {
    const rooms = roomsOf(audience);
    const emitter = rooms === 'all' ? this.io : this.io.to(rooms.to).except(rooms.except);
    (emitter.emit as (name: string, payload: unknown) => void).call(emitter, name, payload);
  }

  /** Bounded: when too many users are remembered, all are forgotten, and count as changed just now. */
  private noteChange(userId: ObjectId): void {
    if (this.changedAt.size >= 10_000) this.noteChangeOfAll();
    this.changedAt.set(userId.toHexString(), ++this.epoch);
  }

  private noteChangeOfAll(): void {
    this.changedAt.clear();
    this.forgottenUpTo = ++this.epoch;
  }

  private socketsOf(userId: ObjectId): ParleySocket[] {
    return this.socketsIn(userRoom(userId));
  }

  private socketsIn(room: string): ParleySocket[] {
    const { adapter, sockets } = this.io.of('/');
    return [...(adapter.rooms.get(room) ?? [])].flatMap((id) => sockets.get(id) ?? []);
  }
}

function roomsAround({ userId, groupIds, channelIds }: PresenceChange): string[] {
  return [userRoom(userId), ...groupIds.map(groupRoom), ...channelIds.map(channelRoom)];
}

function toPresenceChanged(changes: Iterable<PresenceChange>): ServerPayload<'presence:changed'> {
  const payload: ServerPayload<'presence:changed'> = {
    online: [],
    away: [],
    do_not_disturb: [],
    offline: [],
  };
  for (const { userId, status } of changes) payload[status].push(userId);
  return payload;
}

/** The rooms whose sockets hear what is for an audience, and those whose sockets do not. */
function roomsOf(audience: Audience): { to: string[]; except: string[] } | 'all' {
  switch (audience.kind) {
    case 'everyone':
      return 'all';
    case 'users':
      // An empty list of rooms would be everybody.
      return { to: audience.userIds.length > 0 ? audience.userIds.map(userRoom) : [NOBODY], except: [] };
    case 'group':
      return { to: [groupRoom(audience.groupId)], except: (audience.leaveOut ?? []).map(userRoom) };
    case 'public_channel':
      return {
        to: [groupRoom(audience.groupId)],
        except: [bannedRoom(audience.channelId), ...(audience.leaveOut ?? []).map(userRoom)],
      };
    case 'channel':
      return { to: [channelRoom(audience.channelId)], except: (audience.leaveOut ?? []).map(userRoom) };
  }
}

/** A private channel of a group is heard by those who hear the group, which comes first, and are not banned from it. */
function joinPrivateChannel(socket: ParleySocket, channelId: ObjectId, groupId: ObjectId | null): void {
  if (groupId && !socket.rooms.has(groupRoom(groupId))) return;
  if (socket.rooms.has(bannedRoom(channelId))) return;
  socket.data.privateChannels.set(channelId.toHexString(), groupId?.toHexString() ?? null);
  void socket.join(channelRoom(channelId));
}

function leaveChannel(socket: ParleySocket, channelId: string): void {
  socket.data.privateChannels.delete(channelId);
  void socket.leave(channelRoom(channelId));
}

function leaveGroup(socket: ParleySocket, groupId: ObjectId): void {
  void socket.leave(groupRoom(groupId));
  for (const [channelId, itsGroup] of socket.data.privateChannels) {
    if (itsGroup === groupId.toHexString()) leaveChannel(socket, channelId);
  }
}
