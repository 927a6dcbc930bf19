import type { Request, Response } from 'express';
import {
  idempotencyHeaders,
  type Answer,
  type IdempotencyMode,
} from '../models/idempotency/idempotency.model';
import type { UploadedFile } from '../models/files/upload.model';
import type { IdempotencyService } from '../services/idempotency/idempotency.service';
import { parseInput } from '../utils/validation';
import { callerOf } from './auth.middleware';
import { inputOf } from './validate.middleware';

/** The properties of a route that distinguish its requests. */
interface WriteRoute {
  operationId: string;
  authenticated: boolean;
  idempotency?: IdempotencyMode;
}

/** Executes a request, or returns the stored answer of an equal request with the same key. */
export type RunIdempotently = (
  route: WriteRoute,
  request: Request,
  response: Response,
  work: () => Promise<Answer>,
) => Promise<Answer>;

/**
 * Implements the header Idempotency-Key. It runs after authentication and validation, so that answers are replayed only
 * to callers with access, and requests are compared by their validated input.
 * @throws AppError validation_failed, idempotency_key_reused, idempotency_in_progress
 */
export function handleIdempotencyKeys(idempotency: IdempotencyService): RunIdempotently {
  return async (route, request, response, work) => {
    const headers = { 'Idempotency-Key': request.get('idempotency-key') };
    const { 'Idempotency-Key': key } = parseInput(idempotencyHeaders, headers, 'headers');
    if (key === undefined) return work();
    const { params, query, body, file } = inputOf(response);
    const { answer, replayed } = await idempotency.run(
      {
        key,
        userId: route.authenticated ? callerOf(response).userId : undefined,
        operation: route.operationId,
        input: [params, query, body, file && fingerprintOf(file)],
        mode: route.idempotency ?? 'atomic',
      },
      work,
    );
    if (replayed) response.setHeader('Idempotency-Replayed', 'true');
    return answer;
  };
}

/**
 * Returns what identifies an uploaded file. Files without a name keep their old form, so that stored answers remain
 * valid.
 */
function fingerprintOf({ sha256, name }: UploadedFile): object {
  return name === undefined ? { file: sha256 } : { file: sha256, name };
}
