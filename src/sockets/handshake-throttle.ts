import { ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { statusOf, toPublicError } from '../utils/errors';

/** A request as Engine.IO hands it to its middleware: with the query parsed. */
type EngineRequest = IncomingMessage & { _query?: Record<string, unknown> };

/** What Engine.IO calls for every request of a connection. The second argument stands for the answer. */
type EngineMiddleware = (request: EngineRequest, response: unknown, next: () => void) => void;

/**
 * Middleware of Engine.IO that counts new connections. One too many gets the status, the header Retry-After and
 * `{error}` in the body, as over REST. It goes after the middleware for CORS, so that browsers may read the answer.
 * @param count rejects when the address has opened too many connections.
 */
export function throttleHandshakes(count: (request: IncomingMessage) => Promise<void>): EngineMiddleware {
  return (request, response, next) => {
    // A connection that exists has an id: its requests are not counted here.
    if (request._query?.['sid']) {
      next();
      return;
    }
    // Nothing else listens on the connection of a WebSocket yet, and an error without a listener would end the
    // process.
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
  // The request of a WebSocket has no response object: it is refused on the connection itself.
  const lines = Object.entries({ ...headers, Connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
}
