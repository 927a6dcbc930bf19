import type { RequestHandler } from 'express';

/**
 * Forbids caches to store answers, because answers contain tokens and private data. It is the first middleware, so that
 * it also covers errors and unknown paths. Routes with cacheable answers override it (`ApiRoute.cacheControl`, or
 * `SentFile.cacheControl` for files).
 */
export const disableCaching: RequestHandler = (_request, response, next) => {
  response.setHeader('Cache-Control', 'no-store');
  next();
};
