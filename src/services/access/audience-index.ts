import { ObjectId } from 'mongodb';
import type { ChannelAudience, DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { UserAudiences } from './read-access';
import { RecentChanges } from './recent-changes';

/** The audiences of a connected user: ids in hexadecimal digits. */
export interface AudiencesOfUser {
  groupIds: Iterable<string>;
  /** Private channels and direct conversations that they read. */
  channelIds: Iterable<string>;
  /** Public channels that they are banned from. */
  bannedFrom: Iterable<string>;
}

/** A connected user has entered or left an audience. `banned` is the audience that a public channel excludes. */
export interface AudienceChange {
  userId: string;
  kind: 'group' | 'channel' | 'banned';
  id: string;
  present: boolean;
}

interface Entry {
  /** Whether the user is connected to this node. */
  isLocal: boolean;
  groups: Set<string>;
  /** The group of each private channel and direct conversation, by the channel's id. */
  channels: Map<string, string | null>;
  banned: Set<string>;
}

const NOBODY: ReadonlySet<string> = new Set();

/**
 * The audiences of the connected users: members of groups, members of private channels, and users who are banned from
 * public channels. The rooms of sockets and presence follow it. It is filled from `Access.readable` when a user connects,
 * or by the node that they are connected to, and updated by domain events after that, so it needs no queries, and its
 * memory grows only with the connected users of all nodes.
 *
 * It applies events synchronously: a user who loses access by an event is in no audience of what is published after it.
 */
export class AudienceIndex {
  private readonly users = new Map<string, Entry>();
  private readonly members: Record<AudienceChange['kind'], Map<string, Set<string>>> = {
    group: new Map(),
    channel: new Map(),
    banned: new Map(),
  };
  private readonly listeners = new Set<(change: AudienceChange) => void>();
  /** When the audiences of users changed, and when groups and channels lost all members. */
  private readonly changes = new RecentChanges();

  /**
   * @param readsGrants whether what a user of this node gains by an event is read from the database (`AudienceRefresh`), and
   *   the event alone gives nothing.
   */
  constructor(
    bus: EventBus,
    private readonly readsGrants = false,
  ) {
    bus.subscribe((event) => this.handle(event));
  }

  /**
   * Calls the listener synchronously for each change, except while a user is added or removed.
   * @returns a function that removes the listener.
   */
  onChange(listener: (change: AudienceChange) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A mark to take before the audiences of a user are read: `enter` uses it to detect changes since then. */
  mark(): number {
    return this.changes.mark();
  }

  /**
   * Adds a user who connects to their audiences; on a further connection, updates these.
   * @param audiences as read after `mark` was taken.
   * @returns false, and changes nothing, if they may have changed since then.
   */
  enter(userId: ObjectId, audiences: UserAudiences, mark: number): boolean {
    if (this.changes.changedSince(mark, keysOf(userId, audiences))) return false;
    this.set(userId, audiences, true);
    return true;
  }

  /** Adds a user who is connected to another node, or updates their audiences, as that node has them. */
  enterRemote(userId: ObjectId, audiences: UserAudiences): void {
    this.set(userId, audiences, false);
  }

  /** Whether the user is connected to this node, and what they gain is read from the database. */
  readsGrantsOf(userId: ObjectId): boolean {
    return this.readsGrants && (this.users.get(hex(userId))?.isLocal ?? false);
  }

  /** The ids of the users who are connected to this node. */
  usersOfThisNode(): ObjectId[] {
    return [...this.users].filter(([, { isLocal }]) => isLocal).map(([id]) => new ObjectId(id));
  }

  private set(userId: ObjectId, audiences: UserAudiences, isLocal: boolean): void {
    const key = userId.toHexString();
    const known = this.users.get(key);
    const quiet = known === undefined;
    const entry = known ?? { isLocal, groups: new Set(), channels: new Map(), banned: new Set() };
    entry.isLocal = isLocal;
    this.users.set(key, entry);
    const now = {
      group: new Set(audiences.groupIds.map(hex)),
      banned: new Set(audiences.bannedFrom.map(hex)),
      channel: new Set(audiences.privateChannels.map(({ channelId }) => hex(channelId))),
    };
    for (const id of [...(known?.groups ?? [])]) if (!now.group.has(id)) this.leaveGroup(key, id);
    for (const id of [...(known?.banned ?? [])])
      if (!now.banned.has(id)) this.change(key, 'banned', id, false);
    for (const id of [...(known?.channels.keys() ?? [])])
      if (!now.channel.has(id)) this.leaveChannel(key, id);
    for (const id of now.group) this.change(key, 'group', id, true, quiet);
    for (const id of now.banned) this.change(key, 'banned', id, true, quiet);
    for (const { channelId, groupId } of audiences.privateChannels) {
      this.enterChannel(key, hex(channelId), groupId && hex(groupId), quiet);
    }
  }

  /** Removes a user who is no longer connected. */
  leave(userId: string): void {
    const entry = this.users.get(userId);
    if (!entry) return;
    this.users.delete(userId);
    for (const id of entry.groups) this.remove('group', id, userId);
    for (const id of entry.channels.keys()) this.remove('channel', id, userId);
    for (const id of entry.banned) this.remove('banned', id, userId);
  }

  /** The audiences of a connected user; empty for any other user. */
  audiencesOf(userId: string): AudiencesOfUser {
    const entry = this.users.get(userId);
    return {
      groupIds: entry?.groups ?? [],
      channelIds: entry?.channels.keys() ?? [],
      bannedFrom: entry?.banned ?? [],
    };
  }

  /** The audiences of a connected user, for another node. */
  describe(userId: string): UserAudiences {
    const entry = this.users.get(userId);
    return {
      groupIds: [...(entry?.groups ?? [])].map((id) => new ObjectId(id)),
      privateChannels: [...(entry?.channels ?? [])].map(([channelId, groupId]) => ({
        channelId: new ObjectId(channelId),
        groupId: groupId === null ? null : new ObjectId(groupId),
      })),
      bannedFrom: [...(entry?.banned ?? [])].map((id) => new ObjectId(id)),
    };
  }

  /** The connected users who read a channel, by id in hexadecimal digits. */
  readers(audience: ChannelAudience): string[] {
    if (audience.kind === 'channel') return [...this.membersOf('channel', audience.channelId)];
    const banned = this.membersOf('banned', audience.channelId);
    return [...this.membersOf('group', audience.groupId)].filter((id) => !banned.has(id));
  }

  /** The number of connected users who read a channel, without the hidden ones. */
  countReaders(audience: ChannelAudience, hidden: ReadonlySet<string>): number {
    if (audience.kind === 'channel') {
      const members = this.membersOf('channel', audience.channelId);
      return members.size - overlap(members, hidden);
    }
    const members = this.membersOf('group', audience.groupId);
    const banned = [...this.membersOf('banned', audience.channelId)].filter((id) => !hidden.has(id));
    return members.size - overlap(members, hidden) - overlap(members, new Set(banned));
  }

  private handle(event: DomainEvent): void {
    switch (event.type) {
      case 'group.created':
        this.recordUser(event.owner.userId);
        if (this.readsGrantsOf(event.owner.userId)) break;
        this.change(hex(event.owner.userId), 'group', hex(event.group._id), true);
        break;
      case 'member.added':
        this.recordUser(event.membership.userId);
        if (this.readsGrantsOf(event.membership.userId)) break;
        this.change(hex(event.membership.userId), 'group', hex(event.group._id), true);
        break;
      case 'member.removed':
        this.recordUser(event.userId);
        this.leaveGroup(hex(event.userId), hex(event.groupId));
        break;
      case 'group.deleted':
        this.changes.record(`group:${hex(event.groupId)}`);
        for (const userId of [...this.membersOf('group', event.groupId)])
          this.leaveGroup(userId, hex(event.groupId));
        break;
      case 'channel_ban.added':
        this.recordUser(event.userId);
        this.leaveChannel(hex(event.userId), hex(event.channelId));
        this.change(hex(event.userId), 'banned', hex(event.channelId), true);
        break;
      case 'channel_ban.ended':
        this.recordUser(event.userId);
        if (this.readsGrantsOf(event.userId)) break;
        this.change(hex(event.userId), 'banned', hex(event.channelId), false);
        if (event.isMember) this.enterChannel(hex(event.userId), hex(event.channelId), hex(event.groupId));
        break;
      case 'channel_member.added': {
        const { _id, groupId } = event.channel;
        this.recordUser(event.userId);
        if (this.readsGrantsOf(event.userId)) break;
        this.enterChannel(hex(event.userId), hex(_id), groupId && hex(groupId));
        break;
      }
      case 'channel_member.removed':
        this.recordUser(event.userId);
        this.leaveChannel(hex(event.userId), hex(event.channel._id));
        break;
      case 'channel.deleted':
        this.clearChannel(event.channel._id);
        break;
      case 'channel_members.cleared':
        this.clearChannel(event.channelId);
        break;
      // A handshake has read more than audiences: the session, the account, and the presence settings.
      case 'user.changed':
      case 'session.revoked':
        this.recordUser(event.userId);
        break;
      case 'preferences.changed':
        this.recordUser(event.preferences._id);
        break;
      case 'events.missed':
        this.changes.recordAll();
        break;
      default:
      // No other event changes an audience.
    }
  }

  private leaveGroup(userId: string, groupId: string): void {
    this.change(userId, 'group', groupId, false);
    for (const [channelId, itsGroup] of this.users.get(userId)?.channels ?? []) {
      if (itsGroup === groupId) this.leaveChannel(userId, channelId);
    }
  }

  /** Adds a reader of a private channel, except one who is not in its group or is banned from it. */
  private enterChannel(userId: string, channelId: string, groupId: string | null, quiet = false): void {
    const entry = this.users.get(userId);
    if (!entry || (groupId !== null && !entry.groups.has(groupId)) || entry.banned.has(channelId)) return;
    this.change(userId, 'channel', channelId, true, quiet);
    entry.channels.set(channelId, groupId);
  }

  private leaveChannel(userId: string, channelId: string): void {
    this.change(userId, 'channel', channelId, false);
    this.users.get(userId)?.channels.delete(channelId);
  }

  private clearChannel(channelId: ObjectId): void {
    const key = hex(channelId);
    this.changes.record(`channel:${key}`);
    for (const userId of [...this.membersOf('channel', channelId)]) this.leaveChannel(userId, key);
  }

  /** @param quiet whether listeners are not called. */
  private change(
    userId: string,
    kind: AudienceChange['kind'],
    id: string,
    present: boolean,
    quiet = false,
  ): void {
    const entry = this.users.get(userId);
    if (!entry || (this.members[kind].get(id)?.has(userId) ?? false) === present) return;
    if (present) this.add(kind, id, userId);
    else this.remove(kind, id, userId);
    if (kind !== 'channel') {
      const own = kind === 'group' ? entry.groups : entry.banned;
      if (present) own.add(id);
      else own.delete(id);
    }
    if (!quiet) for (const listener of this.listeners) listener({ userId, kind, id, present });
  }

  private membersOf(kind: AudienceChange['kind'], id: ObjectId): ReadonlySet<string> {
    return this.members[kind].get(hex(id)) ?? NOBODY;
  }

  private add(kind: AudienceChange['kind'], id: string, userId: string): void {
    const members = this.members[kind].get(id);
    if (members) members.add(userId);
    else this.members[kind].set(id, new Set([userId]));
  }

  private remove(kind: AudienceChange['kind'], id: string, userId: string): void {
    const members = this.members[kind].get(id);
    if (members?.delete(userId) && members.size === 0) this.members[kind].delete(id);
  }

  private recordUser(userId: ObjectId): void {
    this.changes.record(`user:${hex(userId)}`);
  }
}

/** The keys of all changes that affect the audiences of a user. */
function* keysOf(userId: ObjectId, { groupIds, privateChannels }: UserAudiences): Generator<string> {
  yield `user:${hex(userId)}`;
  for (const id of groupIds) yield `group:${hex(id)}`;
  for (const { channelId } of privateChannels) yield `channel:${hex(channelId)}`;
}

function hex(id: ObjectId): string {
  return id.toHexString();
}

function overlap(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const [smaller, larger] = one.size < other.size ? [one, other] : [other, one];
  let count = 0;
  for (const each of smaller) if (larger.has(each)) count++;
  return count;
}
