import type { Handlers } from './handler.types';

/** Handles the event that renews the access token of a socket. */
export function authHandlers(): Pick<Handlers, 'auth:refresh'> {
  return {
    'auth:refresh': async (_caller, { token }, { lifetime }) => ({
      expiresAt: (await lifetime.renew(token)).toISOString(),
    }),
  };
}
