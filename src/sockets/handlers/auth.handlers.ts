import type { SocketLifetime } from '../socket-lifetime';
import type { Handlers } from './handler.types';

/** The event by which a socket goes on living. */
export function authHandlers(lifetime: SocketLifetime): Pick<Handlers, 'auth:refresh'> {
  return {
    'auth:refresh': async (_caller, { token }) => ({
      expiresAt: (await lifetime.renew(token)).toISOString(),
    }),
  };
}
