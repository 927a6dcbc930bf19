import type { Preferences } from '../../models/users/preferences.model';
import type { PresenceStatus } from '../../models/presence/presence.model';

/** How a user wants to be seen. */
export type PresenceSettings = Pick<Preferences, 'invisible' | 'doNotDisturbUntil'>;

interface Device {
  /** Whether its client has said that nobody uses it. */
  idle: boolean;
  /** When somebody was last known to use it. */
  activeAt: number;
}

/** Somebody who is connected, or was a moment ago: their devices, and how others see them. Times are of Date.now(). */
export class UserPresence {
  /** As it is now, and as others were told. */
  status: PresenceStatus = 'offline';
  publishedStatus: PresenceStatus = 'offline';
  /** Whether they are somewhere where nobody has been told. */
  hasNewAudience = false;
  /** When that they were seen was last stored. */
  storedAt = 0;
  /** Runs when the last device has gone: a reload of the page is back before it ends. */
  graceTimer: NodeJS.Timeout | undefined;
  private readonly devices = new Map<string, Device>();
  private invisible = false;
  private doNotDisturbUntil = 0;
  private seen: number;

  /** @param awayAfterMs milliseconds for which a device counts as used after its last use. */
  constructor(
    private readonly awayAfterMs: number,
    now: number,
  ) {
    this.seen = now;
  }

  /** When others last saw them use a device. */
  get seenAt(): number {
    return this.seen;
  }

  get isConnected(): boolean {
    return this.devices.size > 0;
  }

  /** Whether they are gone for good. */
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

  /** Finds out how they are seen now. @returns whether that is another way than before. */
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
