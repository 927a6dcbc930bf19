import type { ErrorRequestHandler, Request, RequestHandler } from 'express';
import type { RecentErrors } from '../services/operations/recent-errors';
import type { Timings } from '../services/operations/timings';
import { toKnownError } from './error.middleware';

/** Records the duration of each route, from the request to the end of the answer. Streams are not recorded. */
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

/** Records errors, and passes them on to the error handler. */
export function recordErrors(errors: RecentErrors): ErrorRequestHandler {
  return (thrown: unknown, request, _response, next) => {
    errors.record(nameOf(request), toKnownError(thrown), typeof request.id === 'string' ? request.id : null);
    next(thrown);
  };
}

/** Returns the declared path of the route, and not the requested path, of which there are infinitely many. */
function nameOf({ method, route }: Request): string {
  const path = (route as { path?: unknown } | undefined)?.path;
  return typeof path === 'string' ? `${method} ${path}` : 'no route';
}
