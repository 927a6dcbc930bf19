import type { RequestHandler } from 'express';

/**
 * Forbids every cache to keep an answer, for answers hold tokens and private data. It comes before all else, so that it
 * covers errors and unknown paths, too. A route that may be cached says so itself (`ApiRoute.cacheControl`, and
 * `FileReply.cacheControl` for files).
 */
export const disableCaching: RequestHandler = (_request, response, next) => {
  response.setHeader('Cache-Control', 'no-store');
  next();
};
