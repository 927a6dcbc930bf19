import type { SessionService } from '../services/identity/session.service';
import type { AuthEndedEvent } from '../models/identity/session.model';
import { AppError } from '../utils/errors';
import type { ParleySocket } from './socket.types';

/** How long before the token expires the client is notified; at most half of the remaining time. */
const EXPIRY_NOTICE_MS = 60_000;

/**
 * Disconnects a socket when its access token expires. The client is notified before that, and may send a new token.
 */
export class SocketLifetime {
  private notice: NodeJS.Timeout | undefined;
  private end: NodeJS.Timeout | undefined;

  constructor(
    private readonly socket: ParleySocket,
    private readonly sessions: SessionService,
    expiresAt: Date,
  ) {
    this.schedule(expiresAt);
    socket.on('disconnect', () => this.stop());
  }

  /**
   * Replaces the access token by a new one of the same session.
   * @returns when the new token expires.
   * @throws AppError token_invalid, token_expired, session_revoked, forbidden (of another session)
   */
  async renew(token: string): Promise<Date> {
    const { caller, tokenExpiresAt } = await this.sessions.authenticate(
      token,
      this.socket.data.caller.address,
    );
    if (!caller.sessionId.equals(this.socket.data.caller.sessionId)) {
      throw new AppError('forbidden', 'The token belongs to another session. Open a new connection with it.');
    }
    if (this.socket.connected) this.schedule(tokenExpiresAt);
    return tokenExpiresAt;
  }

  private schedule(expiresAt: Date): void {
    this.stop();
    const left = expiresAt.getTime() - Date.now();
    this.notice = setTimeout(
      () => this.socket.emit('auth:expiring', { expiresAt: expiresAt.toISOString() }),
      left - Math.min(EXPIRY_NOTICE_MS, left / 2),
    );
    this.end = setTimeout(() => endSocket(this.socket, 'token_expired'), left);
  }

  private stop(): void {
    clearTimeout(this.notice);
    clearTimeout(this.end);
  }
}

/** Sends a socket the reason, and disconnects it. */
export function endSocket(socket: ParleySocket, reason: AuthEndedEvent['reason']): void {
  socket.emit('auth:ended', { reason });
  socket.disconnect(true);
}
