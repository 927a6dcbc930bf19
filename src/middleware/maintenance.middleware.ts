import type { RequestHandler } from 'express';
import type { MaintenanceService } from '../services/operations/maintenance.service';

/**
 * Closes a route without access token during maintenance. Those that take one are closed where it is read, to all
 * but super admins.
 */
export function duringMaintenance(maintenance: MaintenanceService): RequestHandler {
  return (_request, _response, next) => {
    maintenance.admit(undefined);
    next();
  };
}
