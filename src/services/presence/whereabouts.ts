import type { ObjectId } from 'mongodb';
import type { UserAudiences } from '../access/read-access';
import type { ChannelAudience, DomainEvent } from '../kernel/event-bus';

/** Where somebody meets others: groups and private channels, by their ids. */
export interface Places {
  groupIds: string[];
  channelIds: string[];
}

interface Person {
  groups: Set<string>;
  /** Private channels and direct conversations, and the group of each. */
  channels: Map<string, string | null>;
  bannedFrom: Set<string>;
}

const NOBODY: ReadonlySet<string> = new Set();

/** People by place. */
class Crowds {
  private readonly places = new Map<string, Set<string>>();

  in(place: string): ReadonlySet<string> {
    return this.places.get(place) ?? NOBODY;
  }

  add(place: string, person: string): void {
    const crowd = this.places.get(place);
    if (crowd) crowd.add(person);
    else this.places.set(place, new Set([person]));
  }

  remove(place: string, person: string): void {
    const crowd = this.places.get(place);
    if (crowd?.delete(person) && crowd.size === 0) this.places.delete(place);
  }
}

/**
 * Where the people who are present meet others, kept in step by the same events as open sockets are. So what
 * somebody's coming and going costs depends on who is there, and no query is needed to tell them.
 */
export class Whereabouts {
  private readonly people = new Map<string, Person>();
  private readonly inGroup = new Crowds();
  private readonly inChannel = new Crowds();
  private readonly bannedFrom = new Crowds();

  /** Notes where somebody is: anew for each of their connections. */
  put(userId: string, { groupIds, privateChannels, bannedFrom }: UserAudiences): void {
    this.forget(userId);
    this.people.set(userId, { groups: new Set(), channels: new Map(), bannedFrom: new Set() });
    for (const groupId of groupIds) this.enterGroup(userId, groupId.toHexString());
    for (const { channelId, groupId } of privateChannels) this.enterChannel(userId, channelId, groupId);
    for (const channelId of bannedFrom) this.ban(userId, channelId.toHexString());
  }

  forget(userId: string): void {
    const person = this.people.get(userId);
    if (!person) return;
    for (const groupId of person.groups) this.inGroup.remove(groupId, userId);
    for (const channelId of person.channels.keys()) this.inChannel.remove(channelId, userId);
    for (const channelId of person.bannedFrom) this.bannedFrom.remove(channelId, userId);
    this.people.delete(userId);
  }

  placesOf(userId: string): Places {
    const person = this.people.get(userId);
    return { groupIds: [...(person?.groups ?? [])], channelIds: [...(person?.channels.keys() ?? [])] };
  }

  /** Those present who hear a channel. */
  listeners(audience: ChannelAudience): string[] {
    if (audience.kind === 'channel') return [...this.inChannel.in(audience.channelId.toHexString())];
    const banned = this.bannedFrom.in(audience.channelId.toHexString());
    return [...this.inGroup.in(audience.groupId.toHexString())].filter((id) => !banned.has(id));
  }

  /** How many of those present hear a channel, without those who are hidden. */
  count(audience: ChannelAudience, hidden: ReadonlySet<string>): number {
    if (audience.kind === 'channel') {
      const crowd = this.inChannel.in(audience.channelId.toHexString());
      return crowd.size - overlap(crowd, hidden);
    }
    const crowd = this.inGroup.in(audience.groupId.toHexString());
    const banned = this.bannedFrom.in(audience.channelId.toHexString());
    const shutOut = new Set([...banned].filter((id) => !hidden.has(id)));
    return crowd.size - overlap(crowd, hidden) - overlap(crowd, shutOut);
  }

  /** @returns who has come to a place where others have not seen them yet. */
  handle(event: DomainEvent): string | undefined {
    switch (event.type) {
      case 'member.added':
        return this.enterGroup(event.userId.toHexString(), event.groupId.toHexString());
      case 'member.removed':
        this.leaveGroup(event.userId.toHexString(), event.groupId.toHexString());
        break;
      case 'group.deleted':
        for (const userId of [...this.inGroup.in(event.groupId.toHexString())]) {
          this.leaveGroup(userId, event.groupId.toHexString());
        }
        break;
      case 'channel_ban.added':
        this.leaveChannel(event.userId.toHexString(), event.channelId.toHexString());
        this.ban(event.userId.toHexString(), event.channelId.toHexString());
        break;
      case 'channel_ban.ended':
        this.people.get(event.userId.toHexString())?.bannedFrom.delete(event.channelId.toHexString());
        this.bannedFrom.remove(event.channelId.toHexString(), event.userId.toHexString());
        if (event.isMember) this.enterChannel(event.userId.toHexString(), event.channelId, event.groupId);
        break;
      case 'channel_member.added':
        return this.enterChannel(event.userId.toHexString(), event.channelId, event.groupId);
      case 'channel_member.removed':
        this.leaveChannel(event.userId.toHexString(), event.channelId.toHexString());
        break;
      case 'channel_members.cleared':
        for (const userId of [...this.inChannel.in(event.channelId.toHexString())]) {
          this.leaveChannel(userId, event.channelId.toHexString());
        }
        break;
      case 'client':
      case 'session.revoked':
      case 'user.changed':
      case 'preferences.changed':
      case 'block.changed':
      case 'presence.changed':
      case 'maintenance.changed':
      case 'events.missed':
        break;
    }
    return undefined;
  }

  private enterGroup(userId: string, groupId: string): string | undefined {
    const person = this.people.get(userId);
    if (!person) return undefined;
    person.groups.add(groupId);
    this.inGroup.add(groupId, userId);
    return userId;
  }

  private leaveGroup(userId: string, groupId: string): void {
    const person = this.people.get(userId);
    if (!person) return;
    person.groups.delete(groupId);
    this.inGroup.remove(groupId, userId);
    for (const [channelId, itsGroup] of person.channels) {
      if (itsGroup === groupId) this.leaveChannel(userId, channelId);
    }
  }

  /** A private channel of a group is heard only by those who hear the group, and are not banned from it. */
  private enterChannel(userId: string, channelId: ObjectId, groupId: ObjectId | null): string | undefined {
    const person = this.people.get(userId);
    if (!person || (groupId && !person.groups.has(groupId.toHexString()))) return undefined;
    if (person.bannedFrom.has(channelId.toHexString())) return undefined;
    person.channels.set(channelId.toHexString(), groupId?.toHexString() ?? null);
    this.inChannel.add(channelId.toHexString(), userId);
    return userId;
  }

  private leaveChannel(userId: string, channelId: string): void {
    this.people.get(userId)?.channels.delete(channelId);
    this.inChannel.remove(channelId, userId);
  }

  private ban(userId: string, channelId: string): void {
    const person = this.people.get(userId);
    if (!person) return;
    person.bannedFrom.add(channelId);
    this.bannedFrom.add(channelId, userId);
  }
}

function overlap(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const [smaller, larger] = one.size < other.size ? [one, other] : [other, one];
  let count = 0;
  for (const each of smaller) if (larger.has(each)) count++;
  return count;
}
