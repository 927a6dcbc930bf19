import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { toPreferences, type PreferencesDocument } from '../../models/users/preferences.model';
import type { Presence, PresencesQuery, PresenceStatus } from '../../models/presence/presence.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { audienceOfChannel, type Access } from '../access/access';
import type { AudienceChange, AudienceIndex } from '../access/audience-index';
import type { BackgroundJob } from '../kernel/background-job';
import type { ChannelAudience, PresenceChange } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { Jobs } from '../kernel/jobs';
import type { LastSeen } from './last-seen';
import { UserPresence, type PresenceSettings } from './user-presence';

/** At most one event in so many milliseconds goes to a client. */
const FLUSH_INTERVAL_MS = 1000;
/** How long the first change after a quiet time waits for others, in milliseconds. */
const BATCH_WINDOW_MS = 100;
/** How often it is looked who has fallen idle, in milliseconds, and at least four times in the time that takes. */
const IDLE_CHECK_INTERVAL_MS = 15_000;
/** How old the stored time of somebody who is there becomes, in milliseconds: a killed process loses no more. */
const SEEN_INTERVAL_MS = 5 * 60_000;

/** What PresenceService works with. */
export interface PresenceDeps {
  collections: Collections;
  access: Access;
  audiences: AudienceIndex;
  bus: EventBus;
  lastSeen: LastSeen;
  jobs: Jobs;
  timing: { awaySeconds: number; graceSeconds: number };
}

/**
 * Who is there, as others see it. The truth is in the memory of the process that holds the connections, so nobody
 * outlives it; how long ago somebody was seen is in the database.
 *
 * Changes are gathered, and told once a second at most, to those who share a place with whom they are about.
 */
export class PresenceService {
  private readonly users = new Map<string, UserPresence>();
  /** Who is present, and is seen as offline. */
  private readonly hidden = new Set<string>();
  private readonly changed = new Set<string>();
  private readonly flushing: BackgroundJob;
  private flushedAt = 0;
  private readonly awayAfterMs: number;
  private readonly graceMs: number;

  constructor(private readonly deps: PresenceDeps) {
    const { audiences, bus, jobs, timing } = deps;
    this.awayAfterMs = timing.awaySeconds * 1000;
    this.graceMs = timing.graceSeconds * 1000;
    audiences.onChange((change) => this.handleAudienceChange(change));
    bus.subscribe((event) => {
      if (event.type === 'preferences.changed') this.applySettings(event.preferences);
    });
    this.flushing = jobs.add({ name: 'presence_changes', scope: 'node', run: () => this.flush() });
    jobs.add({
      name: 'presence_sweep',
      intervalMs: Math.min(IDLE_CHECK_INTERVAL_MS, this.awayAfterMs / 4),
      scope: 'node',
      run: () => this.refreshAll(),
    });
  }

  /** Stores when those who are there were seen, and forgets them. */
  async stop(): Promise<void> {
    const now = Date.now();
    const here = [...this.users].filter(([, { status }]) => status !== 'offline');
    for (const [key, person] of here) this.refresh(key, person, now);
    this.deps.lastSeen.record(here.map(([userId, { seenAt }]) => ({ userId, at: seenAt })));
    for (const { graceTimer } of this.users.values()) clearTimeout(graceTimer);
    this.users.clear();
    await this.deps.lastSeen.settled();
  }

  /** How a user wants to be seen, for `entered`. */
  async findSettings(userId: ObjectId): Promise<PresenceSettings> {
    return toPreferences(await this.deps.collections.preferences.findOne({ _id: userId }));
  }

  /**
   * A device has connected. Its user is in the audience index already, and is taken out of it when they have gone.
   * @param manners as they are at this moment.
   */
  handleConnected(connectionId: string, userId: ObjectId, manners: PresenceSettings): void {
    const key = userId.toHexString();
    const now = Date.now();
    const person = this.users.get(key) ?? new UserPresence(this.awayAfterMs, now);
    this.users.set(key, person);
    person.connect(connectionId, now);
    person.applySettings(manners);
    this.refresh(key, person, now);
  }

  /** @param atOnce whether it is clear that it does not come back, so that nobody has to wait for it. */
  handleDisconnected(connectionId: string, userId: ObjectId, atOnce: boolean): void {
    const key = userId.toHexString();
    const person = this.users.get(key);
    if (!person?.has(connectionId)) return;
    const now = Date.now();
    this.refresh(key, person, now);
    person.disconnect(connectionId);
    if (!person.isConnected && !atOnce && this.graceMs > 0) {
      person.graceTimer = setTimeout(() => this.finishLeaving(key, person), this.graceMs);
      person.graceTimer.unref();
    } else if (person.isConnected) this.refresh(key, person, now);
    else this.finishLeaving(key, person);
  }

  /** Somebody uses a device. */
  active(connectionId: string, userId: ObjectId): void {
    this.report(connectionId, userId, true);
  }

  /** What a client says of its device. @returns how others see its user. */
  report(connectionId: string, userId: ObjectId, active: boolean): PresenceStatus {
    const key = userId.toHexString();
    const person = this.users.get(key);
    if (!person?.has(connectionId)) return 'offline';
    const now = Date.now();
    person.report(connectionId, active, now);
    this.refresh(key, person, now);
    return person.status;
  }

  /** Whether somebody is here who does not want to be seen. */
  isHidden(userId: ObjectId): boolean {
    return this.hidden.has(userId.toHexString());
  }

  /** How the caller sees somebody. @throws AppError not_found, forbidden (they have no place in common) */
  async get(caller: Caller, userId: string): Promise<Presence> {
    await this.deps.access.user(caller, 'presence.read', userId);
    const status = this.users.get(userId)?.status ?? 'offline';
    const lastSeenAt = status === 'offline' ? await this.deps.lastSeen.find(userId) : null;
    return { userId, status, lastSeenAt: lastSeenAt?.toISOString() ?? null };
  }

  /** Those who hear a channel and are not offline, in the order of their ids. @throws AppError not_found */
  async inChannel(caller: Caller, channelId: string, query: PresencesQuery): Promise<Page<Presence>> {
    const { channel } = await this.deps.access.channel(caller, 'channel.read', channelId);
    const rows = this.deps.audiences
      .readers(audienceOfChannel(channel))
      .filter((id) => !this.hidden.has(id) && (query.cursor === undefined || id > query.cursor))
      .sort()
      .slice(0, query.limit + 1)
      .flatMap((userId): Presence[] => {
        const person = this.users.get(userId);
        return person ? [{ userId, status: person.status, lastSeenAt: null }] : [];
      });
    return cutPage(rows, query.limit, (last) => last.userId);
  }

  /** Those of some people who are not offline, as others see them. It does not ask who wants to know. */
  statusesOf(userIds: readonly ObjectId[]): Presence[] {
    return userIds.flatMap((id): Presence[] => {
      const userId = id.toHexString();
      const status = this.users.get(userId)?.status ?? 'offline';
      return status === 'offline' ? [] : [{ userId, status, lastSeenAt: null }];
    });
  }

  /** For each of the audiences, in their order, how many people of it are seen to be there. */
  countOnline(audiences: readonly ChannelAudience[]): number[] {
    return audiences.map((audience) => this.deps.audiences.count(audience, this.hidden));
  }

  private applySettings(preferences: PreferencesDocument): void {
    const key = preferences._id.toHexString();
    const person = this.users.get(key);
    if (!person) return;
    person.applySettings(toPreferences(preferences));
    this.refresh(key, person, Date.now());
  }

  /** Those whom a connected user meets in a new place have not been told yet that they are here. */
  private handleAudienceChange({ userId, kind, present }: AudienceChange): void {
    const person = this.users.get(userId);
    if (!person || !present || kind === 'banned') return;
    person.hasNewAudience = true;
    this.scheduleFlush(userId);
  }

  private finishLeaving(key: string, person: UserPresence): void {
    clearTimeout(person.graceTimer);
    person.graceTimer = undefined;
    this.refresh(key, person, Date.now());
    // Also of somebody who was not seen: they are forgotten then.
    this.scheduleFlush(key);
  }

  /** Finds out how somebody is seen now, and notes it when that is another way. */
  private refresh(key: string, person: UserPresence, now: number): void {
    const isAnother = person.refresh(now);
    if (person.status === 'offline') this.hidden.add(key);
    else this.hidden.delete(key);
    if (isAnother) this.scheduleFlush(key);
  }

  /** Sees to it that a change is told. */
  private scheduleFlush(key: string): void {
    this.changed.add(key);
    this.flushing.wake(new Date(Math.max(Date.now() + BATCH_WINDOW_MS, this.flushedAt + FLUSH_INTERVAL_MS)));
  }

  /** Tells what has changed since the last time, and forgets who is gone. */
  private async flush(): Promise<void> {
    const changes: PresenceChange[] = [];
    const gone: { userId: string; at: number }[] = [];
    for (const userId of this.changed) {
      const person = this.users.get(userId);
      if (!person) continue;
      const { status, publishedStatus, hasNewAudience, seenAt } = person;
      if (status !== publishedStatus || (hasNewAudience && status !== 'offline')) {
        const { groupIds, channelIds } = this.deps.audiences.audiencesOf(userId);
        changes.push({ userId, status, groupIds: [...groupIds], channelIds: [...channelIds] });
      }
      if (status === 'offline' && publishedStatus !== 'offline') gone.push({ userId, at: seenAt });
      person.publishedStatus = status;
      person.hasNewAudience = false;
      if (person.hasLeft) this.remove(userId);
    }
    this.changed.clear();
    this.flushedAt = Date.now();
    this.deps.lastSeen.record(gone);
    if (changes.length > 0) await this.deps.bus.publish({ type: 'presence.changed', changes });
  }

  private remove(key: string): void {
    this.users.delete(key);
    this.hidden.delete(key);
    this.deps.audiences.leave(key);
  }

  /** Notes who has fallen idle, whose do-not-disturb is over, and that those who are here were seen. */
  private refreshAll(): void {
    const now = Date.now();
    const seen: { userId: string; at: number }[] = [];
    for (const [userId, person] of this.users) {
      this.refresh(userId, person, now);
      if (person.status === 'offline' || now - person.storedAt < SEEN_INTERVAL_MS) continue;
      person.storedAt = now;
      seen.push({ userId, at: person.seenAt });
    }
    this.deps.lastSeen.record(seen);
  }
}
