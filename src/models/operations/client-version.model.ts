import { z } from 'zod';
import { CLIENT_VERSION_FORM, parseClientVersion } from '../../utils/client-version';

/** The name and version of a client. */
export const clientVersion = z
  .string()
  .refine((text) => parseClientVersion(text) !== undefined, CLIENT_VERSION_FORM)
  .meta({
    description:
      'The name and version of the client, such as web/1.4.2. A client that is older than the server allows receives ' +
      'client_outdated. A client without this header is not checked.',
  });

/** The header in which a client states its version over REST. */
export const clientHeaders = z.object({ 'X-Parley-Client': clientVersion.optional() });

/** The part of `auth` in the Socket.IO handshake in which a client states its version. */
export const clientHandshake = z.object({ client: clientVersion.optional() });
