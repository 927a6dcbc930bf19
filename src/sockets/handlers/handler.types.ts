import type { Caller } from '../../models/identity/session.model';
import type { ClientEvent, DataOf, PayloadOf } from '../../models/kernel/client-events.model';

/** For each client event, what answers it: one service call with a valid payload. */
export type Handlers = {
  [Event in ClientEvent]: (caller: Caller, payload: PayloadOf<Event>) => Promise<DataOf<Event>>;
};
