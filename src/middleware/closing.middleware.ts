import type { RequestHandler } from 'express';
import { AppError, toPublicError } from '../utils/errors';

/** Seconds after which a client may repeat a request that a closing server has refused. */
const RETRY_AFTER_SECONDS = 1;

/**
 * Refuses requests that arrive on open connections of a server that is closing: there is not enough time to finish them.
 * Clients and load balancers repeat them elsewhere. Health checks and metrics are still answered.
 */
export function refuseWhileClosing(isRefusing: () => boolean): RequestHandler {
  return (request, response, next) => {
    if (!isRefusing() || request.path.startsWith('/health/') || request.path === '/metrics') {
      next();
      return;
    }
    const error = new AppError(
      'unavailable',
      'The server is closing. Send this again.',
      undefined,
      RETRY_AFTER_SECONDS,
    );
    response.setHeader('Retry-After', String(RETRY_AFTER_SECONDS));
    response.setHeader('Connection', 'close');
    response.status(503).json({ error: { ...toPublicError(error), requestId: request.id } });
  };
}
