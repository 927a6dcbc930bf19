import type { RequestHandler, Response } from 'express';
import type { Caller } from '../models/identity/session.model';
import type { SessionService } from '../services/identity/session.service';
import { AppError } from '../utils/errors';

/**
 * Requires a valid access token, and stores the caller for `callerOf`.
 * @throws AppError unauthenticated, token_invalid, token_expired, session_revoked, …
 */
export function authenticate(sessions: Pick<SessionService, 'authenticate'>): RequestHandler {
  return async (request, response, next) => {
    const token = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) {
      throw new AppError('unauthenticated', 'An access token is required: Authorization: Bearer …');
    }
    const { caller } = await sessions.authenticate(token, request.ip ?? '');
    response.locals['caller'] = caller;
    next();
  };
}

/** Returns the caller of a request. Requires `authenticate` before it. */
export function callerOf(response: Response): Caller {
  return response.locals['caller'] as Caller;
}
