import type { Caller } from '../models/identity/session.model';
import type { SessionService } from '../services/identity/session.service';

/**
 * Ends the connection of a peer when its session has no valid access token left. The PeerJS client cannot send a new
 * token on an open connection, so the server checks whether the session has obtained a newer one.
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

  /** Ends the connection if the session has no newer token, or if it cannot be read. */
  private async checkSession(): Promise<void> {
    const expiresAt = await this.sessions.latestTokenExpiry(this.caller.sessionId).catch(() => undefined);
    if (this.stopped) return;
    if (expiresAt && expiresAt > new Date()) this.schedule(expiresAt);
    else this.onEnded();
  }
}
