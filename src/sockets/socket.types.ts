import type { Server, Socket } from 'socket.io';
import type { z } from 'zod';
import { editMessageEvent, messageParams, messageReply, sendMessageEvent } from '../models/message.model';
import type { ServerEvent, ServerPayload } from '../models/server-events.model';
import { renewTokenEvent, tokenRenewedData, type Caller } from '../models/session.model';
import type { PublicError } from '../utils/errors';

/**
 * Every event that a client sends: the schema of its payload and of the data in its acknowledgement.
 * The TypeScript types of clients and tests follow from it.
 */
export const CLIENT_EVENTS = {
  'auth:refresh': { payload: renewTokenEvent, data: tokenRenewedData },
  'message:send': { payload: sendMessageEvent, data: messageReply },
  'message:edit': { payload: editMessageEvent, data: messageReply },
  'message:delete': { payload: messageParams, data: messageReply },
} as const satisfies Record<string, { payload: z.ZodType; data: z.ZodType }>;

export type ClientEvent = keyof typeof CLIENT_EVENTS;
export type PayloadOf<Event extends ClientEvent> = z.output<(typeof CLIENT_EVENTS)[Event]['payload']>;
export type DataOf<Event extends ClientEvent> = z.output<(typeof CLIENT_EVENTS)[Event]['data']>;

/** What an event is acknowledged with. */
export type Ack<Data> = { ok: true; data: Data } | { ok: false; error: PublicError };

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
  /** The private channels and direct conversations that it hears, and the group of each. */
  privateChannels: Map<string, string | null>;
}

type NoEvents = Record<string, never>;
export type ParleyServer = Server<ClientToServerEvents, ServerToClientEvents, NoEvents, SocketData>;
export type ParleySocket = Socket<ClientToServerEvents, ServerToClientEvents, NoEvents, SocketData>;
