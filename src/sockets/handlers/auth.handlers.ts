import type { SocketLifetime } from '../socket-lifetime';
import type { Handlers } from './handler.types';

/** Handles the event that renews the access token of a socket. */
export function authHandlers(lifetime: SocketLifetime): Pick<Handlers, 'auth:refresh'> {
  return {
    'auth:refresh': async (_caller, { token }) => ({
      expiresAt: (await lifetime.renew(token)).toISOString(),
    }),
  };
}
