import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { EVENT_WINDOW_SECONDS } from '../models/kernel/client-events.model';
import type { LiveConnections } from '../services/operations/live-connections';
import { AppError } from '../utils/errors';
import { inTime } from '../utils/in-time';
import type { ParleySocket } from './socket.types';

/** A socket that sends more than this multiple of its limit is disconnected. */
const DISCONNECT_FACTOR = 2;
/** How long a closing server waits for events that are being handled. */
const SHUTDOWN_TIMEOUT_MS = 5000;

/** Admits the events of clients: limits their rate per socket, and refuses them when the server closes. */
export class EventGate {
  private readonly limiter: RateLimiterMemory;
  private readonly inFlight = new Set<Promise<unknown>>();
  private closing = false;

  constructor(
    eventsPerSecond: number,
    private readonly connections: LiveConnections,
  ) {
    this.limiter = new RateLimiterMemory({
      points: eventsPerSecond * EVENT_WINDOW_SECONDS,
      duration: EVENT_WINDOW_SECONDS,
    });
  }

  /** @throws AppError rate_limited, unavailable */
  async admit(socket: ParleySocket): Promise<void> {
    if (this.closing)
      throw new AppError('unavailable', 'The server is closing. Reconnect and send this again.');
    try {
      await this.limiter.consume(socket.id);
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      if (refused.consumedPoints > DISCONNECT_FACTOR * this.limiter.points) this.end(socket);
      const retryAfter = Math.max(1, Math.ceil(refused.msBeforeNext / 1000));
      const message = `Too many events. Try again in ${retryAfter} s.`;
      throw new AppError('rate_limited', message, undefined, retryAfter);
    }
  }

  /** Tracks an event until it is acknowledged, so that `close` can wait for it. */
  track(answer: Promise<unknown>): void {
    this.inFlight.add(answer);
    void answer.finally(() => this.inFlight.delete(answer));
  }

  /** Refuses further events. Resolves when all admitted events are acknowledged, or after a timeout. */
  async close(): Promise<void> {
    this.closing = true;
    await inTime(Promise.allSettled(this.inFlight), SHUTDOWN_TIMEOUT_MS);
  }

  private end(socket: ParleySocket): void {
    if (!socket.connected) return;
    this.connections.recordEnd('too_many_events');
    socket.emit('socket:ended', { reason: 'too_many_events' });
    socket.disconnect(true);
  }
}
