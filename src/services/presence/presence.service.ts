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

/** The shortest interval between two events to a client. */
const FLUSH_INTERVAL_MS = 1000;
/** How long the first change after a quiet period waits for others. */
const BATCH_WINDOW_MS = 100;
/** How often users are checked for idleness; at least four times in the period after which they are away. */
const IDLE_CHECK_INTERVAL_MS = 15_000;
/** How often the last seen time of connected users is stored: a killed process loses no more than this. */
const SEEN_INTERVAL_MS = 5 * 60_000;

/** The dependencies of PresenceService. */
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
 * The presence of users, as others see it. It is in the memory of the process that has the connections, so it ends with
 * them; only the last seen times are stored.
 *
 * Changes are batched and published once a second at most, to the users who share a group or a channel with the user.
 */
export class PresenceService {
  private readonly users = new Map<string, UserPresence>();
  /** Connected users who appear offline. */
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

  /** Stores the last seen times of all users who appear to be present, and removes all users. */
  async stop(): Promise<void> {
    const now = Date.now();
    const present = [...this.users].filter(([, { status }]) => status !== 'offline');
    for (const [key, user] of present) this.refresh(key, user, now);
    this.deps.lastSeen.record(present.map(([userId, { seenAt }]) => ({ userId, at: seenAt })));
    for (const { graceTimer } of this.users.values()) clearTimeout(graceTimer);
    this.users.clear();
    await this.deps.lastSeen.settled();
  }

  /** Finds the presence settings of a user, for `handleConnected`. */
  async findSettings(userId: ObjectId): Promise<PresenceSettings> {
    return toPreferences(await this.deps.collections.preferences.findOne({ _id: userId }));
  }

  /**
   * Adds a connected device. Its user must be in the audience index; this service removes them from it when they have
   * left.
   * @param presenceSettings the current ones.
   */
  handleConnected(connectionId: string, userId: ObjectId, presenceSettings: PresenceSettings): void {
    const key = userId.toHexString();
    const now = Date.now();
    const user = this.users.get(key) ?? new UserPresence(this.awayAfterMs, now);
    this.users.set(key, user);
    user.connect(connectionId, now);
    user.applySettings(presenceSettings);
    this.refresh(key, user, now);
  }

  /** Removes a device. @param atOnce whether it will not reconnect, so that no grace period is needed. */
  handleDisconnected(connectionId: string, userId: ObjectId, atOnce: boolean): void {
    const key = userId.toHexString();
    const user = this.users.get(key);
    if (!user?.has(connectionId)) return;
    const now = Date.now();
    this.refresh(key, user, now);
    user.disconnect(connectionId);
    if (!user.isConnected && !atOnce && this.graceMs > 0) {
      user.graceTimer = setTimeout(() => this.finishLeaving(key, user), this.graceMs);
      user.graceTimer.unref();
    } else if (user.isConnected) this.refresh(key, user, now);
    else this.finishLeaving(key, user);
  }

  /** Records that a user has used a device. */
  recordActivity(connectionId: string, userId: ObjectId): void {
    this.report(connectionId, userId, true);
  }

  /** Records whether a device is in use, as its client reports. @returns the user's status, as others see it. */
  report(connectionId: string, userId: ObjectId, active: boolean): PresenceStatus {
    const key = userId.toHexString();
    const user = this.users.get(key);
    if (!user?.has(connectionId)) return 'offline';
    const now = Date.now();
    user.report(connectionId, active, now);
    this.refresh(key, user, now);
    return user.status;
  }

  /** Whether a connected user appears offline. */
  isHidden(userId: ObjectId): boolean {
    return this.hidden.has(userId.toHexString());
  }

  /** Finds a user's presence. @throws AppError not_found, forbidden (no group or conversation in common) */
  async get(caller: Caller, userId: string): Promise<Presence> {
    await this.deps.access.user(caller, 'presence.read', userId);
    const status = this.users.get(userId)?.status ?? 'offline';
    const lastSeenAt = status === 'offline' ? await this.deps.lastSeen.find(userId) : null;
    return { userId, status, lastSeenAt: lastSeenAt?.toISOString() ?? null };
  }

  /** Lists the readers of a channel who are not offline, in the order of their ids. @throws AppError not_found */
  async inChannel(caller: Caller, channelId: string, query: PresencesQuery): Promise<Page<Presence>> {
    const { channel } = await this.deps.access.channel(caller, 'channel.read', channelId);
    const rows = this.deps.audiences
      .readers(audienceOfChannel(channel))
      .filter((id) => !this.hidden.has(id) && (query.cursor === undefined || id > query.cursor))
      .sort()
      .slice(0, query.limit + 1)
      .flatMap((userId): Presence[] => {
        const user = this.users.get(userId);
        return user ? [{ userId, status: user.status, lastSeenAt: null }] : [];
      });
    return cutPage(rows, query.limit, (last) => last.userId);
  }

  /** Finds the presence of those users who are not offline. It does not check who may see them. */
  statusesOf(userIds: readonly ObjectId[]): Presence[] {
    return userIds.flatMap((id): Presence[] => {
      const userId = id.toHexString();
      const status = this.users.get(userId)?.status ?? 'offline';
      return status === 'offline' ? [] : [{ userId, status, lastSeenAt: null }];
    });
  }

  /** Counts the users of each audience who are seen as present, in the order of the audiences. */
  countOnline(audiences: readonly ChannelAudience[]): number[] {
    return audiences.map((audience) => this.deps.audiences.countReaders(audience, this.hidden));
  }

  private applySettings(preferences: PreferencesDocument): void {
    const key = preferences._id.toHexString();
    const user = this.users.get(key);
    if (!user) return;
    user.applySettings(toPreferences(preferences));
    this.refresh(key, user, Date.now());
  }

  /** Publishes a connected user to an audience that they have entered, and that does not know their status yet. */
  private handleAudienceChange({ userId, kind, present }: AudienceChange): void {
    const user = this.users.get(userId);
    if (!user || !present || kind === 'banned') return;
    user.hasNewAudience = true;
    this.scheduleFlush(userId);
  }

  private finishLeaving(key: string, user: UserPresence): void {
    clearTimeout(user.graceTimer);
    user.graceTimer = undefined;
    this.refresh(key, user, Date.now());
    // Needed also for a user who appeared offline: the flush removes them.
    this.scheduleFlush(key);
  }

  /** Computes a user's status again, and schedules its publication if it has changed. */
  private refresh(key: string, user: UserPresence, now: number): void {
    const hasChanged = user.refresh(now);
    if (user.status === 'offline') this.hidden.add(key);
    else this.hidden.delete(key);
    if (hasChanged) this.scheduleFlush(key);
  }

  /** Schedules the publication of a user's status. */
  private scheduleFlush(key: string): void {
    this.changed.add(key);
    this.flushing.wake(new Date(Math.max(Date.now() + BATCH_WINDOW_MS, this.flushedAt + FLUSH_INTERVAL_MS)));
  }

  /** Publishes the changes since the last flush, and removes users who have left. */
  private async flush(): Promise<void> {
    const changes: PresenceChange[] = [];
    const departed: { userId: string; at: number }[] = [];
    for (const userId of this.changed) {
      const user = this.users.get(userId);
      if (!user) continue;
      const { status, publishedStatus, hasNewAudience, seenAt } = user;
      if (status !== publishedStatus || (hasNewAudience && status !== 'offline')) {
        const { groupIds, channelIds } = this.deps.audiences.audiencesOf(userId);
        changes.push({ userId, status, groupIds: [...groupIds], channelIds: [...channelIds] });
      }
      if (status === 'offline' && publishedStatus !== 'offline') departed.push({ userId, at: seenAt });
      user.publishedStatus = status;
      user.hasNewAudience = false;
      if (user.hasLeft) this.remove(userId);
    }
    this.changed.clear();
    this.flushedAt = Date.now();
    this.deps.lastSeen.record(departed);
    if (changes.length > 0) await this.deps.bus.publish({ type: 'presence.changed', changes });
  }

  private remove(key: string): void {
    this.users.delete(key);
    this.hidden.delete(key);
    this.deps.audiences.leave(key);
  }

  /** Detects idle users and the end of do-not-disturb periods, and stores the last seen times of present users. */
  private refreshAll(): void {
    const now = Date.now();
    const seen: { userId: string; at: number }[] = [];
    for (const [userId, user] of this.users) {
      this.refresh(userId, user, now);
      if (user.status === 'offline' || now - user.storedAt < SEEN_INTERVAL_MS) continue;
      user.storedAt = now;
      seen.push({ userId, at: user.seenAt });
    }
    this.deps.lastSeen.record(seen);
  }
}
