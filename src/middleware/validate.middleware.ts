import type { Request, RequestHandler, Response } from 'express';
import type { z } from 'zod';
import type { UploadedFile } from '../models/files/upload.model';
import { AppError } from '../utils/errors';
import { parseInput } from '../utils/validation';

/** The schemas of the input of a route. Parts without a schema are ignored. */
export interface InputSchemas {
  params?: z.ZodType;
  query?: z.ZodType;
  body?: z.ZodType;
}

export interface ValidInput {
  params: unknown;
  query: unknown;
  body: unknown;
  /** The uploaded file, if the route accepts one. */
  file?: UploadedFile;
}

/** Validates the input of a route. @throws AppError validation_failed, unsupported_media_type */
export function validate(schemas: InputSchemas): RequestHandler {
  return (request, response, next) => {
    if (schemas.body && hasForeignBody(request)) {
      throw new AppError('unsupported_media_type', 'The body must be application/json.');
    }
    response.locals['input'] = {
      params: schemas.params && parseInput(schemas.params, request.params, 'path'),
      query: schemas.query && parseInput(schemas.query, request.query, 'query'),
      body: schemas.body && parseInput(schemas.body, request.body, 'body'),
    } satisfies ValidInput;
    next();
  };
}

export function inputOf(response: Response): ValidInput {
  return response.locals['input'] as ValidInput;
}

/**
 * Whether a request has a body of another type than JSON. With `Content-Length: 0` it has no body, whatever its type.
 */
function hasForeignBody(request: Request): boolean {
  return request.body === undefined && request.get('content-length') !== '0' && request.is('json') === false;
}
