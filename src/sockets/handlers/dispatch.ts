import type { Caller } from '../../models/session.model';
import type { IdempotencyService } from '../../services/idempotency.service';
import { AppError, toPublicError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import { parseInput } from '../../utils/validation';
import { CLIENT_EVENTS, type ClientEvent, type ClientEventSpec } from '../../models/client-events.model';
import type { Ack, ParleySocket } from '../socket.types';
import type { Handlers } from './handler.types';

/**
 * Answers every event of a socket by the table of handlers, in the same way: validate, one service call,
 * acknowledge. Whatever a client sends, it gets an error with a code, and the server goes on.
 */
export function dispatchEvents(
  socket: ParleySocket,
  handlers: Handlers,
  idempotency: IdempotencyService,
  logger: Logger,
): void {
  socket.onAny((event: string, ...parameters: unknown[]) => {
    const last = parameters.at(-1);
    const acknowledge = typeof last === 'function' ? (last as (answer: Ack<unknown>) => void) : undefined;
    const payload = acknowledge && parameters.length === 1 ? undefined : parameters[0];
    void handle(handlers, idempotency, socket.data.caller, event, payload).then(
      (answer) => acknowledge?.(answer),
      (error: unknown) => {
        if (!(error instanceof AppError)) {
          logger.error({ err: error, event, socketId: socket.id }, 'socket event failed');
        }
        acknowledge?.({ ok: false, error: toPublicError(error) });
      },
    );
  });
}

async function handle(
  handlers: Handlers,
  idempotency: IdempotencyService,
  caller: Caller,
  event: string,
  payload: unknown,
): Promise<Ack<unknown>> {
  if (!isClientEvent(event)) throw new AppError('unknown_event', 'There is no such event.');
  const spec: ClientEventSpec = CLIENT_EVENTS[event];
  const handler = handlers[event] as (caller: Caller, payload: unknown) => Promise<unknown>;
  const valid = parseInput(spec.payload, payload);
  if (spec.operation === undefined) return { ok: true, data: await handler(caller, valid) };
  const { idempotencyKey: key, ...input } = valid as { idempotencyKey?: string };
  if (key === undefined) return { ok: true, data: await handler(caller, input) };
  const { answer, replayed } = await idempotency.run(
    { key, userId: caller.userId, operation: spec.operation, input: [input], mode: 'atomic' },
    async () => ({ status: 200, body: await handler(caller, input) }),
  );
  return { ok: true, data: answer.body, ...(replayed && { replayed }) };
}

function isClientEvent(event: string): event is ClientEvent {
  return Object.hasOwn(CLIENT_EVENTS, event);
}
