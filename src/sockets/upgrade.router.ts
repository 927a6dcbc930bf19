import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Gives every `upgrade` of a listener to exactly one WebSocket server, by its path, and answers 404 to the rest.
 * Two servers that both listen for `upgrade` would write into each other's connections.
 * @param routes by path; a path that ends in a slash stands for everything below it.
 */
export function createUpgradeRouter(routes: Record<string, UpgradeHandler>): UpgradeHandler {
  const table = Object.entries(routes);
  return (request, socket, head) => {
    const path = pathOf(request);
    const route = table.find(([pattern]) =>
      pattern.endsWith('/') ? path?.startsWith(pattern) : path === pattern,
    );
    if (route) route[1](request, socket, head);
    else refuse(socket);
  };
}

/** The path of a request; undefined if the address cannot be read. */
export function pathOf(request: IncomingMessage): string | undefined {
  const url = request.url ?? '';
  return URL.canParse(url, 'http://listener') ? new URL(url, 'http://listener').pathname : undefined;
}

function refuse(socket: Duplex): void {
  // The client may be gone before it has read the answer; that is no concern of the server's.
  socket.on('error', () => socket.destroy());
  socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
}
