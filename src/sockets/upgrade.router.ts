import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from '../utils/logger';

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Routes each `upgrade` of an HTTP server to exactly one WebSocket server, by its path, and answers 404 to the others.
 * Two WebSocket servers that both listen for `upgrade` would write into each other's connections.
 * @param routes by path; a path that ends in a slash matches everything below it.
 */
export function createUpgradeRouter(routes: Record<string, UpgradeHandler>, logger: Logger): UpgradeHandler {
  const table = Object.entries(routes);
  return (request, socket, head) => {
    // Node removes its own error listener before an upgrade. Without this one, a connection that breaks while a handler
    // is waiting would end the process.
    socket.on('error', () => socket.destroy());
    const path = pathOf(request);
    const route = table.find(([pattern]) =>
      pattern.endsWith('/') ? path?.startsWith(pattern) : path === pattern,
    );
    try {
      if (route) route[1](request, socket, head);
      else refuseUpgrade(socket, 404);
    } catch (error) {
      logger.error({ err: error, path }, 'an upgrade failed');
      socket.destroy();
    }
  };
}

/** The URL of a request; undefined if it cannot be parsed: `GET //` is a valid request line, but no valid URL. */
export function addressOf(request: IncomingMessage): URL | undefined {
  try {
    return new URL(request.url ?? '', 'http://listener');
  } catch {
    return undefined;
  }
}

/** The path of a request; undefined if its URL cannot be parsed. */
export function pathOf(request: IncomingMessage): string | undefined {
  return addressOf(request)?.pathname;
}

/**
 * Answers an upgrade with an HTTP status, and closes the connection.
 * @param retryAfter seconds after which the client may retry.
 */
export function refuseUpgrade(socket: Duplex, status: 404 | 429 | 503, retryAfter?: number): void {
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Length: 0',
    ...(retryAfter === undefined ? [] : [`Retry-After: ${retryAfter}`]),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n`);
}
