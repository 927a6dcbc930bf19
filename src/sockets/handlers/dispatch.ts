import type { Caller } from '../../models/identity/session.model';
import type { IdempotencyService } from '../../services/idempotency/idempotency.service';
import type { Freshness } from '../../services/kernel/freshness';
import type { Tracing } from '../../services/kernel/tracing';
import type { SessionService } from '../../services/identity/session.service';
import type { MaintenanceService } from '../../services/operations/maintenance.service';
import type { RecentErrors } from '../../services/operations/recent-errors';
import { NO_EVENT, type Timings } from '../../services/operations/timings';
import type { PresenceService } from '../../services/presence/presence.service';
import { AppError, toPublicError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import { parseInput } from '../../utils/validation';
import {
  CLIENT_EVENTS,
  type ClientEvent,
  type ClientEventSpec,
} from '../../models/kernel/client-events.model';
import type { EventGate } from '../event-gate';
import type { Ack, ParleySocket } from '../socket.types';
import type { SocketLifetime } from '../socket-lifetime';
import type { EventSource, Handlers } from './handler.types';

/** The services that every event uses. */
interface DispatchServices {
  sessions: SessionService;
  maintenance: MaintenanceService;
  idempotency: IdempotencyService;
  presence: PresenceService;
  timings: Timings;
  errors: RecentErrors;
  freshness: Pick<Freshness, 'isFresh' | 'untilFresh'>;
}

/**
 * Handles every event of a socket in the same way: rate limit, validation, one service call by the handler, and the
 * acknowledgement. A failed event is acknowledged with an error code; none can end the process.
 */
export function dispatchEvents(
  socket: ParleySocket,
  lifetime: SocketLifetime,
  handlers: Handlers,
  services: DispatchServices,
  gate: EventGate,
  logger: Logger,
  tracing: Tracing | undefined,
): void {
  const source = { socketId: socket.id, lifetime };

  socket.onAny((event: string, ...parameters: unknown[]) => {
    // Events that arrive after the server has disconnected the socket are ignored.
    if (!socket.connected) return;
    const last = parameters.at(-1);
    const acknowledge = typeof last === 'function' ? (last as (answer: Ack<unknown>) => void) : undefined;
    const payload = acknowledge && parameters.length === 1 ? undefined : parameters[0];
    void answer(event, payload, acknowledge);
  });

  async function answer(
    event: string,
    payload: unknown,
    acknowledge: ((answer: Ack<unknown>) => void) | undefined,
  ): Promise<void> {
    const name = isClientEvent(event) ? event : NO_EVENT;
    const start = performance.now();
    gate.begin();
    try {
      let result: Ack<unknown>;
      try {
        gate.admit(socket);
        if (!services.freshness.isFresh) {
          await services.freshness.untilFresh();
          // The socket may have been closed by what this node has learned meanwhile.
          if (!socket.connected) return;
        }
        const work = () => handle(handlers, services, socket, source, event, payload);
        result = await (tracing ? tracing.run(`socket ${name}`, {}, work, true) : work());
      } catch (error) {
        services.errors.record(name === NO_EVENT ? name : `socket ${name}`, error, null);
        if (!(error instanceof AppError)) {
          const userId = socket.data.caller.userId.toHexString();
          logger.error({ err: error, event: name, socketId: socket.id, userId }, 'socket event failed');
        }
        result = { ok: false, error: toPublicError(error) };
      }
      services.timings.recordEvent(
        name,
        performance.now() - start,
        result.ok ? undefined : result.error.code,
      );
      acknowledge?.(result);
    } finally {
      gate.finish();
    }
  }
}

async function handle(
  handlers: Handlers,
  { sessions, maintenance, idempotency, presence }: DispatchServices,
  socket: ParleySocket,
  source: EventSource,
  event: string,
  payload: unknown,
): Promise<Ack<unknown>> {
  // As over REST, the session is checked each time: the role may have changed. It is cached, so events keep their order.
  const { caller: known } = socket.data;
  const caller = sessions.recall(known) ?? (await sessions.reauthenticate(known));
  // A socket that stays open during maintenance must still be able to renew its token.
  if (event !== 'auth:refresh') maintenance.admit(caller);
  if (!isClientEvent(event)) throw new AppError('unknown_event', 'There is no such event.');
  const spec: ClientEventSpec = CLIENT_EVENTS[event];
  const handler = handlers[event] as (
    caller: Caller,
    payload: unknown,
    source: EventSource,
  ) => Promise<unknown>;
  const valid = parseInput(spec.payload, payload, 'payload');
  if (!spec.background) presence.recordActivity(socket.id, caller.userId);
  if (spec.operation === undefined) return { ok: true, data: await handler(caller, valid, source) };
  const { idempotencyKey: key, ...input } = valid as { idempotencyKey?: string };
  if (key === undefined) return { ok: true, data: await handler(caller, input, source) };
  const { answer, replayed } = await idempotency.run(
    { key, userId: caller.userId, operation: spec.operation, input: [input], mode: 'atomic' },
    async () => ({ status: 200, body: await handler(caller, input, source) }),
  );
  return { ok: true, data: answer.body, ...(replayed && { replayed }) };
}

function isClientEvent(event: string): event is ClientEvent {
  return Object.hasOwn(CLIENT_EVENTS, event);
}
