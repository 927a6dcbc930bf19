import type { ErrorRequestHandler, Request, RequestHandler } from 'express';
import type { RecentErrors } from '../services/operations/recent-errors';
import { NO_ROUTE, type Timings } from '../services/operations/timings';
import { toKnownError } from './error.middleware';

/** Records each answer by its route, with the duration from the request to its end. */
export function recordTimings(timings: Timings): RequestHandler {
  return (request, response, next) => {
    const start = performance.now();
    response.once('finish', () => {
      const isStream = String(response.getHeader('content-type')).startsWith('application/x-ndjson');
      const milliseconds = isStream ? undefined : performance.now() - start;
      timings.recordRequest(request.method, routeOf(request), response.statusCode, milliseconds);
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
export function routeOf({ route }: Request): string {
  const path = (route as { path?: unknown } | undefined)?.path;
  return typeof path === 'string' ? path : NO_ROUTE;
}

function nameOf(request: Request): string {
  const route = routeOf(request);
  return route === NO_ROUTE ? route : `${request.method} ${route}`;
}
