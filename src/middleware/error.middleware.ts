import type { ErrorRequestHandler, RequestHandler } from 'express';
import { userOf } from './request-log.middleware';
import { AppError, statusOf, toPublicError } from '../utils/errors';

/** Answers all requests that no route has answered with 404. */
export const routeNotFound: RequestHandler = (request, _response, next) => {
  next(new AppError('route_not_found', `There is no ${request.method} ${request.path}.`));
};

/** Answers with a thrown error in the common error format. The cause of a 500 is only logged. */
export const handleError: ErrorRequestHandler = (thrown: unknown, request, response, next) => {
  const error = toKnownError(thrown);
  const status = statusOf(error);
  if (status >= 500) {
    // The declared path: the requested one contains ids.
    const route = (request.route as { path?: unknown } | undefined)?.path;
    request.log.error({ err: thrown, route, ...userOf(response) }, 'request failed');
  }
  if (response.headersSent) {
    next(error);
    return;
  }
  const shown = toPublicError(error);
  if (shown.retryAfter !== undefined) response.setHeader('Retry-After', String(shown.retryAfter));
  // A file reply that failed before its first byte has already set the header for caching a file.
  response.setHeader('Cache-Control', 'no-store');
  if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
  response.status(status).json({ error: { ...shown, requestId: request.id } });
};

/** Converts errors of Express and its body parser to errors with a code of Parley; returns other errors unchanged. */
export function toKnownError(thrown: unknown): unknown {
  return fromParser(thrown) ?? thrown;
}

/** Recognises them by their `type` or `status`. */
function fromParser(thrown: unknown): AppError | undefined {
  if (!(thrown instanceof Error) || thrown instanceof AppError) return undefined;
  const { type, status } = thrown as Error & { type?: string; status?: number };
  if (type === 'entity.parse.failed') return new AppError('malformed_json', 'The body is not valid JSON.');
  if (status === 413) return new AppError('payload_too_large', 'The body is too large.');
  if (status === 415) return new AppError('unsupported_media_type', 'The body has an unsupported encoding.');
  if (status !== undefined && status >= 400 && status < 500) {
    return new AppError('bad_request', 'The request is malformed.');
  }
  return undefined;
}
