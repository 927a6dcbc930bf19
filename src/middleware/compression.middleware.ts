import compression from 'compression';
import type { RequestHandler } from 'express';
import { constants } from 'node:zlib';

/** Shorter answers fit into one packet anyway, in bytes. */
const THRESHOLD_BYTES = 1024;

/**
 * Compresses answers for clients that accept it, on the threads of Node.js and while they are sent. Texts and JSON only:
 * images, archives and the like are compressed already. Routes apply it (`mountRoutes`), so that answers with secrets and
 * files are left as they are.
 */
export function compressAnswers(): RequestHandler {
  const compress = compression({
    threshold: THRESHOLD_BYTES,
    level: 4,
    brotli: {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 4,
        // By default, each answer that is being compressed would take several megabytes.
        [constants.BROTLI_PARAM_LGWIN]: 18,
      },
    },
    filter: (request, response) =>
      // The library would compress a part of a file as if it were the whole.
      !response.hasHeader('Content-Range') &&
      (String(response.getHeader('Content-Type')).startsWith('application/x-ndjson') ||
        compression.filter(request, response)),
  });
  return (request, response, next) => {
    // On all of them, also on 304, whose headers must be those of the answer that the client has.
    response.vary('Accept-Encoding');
    compress(request, response, next);
  };
}
