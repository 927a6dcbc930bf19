import type { RequestHandler } from 'express';
import type { Access } from '../services/access/access';
import { callerOf } from './auth.middleware';

/** The path of the administration of the server, with everything under it. */
export const ADMIN_PATH = '/api/admin';

/**
 * Refuses users who are not super admins before their input is validated. It is an additional check: each service
 * checks `Access` itself. Requires `authenticate` before it.
 * @throws AppError forbidden
 */
export function requireAdministrator(access: Pick<Access, 'requireSuperAdmin'>): RequestHandler {
  return (_request, response, next) => {
    access.requireSuperAdmin(callerOf(response));
    next();
  };
}
