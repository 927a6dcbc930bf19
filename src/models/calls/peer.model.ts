import { z } from 'zod';

/** The id of a peer in the form that the PeerJS client allows, with at most 64 characters. */
export const peerIdSchema = z
  .string()
  .max(64)
  .regex(
    /^[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*$/,
    'must consist of letters and digits, separated by single dashes, underscores or spaces',
  );

/** The query of the WebSocket URL that a PeerJS client opens. Its `token` carries Parley's access token. */
export const peerQuery = z.object({
  key: z.literal('peerjs'),
  id: peerIdSchema,
  token: z.string().min(1, 'must be an access token').max(4096),
});

/** A frame for another peer. Only the PeerJS clients interpret the payload. */
const signal = z.object({
  type: z.enum(['OFFER', 'ANSWER', 'CANDIDATE']),
  dst: peerIdSchema,
  payload: z.unknown(),
});

/** Announces that the sender leaves: to one peer, or to the server if there is no `dst`. */
const leave = z.object({ type: z.literal('LEAVE'), dst: peerIdSchema.or(z.literal('')).nullish() });

/**
 * Every frame that a PeerJS client may send. Other fields are dropped, above all `src`, which the server sets itself.
 */
export const peerFrame = z.discriminatedUnion('type', [
  z.object({ type: z.literal('HEARTBEAT') }),
  leave,
  signal,
]);

/** A frame for another peer. */
export type PeerSignal = z.output<typeof signal> | { type: 'LEAVE'; dst: string };
