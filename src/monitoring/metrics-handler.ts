import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../utils/logger';

/** The text format of Prometheus. */
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Creates the handler of `GET /metrics`.
 * @param read returns the metrics as text. It is called once for all requests that wait at the same time.
 * @param token what a request must have as its bearer token; undefined if everyone who can connect may read them.
 */
export function metricsHandler(
  read: () => Promise<string>,
  token: string | undefined,
  logger: Pick<Logger, 'error'>,
): (request: IncomingMessage, response: ServerResponse) => void {
  let reading: Promise<string> | undefined;
  return (request, response) => {
    response.setHeader('Cache-Control', 'no-store');
    if (token !== undefined && !hasToken(request, token)) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      answer(response, 401, 'A token is required.\n');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      answer(response, 405, 'Only GET is possible.\n');
      return;
    }
    reading ??= read().finally(() => (reading = undefined));
    reading.then(
      (text) => {
        answer(response, 200, text, CONTENT_TYPE);
      },
      (error: unknown) => {
        logger.error({ err: error }, 'the metrics could not be read');
        answer(response, 500, 'The metrics could not be read.\n');
      },
    );
  };
}

/** Compares digests: neither the content nor the length of the token follows from how long it takes. */
function hasToken({ headers }: IncomingMessage, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function answer(response: ServerResponse, status: number, text: string, type = 'text/plain'): void {
  response.statusCode = status;
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', Buffer.byteLength(text));
  response.end(text);
}
