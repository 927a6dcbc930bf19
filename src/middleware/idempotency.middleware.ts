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

/** What it takes of a route to tell its requests apart. */
interface WriteRoute {
  operationId: string;
  authenticated: boolean;
  idempotency?: IdempotencyMode;
}

/** Does the work of a request, or gives the answer that an equal one has had under its key. */
export type RunIdempotently = (
  route: WriteRoute,
  request: Request,
  response: Response,
  work: () => Promise<Answer>,
) => Promise<Answer>;

/**
 * Keeps the contract of the header Idempotency-Key. Behind authentication and validation: an answer is replayed
 * only to whoever may ask, and requests are compared by what they mean.
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

/** A file without a name is compared as ever, so that answers stay good which were recorded before there were names. */
function fingerprintOf({ sha256, name }: UploadedFile): object {
  return name === undefined ? { file: sha256 } : { file: sha256, name };
}
