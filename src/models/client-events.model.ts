import type { z } from 'zod';
import { editMessageEvent, messageParams, messageReply, sendMessageEvent } from './message.model';
import { renewTokenEvent, tokenRenewedData } from './session.model';

/**
 * Every event that a client sends: what it does, the schema of its payload and of the data in its
 * acknowledgement. The TypeScript types of the server, of clients and of tests follow from it.
 */
export const CLIENT_EVENTS = {
  'auth:refresh': {
    summary: 'Go on with a new access token of the same session.',
    payload: renewTokenEvent,
    data: tokenRenewedData,
  },
  'message:send': {
    summary: 'Send a message. Acknowledged when it is on disk; sent again, it returns the first message.',
    payload: sendMessageEvent,
    data: messageReply,
  },
  'message:edit': {
    summary: "Change the text of one's own message.",
    payload: editMessageEvent,
    data: messageReply,
  },
  'message:delete': {
    summary: 'Delete a message: its author may, and moderators.',
    payload: messageParams,
    data: messageReply,
  },
} as const satisfies Record<string, { summary: string; payload: z.ZodType; data: z.ZodType }>;

export type ClientEvent = keyof typeof CLIENT_EVENTS;
export type PayloadOf<Event extends ClientEvent> = z.output<(typeof CLIENT_EVENTS)[Event]['payload']>;
export type DataOf<Event extends ClientEvent> = z.output<(typeof CLIENT_EVENTS)[Event]['data']>;
