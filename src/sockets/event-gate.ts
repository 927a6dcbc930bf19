import { EVENT_WINDOW_SECONDS } from '../models/kernel/client-events.model';
import type { LiveConnections } from '../services/operations/live-connections';
import { AppError } from '../utils/errors';
import { inTime } from '../utils/in-time';
import type { ParleySocket } from './socket.types';

/** A socket that sends more than this multiple of its limit is disconnected. */
const DISCONNECT_FACTOR = 2;

/** The events of a socket in the current window. */
interface EventWindow {
  count: number;
  /** In milliseconds (`Date.now()`). */
  end: number;
}

/** Admits the events of clients: limits their rate per socket, and refuses them when the server closes. */
export class EventGate {
  private readonly limit: number;
  private readonly windows = new WeakMap<ParleySocket, EventWindow>();
  private inFlight = 0;
  private closing = false;
  private onIdle = () => {};

  constructor(
    eventsPerSecond: number,
    private readonly connections: LiveConnections,
  ) {
    this.limit = eventsPerSecond * EVENT_WINDOW_SECONDS;
  }

  /** @throws AppError rate_limited, unavailable */
  admit(socket: ParleySocket): void {
    if (this.closing)
      throw new AppError('unavailable', 'The server is closing. Reconnect and send this again.');
    const now = Date.now();
    let window = this.windows.get(socket);
    if (!window || now >= window.end) {
      window = { count: 0, end: now + EVENT_WINDOW_SECONDS * 1000 };
      this.windows.set(socket, window);
    }
    if (++window.count <= this.limit) return;
    if (window.count > DISCONNECT_FACTOR * this.limit) this.end(socket);
    const retryAfter = Math.max(1, Math.ceil((window.end - now) / 1000));
    const message = `Too many events. Try again in ${retryAfter} s.`;
    throw new AppError('rate_limited', message, undefined, retryAfter);
  }

  /** Counts an event, for which `close` waits until `finish`. */
  begin(): void {
    this.inFlight++;
  }

  /** Must be called once for each `begin`, when the event is acknowledged. */
  finish(): void {
    if (--this.inFlight === 0) this.onIdle();
  }

  /** Refuses further events. Resolves when all admitted events are acknowledged, or after a timeout. */
  async close(timeoutMs: number): Promise<void> {
    this.closing = true;
    if (this.inFlight === 0) return;
    await inTime(new Promise<void>((resolve) => (this.onIdle = resolve)), timeoutMs);
  }

  private end(socket: ParleySocket): void {
    if (!socket.connected) return;
    this.connections.recordEnd('too_many_events');
    socket.emit('socket:ended', { reason: 'too_many_events' });
    socket.disconnect(true);
  }
}
