import type { ObjectId } from 'mongodb';
import type { ServerEvent } from '../models/server-events.model';
import type { UserAudiences } from '../services/access';
import type { Audience, ClientEventOf, DomainEvent, EventBus } from '../services/event-bus';
import type { Connections } from '../services/presence.service';
import { endSocket } from './socket-lifetime';
import type { ParleyServer, ParleySocket } from './socket.types';

const userRoom = (id: ObjectId) => `user:${id.toHexString()}`;
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
export class Broadcaster implements Connections {
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

  countPeople(audiences: readonly Audience[]): number[] {
    // Many channels of one group are asked for together: who hears the group is looked up once.
    const known = new Map<string | undefined, Set<string>>();
    const peopleIn = (room: string | undefined): Set<string> => {
      const found = known.get(room);
      if (found) return found;
      const sockets = room === undefined ? [...this.io.of('/').sockets.values()] : this.socketsIn(room);
      const people = new Set(sockets.map(({ data }) => data.caller.userId.toHexString()));
      known.set(room, people);
      return people;
    };
    return audiences.map((audience) => {
      const rooms = roomsOf(audience);
      if (rooms === 'all') return peopleIn(undefined).size;
      const except = new Set(rooms.except.flatMap((room) => [...peopleIn(room)]));
      const only = rooms.to.length === 1 ? peopleIn(rooms.to[0]) : undefined;
      const people = only ?? new Set(rooms.to.flatMap((room) => [...peopleIn(room)]));
      return people.size - [...except].filter((id) => people.has(id)).length;
    });
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
        for (const socket of this.socketsOf(event.userId)) void socket.leave(bannedRoom(event.channelId));
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
      case 'user.changed':
        this.noteChange(event.userId);
        for (const { data } of this.socketsOf(event.userId)) {
          data.caller = { ...data.caller, role: event.role };
        }
        break;
      case 'session.revoked':
        this.noteChange(event.userId);
        for (const socket of this.socketsIn(sessionRoom(event.sessionId))) endSocket(socket, event.reason);
        break;
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
    this.epoch++;
    if (this.changedAt.size >= 10_000) {
      this.changedAt.clear();
      this.forgottenUpTo = this.epoch;
    }
    this.changedAt.set(userId.toHexString(), this.epoch);
  }

  private socketsOf(userId: ObjectId): ParleySocket[] {
    return this.socketsIn(userRoom(userId));
  }

  private socketsIn(room: string): ParleySocket[] {
    const { adapter, sockets } = this.io.of('/');
    return [...(adapter.rooms.get(room) ?? [])].flatMap((id) => sockets.get(id) ?? []);
  }
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
      return { to: [channelRoom(audience.channelId)], except: [] };
  }
}

/** A private channel of a group is heard only by those who hear the group: the two may come in either order. */
function joinPrivateChannel(socket: ParleySocket, channelId: ObjectId, groupId: ObjectId | null): void {
  if (groupId && !socket.rooms.has(groupRoom(groupId))) return;
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
