import type { Socket as EngineSocket } from 'engine.io';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** How long sockets are written to before other work of the event loop runs, such as results of the database. */
const SLICE_MS = 3;

/** The WebSocket of a connection, which Engine.IO does not expose; undefined while the connection uses polling. */
export function webSocketOf({ transport }: EngineSocket): WebSocket | undefined {
  return (transport as unknown as { socket?: WebSocket }).socket;
}

/**
 * Writes to each TCP connection once per turn of the event loop. A WebSocket makes a system call for each message, and
 * these calls are most of the cost of broadcasting the many messages of one committed batch to many sockets. When
 * writing takes too long, the remaining sockets are written to in the next turn, together with what they are sent
 * meanwhile.
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
