import type { Caller } from '../../models/identity/session.model';
import type { ClientEvent, DataOf, PayloadOf } from '../../models/kernel/client-events.model';

/** The handler of each client event: one service call with a valid payload. Its result is the acknowledged data. */
export type Handlers = {
  [Event in ClientEvent]: (caller: Caller, payload: PayloadOf<Event>) => Promise<DataOf<Event>>;
};
