import { randomUUID } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import { pinoHttp } from 'pino-http';
import type { Caller } from '../models/identity/session.model';
import type { Logger } from '../utils/logger';
import { safePath } from '../utils/redact';

/**
 * Assigns an id to each request, returns it as X-Request-Id, and logs one line per answer, with the id of the user. An id that a
 * proxy has set is kept. Bodies, headers and query strings are not logged, because they can contain secrets.
 */
export function requestLog(logger: Logger): RequestHandler {
  return pinoHttp({
    logger,
    genReqId: (request, response) => {
      const given = request.headers['x-request-id'];
      const id = typeof given === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(given) ? given : randomUUID();
      response.setHeader('X-Request-Id', id);
      return id;
    },
    customLogLevel: (_request, response, error) => {
      if (error || (response.statusCode >= 500 && response.statusCode !== 503)) return 'error';
      // 503 is for clients that should try again, such as those of a server that is closing.
      return response.statusCode >= 400 ? 'warn' : 'info';
    },
    customProps: (_request, response) => userOf(response as Response),
    // Otherwise the serializers receive what those of the library leave, and that of errors leaves too much.
    wrapSerializers: false,
    serializers: {
      req: ({ id, method, originalUrl, socket }: Request) => ({
        id,
        method,
        path: safePath(originalUrl),
        remoteAddress: socket.remoteAddress,
      }),
      res: (response: { statusCode: number }) => ({ statusCode: response.statusCode }),
    },
  });
}

/** Returns the id of the caller for the log; nothing before the access token has been checked. */
export function userOf({ locals }: Response): { userId?: string } {
  // The library also calls this before Express has added `locals`.
  const caller = (locals as Record<string, unknown> | undefined)?.['caller'] as Caller | undefined;
  return caller ? { userId: caller.userId.toHexString() } : {};
}
