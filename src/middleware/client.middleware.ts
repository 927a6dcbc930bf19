import type { RequestHandler } from 'express';
import { clientHeaders } from '../models/operations/client-version.model';
import type { SessionService } from '../services/identity/session.service';
import type { ClientVersions } from '../services/operations/client-versions';
import type { MaintenanceService } from '../services/operations/maintenance.service';
import { parseInput } from '../utils/validation';
import { authenticate, callerOf } from './auth.middleware';

/** The services that decide whether a client may call a route. */
export interface ClientGuardServices {
  clientVersions: Pick<ClientVersions, 'admit'>;
  sessions: Pick<SessionService, 'authenticate'>;
  maintenance: Pick<MaintenanceService, 'admit'>;
}

/** What a route requires of its clients. */
export interface ClientRequirements {
  /** Whether it requires an access token. */
  authenticated: boolean;
  /** Set for a route without access token that is available during maintenance. */
  duringMaintenance?: boolean;
}

/**
 * Returns the middleware that checks what a route requires of its clients, in this order: a version that is not too
 * old, a valid access token if the route requires one, and no maintenance unless the caller is a super admin.
 * @throws AppError validation_failed (the header X-Parley-Client), client_outdated, unauthenticated, …, maintenance
 */
export function admitClient(
  { clientVersions, sessions, maintenance }: ClientGuardServices,
  { authenticated, duringMaintenance }: ClientRequirements,
): RequestHandler[] {
  const requireVersion: RequestHandler = (request, _response, next) => {
    const headers = { 'X-Parley-Client': request.get('x-parley-client') };
    clientVersions.admit(parseInput(clientHeaders, headers, 'headers')['X-Parley-Client']);
    next();
  };
  const refuseDuringMaintenance: RequestHandler = (_request, response, next) => {
    maintenance.admit(authenticated ? callerOf(response) : undefined);
    next();
  };
  return [
    requireVersion,
    ...(authenticated ? [authenticate(sessions)] : []),
    ...(duringMaintenance ? [] : [refuseDuringMaintenance]),
  ];
}
