import { ObjectId } from 'mongodb';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Collections } from '../../db/collections';
import { toPreferences, type PreferencesDocument } from '../../models/users/preferences.model';
import type { Presence, PresencesQuery, PresenceStatus } from '../../models/presence/presence.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { audienceOfChannel, type Access } from '../access/access';
import type { AudienceChange, AudienceIndex } from '../access/audience-index';
import type { BackgroundJob } from '../kernel/background-job';
import type {
  ChannelAudience,
  DomainEvent,
  DomainEventOf,
  PresenceChange,
  PresenceReport,
} from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { Jobs } from '../kernel/jobs';
import type { NodeRegistry } from '../kernel/node-registry';
import type { NodeRelay } from '../kernel/node-relay';
import type { LastSeen } from './last-seen';
import { combine, RemotePresence } from './remote-presence';
import { UserPresence, type PresenceSettings } from './user-presence';

/** The shortest interval between two events to a client. */
const FLUSH_INTERVAL_MS = 1000;
/** How long the first change after a quiet period waits for others. */
const BATCH_WINDOW_MS = 100;
/** How often users are checked for idleness; at least four times in the period after which they are away. */
const IDLE_CHECK_INTERVAL_MS = 15_000;
/** Changes of audiences this soon after a report may have crossed it on its way to the other nodes. */
const REPORT_RACE_MS = 5000;
/** How long users are shown after their node has left at most, unless the grace period is longer. */
const MAX_LEAVING_MS = 28_000;
/** Users who are reported to other nodes at a time. */
const REPORT_SIZE = 200;
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
  nodes: Pick<NodeRegistry, 'id'>;
  /** Undefined without other nodes. */
  relay: Pick<NodeRelay, 'hasOthers'> | undefined;
  timing: { awaySeconds: number; graceSeconds: number };
}

/**
 * The presence of users, as others see it. It is in the memory of the processes that have the connections, so it ends with
 * them; only the last seen times are stored. Each node reports its own users to the other nodes, with their audiences, and
 * a user who is connected to several nodes has the most present of their statuses.
 *
 * Changes are batched and published once a second at most, to the users who share a group or a channel with the user.
 */
export class PresenceService {
  /** The users who are connected to this node. */
  private readonly users = new Map<string, UserPresence>();
  private readonly remote = new RemotePresence();
  /** The status of each user that was published last, unless it is offline. */
  private readonly published = new Map<string, PresenceStatus>();
  /** Users who have entered an audience that has not received their status yet. */
  private readonly inNewAudience = new Set<string>();
  /** Users in the audience index who appear offline. */
  private readonly hidden = new Set<string>();
  private readonly changed = new Set<string>();
  /** Whether another node waits for the statuses of all users of this one. */
  private isSnapshotDue = false;
  /** The nodes that have left; their users may be about to reconnect. */
  private readonly leaving = new Map<string, NodeJS.Timeout>();
  private readonly flushing: BackgroundJob;
  private flushedAt = 0;
  private readonly awayAfterMs: number;
  private readonly graceMs: number;

  constructor(private readonly deps: PresenceDeps) {
    const { audiences, bus, jobs, timing } = deps;
    this.awayAfterMs = timing.awaySeconds * 1000;
    this.graceMs = timing.graceSeconds * 1000;
    audiences.onChange((change) => this.handleAudienceChange(change));
    bus.subscribe((event) => this.handle(event));
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
    for (const timer of this.leaving.values()) clearTimeout(timer);
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
    return this.statusOf(key);
  }

  /** Whether a connected user appears offline. */
  isHidden(userId: ObjectId): boolean {
    return this.hidden.has(userId.toHexString());
  }

  /** Finds a user's presence. @throws AppError not_found, forbidden (no group or conversation in common) */
  async get(caller: Caller, userId: string): Promise<Presence> {
    await this.deps.access.user(caller, 'presence.read', userId);
    const status = this.statusOf(userId);
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
      .map((userId): Presence => ({ userId, status: this.statusOf(userId), lastSeenAt: null }));
    return cutPage(rows, query.limit, (last) => last.userId);
  }

  /** Finds the presence of those users who are not offline. It does not check who may see them. */
  statusesOf(userIds: readonly ObjectId[]): Presence[] {
    return userIds.flatMap((id): Presence[] => {
      const userId = id.toHexString();
      const status = this.statusOf(userId);
      return status === 'offline' ? [] : [{ userId, status, lastSeenAt: null }];
    });
  }

  /** Counts the users of each audience who are seen as present, in the order of the audiences. */
  countOnline(audiences: readonly ChannelAudience[]): number[] {
    return audiences.map((audience) => this.deps.audiences.countReaders(audience, this.hidden));
  }

  /** The status of a user on all nodes together. */
  private statusOf(userId: string): PresenceStatus {
    return combine(this.users.get(userId)?.status ?? 'offline', this.remote.statusOf(userId));
  }

  private handle(event: DomainEvent): void {
    switch (event.type) {
      case 'preferences.changed':
        this.applySettings(event.preferences);
        break;
      case 'presence.reported':
        if (event.nodeId !== this.deps.nodes.id) this.applyReport(event);
        break;
      case 'node.joined':
        this.cancelLeaving(event.nodeId);
        this.isSnapshotDue = true;
        this.wake();
        break;
      case 'node.left':
        this.handleNodeLeft(event.nodeId, event.returningMs);
        break;
      default:
      // No other event changes the presence of a user.
    }
  }

  private applySettings(preferences: PreferencesDocument): void {
    const key = preferences._id.toHexString();
    const user = this.users.get(key);
    if (!user) return;
    user.applySettings(toPreferences(preferences));
    this.refresh(key, user, Date.now());
  }

  /** Applies the statuses of users on another node. */
  private applyReport({ nodeId, part, users }: DomainEventOf<'presence.reported'>): void {
    this.cancelLeaving(nodeId);
    if (part === 'first') this.remote.beginSnapshot(nodeId);
    for (const { userId, status, audiences } of users) {
      const key = userId.toHexString();
      this.remote.set(nodeId, key, status);
      // A node knows the audiences of its own users best.
      if (status !== 'offline' && !this.users.has(key)) this.deps.audiences.enterRemote(userId, audiences);
      this.handleRemoteChange(key);
    }
    if (part === 'last') for (const key of this.remote.endSnapshot(nodeId)) this.handleRemoteChange(key);
  }

  /** Waits for the users of a node that has left, because they reconnect to another one. */
  private handleNodeLeft(nodeId: string, returningMs: number): void {
    this.cancelLeaving(nodeId);
    const timer = setTimeout(() => {
      this.leaving.delete(nodeId);
      for (const key of this.remote.removeNode(nodeId)) this.handleRemoteChange(key);
    }, this.leavingMs(returningMs));
    timer.unref();
    this.leaving.set(nodeId, timer);
  }

  /** How long users are shown after their node has left: the grace period begins when they should be back. */
  private leavingMs(returningMs: number): number {
    return Math.max(this.graceMs, Math.min(this.graceMs + returningMs, MAX_LEAVING_MS));
  }

  private cancelLeaving(nodeId: string): void {
    clearTimeout(this.leaving.get(nodeId));
    this.leaving.delete(nodeId);
  }

  private handleRemoteChange(key: string): void {
    this.updateHidden(key);
    if (this.statusOf(key) !== this.publishedStatus(key) || !this.isKnown(key)) this.scheduleFlush(key);
  }

  /** Publishes a connected user to an audience that they have entered, and that does not know their status yet. */
  private handleAudienceChange({ userId, kind, present }: AudienceChange): void {
    const user = this.users.get(userId);
    if (user && Date.now() - user.reportedAt < REPORT_RACE_MS) {
      user.needsReport = true;
      this.scheduleFlush(userId);
    }
    if (!present || kind === 'banned') return;
    this.inNewAudience.add(userId);
    this.scheduleFlush(userId);
  }

  private finishLeaving(key: string, user: UserPresence): void {
    clearTimeout(user.graceTimer);
    user.graceTimer = undefined;
    this.refresh(key, user, Date.now());
    // Needed also for a user who appeared offline: the flush removes them.
    this.scheduleFlush(key);
  }

  /** Computes a user's status on this node again, and schedules its publication if it has changed. */
  private refresh(key: string, user: UserPresence, now: number): void {
    const hasChanged = user.refresh(now);
    this.updateHidden(key);
    if (hasChanged) this.scheduleFlush(key);
  }

  private updateHidden(key: string): void {
    if (this.statusOf(key) === 'offline') this.hidden.add(key);
    else this.hidden.delete(key);
  }

  private publishedStatus(key: string): PresenceStatus {
    return this.published.get(key) ?? 'offline';
  }

  /** Whether a user is connected to a node, or was a moment ago. */
  private isKnown(key: string): boolean {
    return this.users.has(key) || this.remote.has(key);
  }

  /** Schedules the publication of a user's status. */
  private scheduleFlush(key: string): void {
    this.changed.add(key);
    this.wake();
  }

  private wake(): void {
    this.flushing.wake(new Date(Math.max(Date.now() + BATCH_WINDOW_MS, this.flushedAt + FLUSH_INTERVAL_MS)));
  }

  /** Publishes the changes since the last flush, and removes users who have left. */
  private async flush(): Promise<void> {
    const changes: PresenceChange[] = [];
    const reports: PresenceReport[] = [];
    const departed: { userId: string; at: number }[] = [];
    for (const userId of this.changed) {
      const status = this.statusOf(userId);
      if (
        status !== this.publishedStatus(userId) ||
        (this.inNewAudience.has(userId) && status !== 'offline')
      ) {
        const { groupIds, channelIds } = this.deps.audiences.audiencesOf(userId);
        changes.push({ userId, status, groupIds: [...groupIds], channelIds: [...channelIds] });
      }
      if (status === 'offline') this.published.delete(userId);
      else this.published.set(userId, status);
      const user = this.users.get(userId);
      if (user) {
        if (user.status === 'offline' && user.reportedStatus !== 'offline')
          departed.push({ userId, at: user.seenAt });
        if (user.status !== user.reportedStatus || user.needsReport)
          reports.push(this.reportOf(userId, user));
        if (user.hasLeft) this.users.delete(userId);
      }
      if (!this.isKnown(userId)) this.forget(userId);
    }
    this.changed.clear();
    this.inNewAudience.clear();
    this.flushedAt = Date.now();
    this.deps.lastSeen.record(departed);
    await Promise.all([
      changes.length > 0 ? this.deps.bus.publish({ type: 'presence.changed', changes }) : undefined,
      this.reportToOthers(reports),
    ]);
    if (this.isSnapshotDue) await this.reportAll();
  }

  /** Removes a user who is on no node. */
  private forget(key: string): void {
    this.hidden.delete(key);
    this.deps.audiences.leave(key);
  }

  private reportOf(key: string, user: UserPresence): PresenceReport {
    user.reportedStatus = user.status;
    user.reportedAt = Date.now();
    user.needsReport = false;
    // What is not shown needs no audiences.
    const audiences =
      user.status === 'offline' || !this.deps.relay?.hasOthers
        ? { groupIds: [], privateChannels: [], bannedFrom: [] }
        : this.deps.audiences.describe(key);
    return { userId: new ObjectId(key), status: user.status, audiences };
  }

  private async reportToOthers(users: PresenceReport[]): Promise<void> {
    const { bus, nodes, relay } = this.deps;
    if (users.length === 0 || !relay?.hasOthers) return;
    await bus.publish({ type: 'presence.reported', nodeId: nodes.id, part: 'change', users });
  }

  /** Reports all users of this node who are present to the other nodes. */
  private async reportAll(): Promise<void> {
    const { bus, nodes } = this.deps;
    this.isSnapshotDue = false;
    const ids = [...this.users.keys()];
    let part: DomainEventOf<'presence.reported'>['part'] = 'first';
    do {
      const users = ids.splice(0, REPORT_SIZE).flatMap((key) => {
        const user = this.users.get(key);
        return user && user.status !== 'offline' ? [this.reportOf(key, user)] : [];
      });
      await bus.publish({ type: 'presence.reported', nodeId: nodes.id, part, users });
      part = 'next';
      // So many users may not delay others.
      await nextTurn();
    } while (ids.length > 0);
    await bus.publish({ type: 'presence.reported', nodeId: nodes.id, part: 'last', users: [] });
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
