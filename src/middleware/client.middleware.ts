import type { RequestHandler } from 'express';
import { clientHeaders } from '../models/operations/client-version.model';
import type { SessionService } from '../services/identity/session.service';
import type { ClientVersions } from '../services/operations/client-versions';
import type { MaintenanceService } from '../services/operations/maintenance.service';
import { parseInput } from '../utils/validation';
import { authenticate, callerOf } from './auth.middleware';

/** The services that decide whether a client may call at all. */
export interface ClientGuardServices {
  clientVersions: Pick<ClientVersions, 'admit'>;
  sessions: Pick<SessionService, 'authenticate'>;
  maintenance: Pick<MaintenanceService, 'admit'>;
}

/** What a route requires of its clients. */
export interface ClientRequirements {
  /** Whether it takes an access token. */
  authenticated: boolean;
  /** Set on a route without access token that answers during maintenance, too. */
  duringMaintenance?: boolean;
}

/**
 * What every route requires of a client, in this order: a version that is not too old, a valid access token where the
 * route takes one, and that the server is not under maintenance, or that the caller is a super admin.
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
