import type { RequestHandler } from 'express';
import type { Access } from '../services/access/access';
import { callerOf } from './auth.middleware';

/** The path below which everything is administration of the server. */
export const ADMIN_PATH = '/api/admin';

/**
 * Refuses whoever may not see any of the administration, before their input is validated. It is not the only check: each
 * service asks `Access` itself. After `authenticate`.
 * @throws AppError forbidden
 */
export function requireAdministrator(access: Pick<Access, 'requireSuperAdmin'>): RequestHandler {
  return (_request, response, next) => {
    access.requireSuperAdmin(callerOf(response));
    next();
  };
}
