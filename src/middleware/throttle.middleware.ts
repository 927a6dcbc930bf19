import type { RequestHandler } from 'express';
import type { Throttle } from '../models/operations/throttle.model';
import type { ThrottleService } from '../services/operations/throttle.service';

/** Refuses requests of an address that exceeds the limit of a route. @throws AppError rate_limited */
export function limitCalls(service: ThrottleService): (throttle: Throttle) => RequestHandler {
  return (throttle) => async (request, _response, next) => {
    await service.countCall(throttle, request.ip ?? '');
    next();
  };
}
