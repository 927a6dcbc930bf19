import type { RequestHandler, Response } from 'express';
import type { Caller } from '../models/identity/session.model';
import type { MaintenanceService } from '../services/operations/maintenance.service';
import type { SessionService } from '../services/identity/session.service';
import { AppError } from '../utils/errors';

/**
 * Lets a request through if it carries a good access token, and notes who makes it. During maintenance, it has to
 * be one of a super admin.
 */
export function authenticate(sessions: SessionService, maintenance: MaintenanceService): RequestHandler {
  return async (request, response, next) => {
    const token = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) {
      throw new AppError('unauthenticated', 'This takes an access token: Authorization: Bearer …');
    }
    const { caller } = await sessions.authenticate(token, request.ip ?? '');
    maintenance.admit(caller);
    response.locals['caller'] = caller;
    next();
  };
}

/** Who makes the request. Only behind `authenticate`. */
export function callerOf(response: Response): Caller {
  return response.locals['caller'] as Caller;
}
