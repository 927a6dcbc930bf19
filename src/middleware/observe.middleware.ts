import type { ErrorRequestHandler, Request, RequestHandler } from 'express';
import type { RecentErrors } from '../services/operations/recent-errors';
import type { Timings } from '../services/operations/timings';
import { toKnownError } from './error.middleware';

/** Notes how long each route takes, from the request to the end of the answer. Streams are left out. */
export function recordTimings(timings: Timings): RequestHandler {
  return (request, response, next) => {
    const start = performance.now();
    response.once('finish', () => {
      if (String(response.getHeader('content-type')).startsWith('application/x-ndjson')) return;
      timings.record(nameOf(request), performance.now() - start);
    });
    next();
  };
}

/** Notes errors, and hands them on to who answers them. */
export function recordErrors(errors: RecentErrors): ErrorRequestHandler {
  return (thrown: unknown, request, _response, next) => {
    errors.record(nameOf(request), toKnownError(thrown), typeof request.id === 'string' ? request.id : null);
    next(thrown);
  };
}

/** The route of a request as it is declared, not as it was called: there is no end of addresses. */
function nameOf({ method, route }: Request): string {
  const path = (route as { path?: unknown } | undefined)?.path;
  return typeof path === 'string' ? `${method} ${path}` : 'no route';
}
