import { ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { statusOf, toPublicError } from '../utils/errors';

/** A request as Engine.IO passes it to its middleware, with the parsed query. */
type EngineRequest = IncomingMessage & { _query?: Record<string, unknown> };

/** Engine.IO calls this for every request. For a WebSocket the second argument is no `ServerResponse`. */
type EngineMiddleware = (request: EngineRequest, response: unknown, next: () => void) => void;

/**
 * Engine.IO middleware that limits new connections. A refused connection gets the status, the Retry-After header and
 * `{error}` in the body, as over REST. It runs after the CORS middleware, so that browsers can read the response.
 * @param count rejects when the address has opened too many connections.
 */
export function throttleHandshakes(count: (request: IncomingMessage) => Promise<void>): EngineMiddleware {
  return (request, response, next) => {
    // Requests with an id belong to an open connection and are not counted.
    if (request._query?.['sid']) {
      next();
      return;
    }
    // Nothing listens for errors of this TCP connection yet, and an error without a listener would end the process.
    const ignore = () => undefined;
    if (!(response instanceof ServerResponse)) request.socket.on('error', ignore);
    void count(request).then(
      () => {
        next();
        request.socket.off('error', ignore);
      },
      (error: unknown) => refuse(request.socket, response, error),
    );
  };
}

function refuse(socket: Duplex, response: unknown, error: unknown): void {
  const status = statusOf(error);
  const shown = toPublicError(error);
  const body = JSON.stringify({ error: shown });
  const headers = {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'Content-Length': Buffer.byteLength(body),
    ...(shown.retryAfter !== undefined && { 'Retry-After': shown.retryAfter }),
  };
  if (response instanceof ServerResponse) {
    response.writeHead(status, headers).end(body);
    return;
  }
  // A WebSocket upgrade has no response object: the refusal is written to the TCP connection.
  const lines = Object.entries({ ...headers, Connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
}
