import { z } from 'zod';
import { CLIENT_VERSION_FORM, parseClientVersion } from '../../utils/client-version';

/** What a client calls itself and its version. */
export const clientVersion = z
  .string()
  .refine((text) => parseClientVersion(text) !== undefined, CLIENT_VERSION_FORM)
  .meta({
    description:
      'The name and the version of the client, such as web/1.4.2. One that is older than the server allows gets ' +
      'client_outdated. A client without this header is never too old.',
  });

/** The header by which a client names itself over REST. */
export const clientHeaders = z.object({ 'X-Parley-Client': clientVersion.optional() });

/** What a client names itself by in `auth` of the Socket.IO handshake, beside its token. */
export const clientHandshake = z.object({ client: clientVersion.optional() });
