import type { Socket as EngineSocket } from 'engine.io';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** Milliseconds after which writing to sockets lets others go first, such as the answers of the database. */
const SLICE_MS = 3;

/** The WebSocket below a connection, which Engine.IO does not give away; undefined while the connection polls. */
export function webSocketOf({ transport }: EngineSocket): WebSocket | undefined {
  return (transport as unknown as { socket?: WebSocket }).socket;
}

/**
 * Hands what connections are sent to the system once a turn. A WebSocket writes each message by itself, and those
 * calls are most of what it costs to tell many sockets of the many messages that one flush to disk has made durable.
 * When there is more to write than a turn should take, the sockets take turns; what they are sent until then goes
 * out with the rest.
 */
export class SocketWriter {
  private readonly waiting = new Set<Socket>();

  watch(conn: EngineSocket): void {
    conn.on('flush', () => {
      const socket = (webSocketOf(conn) as unknown as { _socket?: Socket } | undefined)?._socket;
      if (!socket || this.waiting.has(socket)) return;
      socket.cork();
      this.waiting.add(socket);
      if (this.waiting.size === 1) setImmediate(() => this.write());
    });
  }

  private write(): void {
    const end = performance.now() + SLICE_MS;
    for (const socket of this.waiting) {
      this.waiting.delete(socket);
      socket.uncork();
      if (performance.now() > end) break;
    }
    if (this.waiting.size > 0) setImmediate(() => this.write());
  }
}
