import type { Caller } from '../../models/identity/session.model';
import type { ClientEvent, DataOf, PayloadOf } from '../../models/kernel/client-events.model';
import type { SocketLifetime } from '../socket-lifetime';

/** The socket that sent an event. */
export interface EventSource {
  socketId: string;
  lifetime: SocketLifetime;
}

/**
 * The handler of each client event: one service call with a valid payload. Its result is the acknowledged data. All sockets
 * share the handlers, because each function takes memory.
 */
export type Handlers = {
  [Event in ClientEvent]: (
    caller: Caller,
    payload: PayloadOf<Event>,
    source: EventSource,
  ) => Promise<DataOf<Event>>;
};
