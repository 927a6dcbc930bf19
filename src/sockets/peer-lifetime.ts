import type { Caller } from '../models/identity/session.model';
import type { SessionService } from '../services/identity/session.service';

/**
 * Ends the connection of a peer when its session has no access token left that is good. The PeerJS client has no way to
 * show another token on an open connection, so the server looks itself whether the session has got a newer one.
 */
export class PeerLifetime {
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly sessions: Pick<SessionService, 'latestTokenExpiry'>,
    private readonly caller: Caller,
    tokenExpiresAt: Date,
    private readonly onEnded: () => void,
  ) {
    this.schedule(tokenExpiresAt);
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private schedule(expiresAt: Date): void {
    if (!this.stopped)
      this.timer = setTimeout(() => void this.checkSession(), expiresAt.getTime() - Date.now());
  }

  /** A session of which nothing can be found out counts as ended. */
  private async checkSession(): Promise<void> {
    const expiresAt = await this.sessions.latestTokenExpiry(this.caller.sessionId).catch(() => undefined);
    if (this.stopped) return;
    if (expiresAt && expiresAt > new Date()) this.schedule(expiresAt);
    else this.onEnded();
  }
}
