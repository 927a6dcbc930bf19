import type { Socket as EngineSocket } from 'engine.io';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** The WebSocket below a connection, which Engine.IO does not give away; undefined while the connection polls. */
export function webSocketOf({ transport }: EngineSocket): WebSocket | undefined {
  return (transport as unknown as { socket?: WebSocket }).socket;
}

/**
 * Hands to the system in one write what a connection sends in one turn. A WebSocket writes each message by itself,
 * and those calls are most of what it costs to tell many sockets of the many messages that one flush to disk has
 * made durable.
 */
export function writeTogether(conn: EngineSocket): void {
  conn.on('flush', () => {
    const socket = (webSocketOf(conn) as unknown as { _socket?: Socket } | undefined)?._socket;
    if (!socket) return;
    socket.cork();
    process.nextTick(() => socket.uncork());
  });
}
