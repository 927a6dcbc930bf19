import type { Server, Socket } from 'socket.io';
import type { z } from 'zod';
import type { CLIENT_EVENTS, ClientEvent, DataOf } from '../models/kernel/client-events.model';
import type { ServerEvent, ServerPayload } from '../models/kernel/server-events.model';
import type { Caller } from '../models/identity/session.model';
import type { PublicError } from '../utils/errors';

/** What an event is acknowledged with; `replayed` says that its idempotency key had been used. */
export type Ack<Data> = { ok: true; data: Data; replayed?: true } | { ok: false; error: PublicError };

export type ClientToServerEvents = {
  [Event in ClientEvent]: (
    payload: z.input<(typeof CLIENT_EVENTS)[Event]['payload']>,
    ack: (answer: Ack<DataOf<Event>>) => void,
  ) => void;
};

/** Every event that the server sends, as models/server-events.model.ts declares them. */
export type ServerToClientEvents = {
  [Event in ServerEvent]: (payload: ServerPayload<Event>) => void;
};

/** What a server keeps about an open socket. */
export interface SocketData {
  caller: Caller;
}

type NoEvents = Record<string, never>;
export type ParleyServer = Server<ClientToServerEvents, ServerToClientEvents, NoEvents, SocketData>;
export type ParleySocket = Socket<ClientToServerEvents, ServerToClientEvents, NoEvents, SocketData>;
