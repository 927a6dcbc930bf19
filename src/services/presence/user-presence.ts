import type { Preferences } from '../../models/users/preferences.model';
import type { PresenceStatus } from '../../models/presence/presence.model';

/** The preferences that change how others see a user. */
export type PresenceSettings = Pick<Preferences, 'invisible' | 'doNotDisturbUntil'>;

interface Device {
  /** Whether its client has reported that it is not in use. */
  idle: boolean;
  /** When it was last known to be in use. */
  activeAt: number;
}

/** The devices and the status of a user who is connected, or was a moment ago. Times are in milliseconds (`Date.now()`). */
export class UserPresence {
  /** The current status on this node, and the one that was reported to the other nodes last. */
  status: PresenceStatus = 'offline';
  reportedStatus: PresenceStatus = 'offline';
  /** When their audiences were last reported, and whether these may have changed on the way. */
  reportedAt = -Infinity;
  needsReport = false;
  /** When the last seen time was last stored. */
  storedAt = 0;
  /** Runs after the last device has disconnected. A page that reloads is connected again before it ends. */
  graceTimer: NodeJS.Timeout | undefined;
  private readonly devices = new Map<string, Device>();
  private invisible = false;
  private doNotDisturbUntil = 0;
  private seen: number;

  /** @param awayAfterMs how long a device counts as in use after its last use. */
  constructor(
    private readonly awayAfterMs: number,
    now: number,
  ) {
    this.seen = now;
  }

  /** When others last saw them present. */
  get seenAt(): number {
    return this.seen;
  }

  get isConnected(): boolean {
    return this.devices.size > 0;
  }

  /** Whether all devices are disconnected, and the grace period is over. */
  get hasLeft(): boolean {
    return !this.isConnected && this.graceTimer === undefined;
  }

  has(deviceId: string): boolean {
    return this.devices.has(deviceId);
  }

  connect(deviceId: string, now: number): void {
    clearTimeout(this.graceTimer);
    this.graceTimer = undefined;
    this.devices.set(deviceId, { idle: false, activeAt: now });
  }

  disconnect(deviceId: string): void {
    this.devices.delete(deviceId);
  }

  report(deviceId: string, active: boolean, now: number): void {
    const device = this.devices.get(deviceId);
    if (!device) return;
    if (active || this.isUsed(device, now)) device.activeAt = now;
    device.idle = !active;
  }

  applySettings({ invisible, doNotDisturbUntil }: PresenceSettings): void {
    this.invisible = invisible;
    this.doNotDisturbUntil = doNotDisturbUntil === null ? 0 : Date.parse(doNotDisturbUntil);
  }

  /** Computes the status again. @returns whether it has changed. */
  refresh(now: number): boolean {
    if (this.status !== 'offline') {
      for (const device of this.devices.values()) {
        this.seen = Math.max(this.seen, this.isUsed(device, now) ? now : device.activeAt);
      }
    }
    const before = this.status;
    this.status = this.statusAt(now);
    return this.status !== before;
  }

  private statusAt(now: number): PresenceStatus {
    if (this.invisible || this.hasLeft) return 'offline';
    if (this.doNotDisturbUntil > now) return 'do_not_disturb';
    if (!this.isConnected) return this.status;
    return [...this.devices.values()].some((device) => this.isUsed(device, now)) ? 'online' : 'away';
  }

  private isUsed({ idle, activeAt }: Device, now: number): boolean {
    return !idle && now - activeAt < this.awayAfterMs;
  }
}
