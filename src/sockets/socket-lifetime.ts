import type { SessionService } from '../services/identity/session.service';
import type { AuthEndedEvent } from '../models/identity/session.model';
import { AppError } from '../utils/errors';
import type { ParleySocket } from './socket.types';

/** How long before the end of its token a socket is told, in milliseconds; at most half of what is left. */
const EXPIRY_NOTICE_MS = 60_000;

/**
 * A socket lives as long as the access token that it has shown last: it is told before that ends, may show a
 * new one, and is disconnected when it does not.
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
   * Takes a new access token of the same session in the place of the old one.
   * @returns when the new one ends.
   * @throws AppError token_invalid, token_expired, session_revoked, forbidden (of another session)
   */
  async renew(token: string): Promise<Date> {
    const { caller, tokenExpiresAt } = await this.sessions.authenticate(
      token,
      this.socket.data.caller.address,
    );
    if (!caller.sessionId.equals(this.socket.data.caller.sessionId)) {
      throw new AppError('forbidden', 'The token is of another session; connect anew with it.');
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

/** Tells a socket why, and closes it. */
export function endSocket(socket: ParleySocket, reason: AuthEndedEvent['reason']): void {
  socket.emit('auth:ended', { reason });
  socket.disconnect(true);
}
