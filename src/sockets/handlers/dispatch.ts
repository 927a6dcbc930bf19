import type { Caller } from '../../models/session.model';
import { AppError, toPublicError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import { parseInput } from '../../utils/validation';
import { CLIENT_EVENTS, type ClientEvent } from '../../models/client-events.model';
import type { Ack, ParleySocket } from '../socket.types';
import type { Handlers } from './handler.types';

/**
 * Answers every event of a socket by the table of handlers, in the same way: validate, one service call,
 * acknowledge. Whatever a client sends, it gets an error with a code, and the server goes on.
 */
export function dispatchEvents(socket: ParleySocket, handlers: Handlers, logger: Logger): void {
  socket.onAny((event: string, ...parameters: unknown[]) => {
    const last = parameters.at(-1);
    const acknowledge = typeof last === 'function' ? (last as (answer: Ack<unknown>) => void) : undefined;
    const payload = acknowledge && parameters.length === 1 ? undefined : parameters[0];
    void handle(handlers, socket.data.caller, event, payload).then(
      (data) => acknowledge?.({ ok: true, data }),
      (error: unknown) => {
        if (!(error instanceof AppError)) {
          logger.error({ err: error, event, socketId: socket.id }, 'socket event failed');
        }
        acknowledge?.({ ok: false, error: toPublicError(error) });
      },
    );
  });
}

async function handle(handlers: Handlers, caller: Caller, event: string, payload: unknown): Promise<unknown> {
  if (!isClientEvent(event)) throw new AppError('unknown_event', 'There is no such event.');
  const handler = handlers[event] as (caller: Caller, payload: unknown) => Promise<unknown>;
  return handler(caller, parseInput(CLIENT_EVENTS[event].payload, payload));
}

function isClientEvent(event: string): event is ClientEvent {
  return Object.hasOwn(CLIENT_EVENTS, event);
}
