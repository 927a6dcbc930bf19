import type { Server, Socket } from 'socket.io';
import type { z } from 'zod';
import type { CLIENT_EVENTS, ClientEvent, DataOf } from '../models/kernel/client-events.model';
import type { ServerEvent, ServerPayload } from '../models/kernel/server-events.model';
import type { Caller } from '../models/identity/session.model';
import type { PublicError } from '../utils/errors';

/** The acknowledgement of an event. `replayed`: the idempotency key had been used, and this is the first result. */
export type Ack<Data> = { ok: true; data: Data; replayed?: true } | { ok: false; error: PublicError };

export type ClientToServerEvents = {
  [Event in ClientEvent]: (
    payload: z.input<(typeof CLIENT_EVENTS)[Event]['payload']>,
    ack: (answer: Ack<DataOf<Event>>) => void,
  ) => void;
};

/** Every event that the server sends, as declared in models/kernel/server-events.model.ts. */
export type ServerToClientEvents = {
  [Event in ServerEvent]: (payload: ServerPayload<Event>) => void;
};

/** The data that the server attaches to an open socket. */
export interface SocketData {
  caller: Caller;
}

type NoEvents = Record<string, never>;
export type ParleyServer = Server<ClientToServerEvents, ServerToClientEvents, NoEvents, SocketData>;
export type ParleySocket = Socket<ClientToServerEvents, ServerToClientEvents, NoEvents, SocketData>;
