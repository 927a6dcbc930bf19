import { z } from 'zod';

/** The id of a peer, as the PeerJS client allows it, and no longer than 64 characters. */
const peerId = z
  .string()
  .max(64)
  .regex(
    /^[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*$/,
    'must be letters and digits, with single - _ or spaces between',
  );

/** What a PeerJS client puts into the address of its WebSocket. Its `token` carries Parley's access token. */
export const peerQuery = z.object({
  key: z.literal('peerjs'),
  id: peerId,
  token: z.string().min(1, 'must be an access token').max(4096),
});

/** A frame that another peer is to receive. The payload belongs to the PeerJS clients. */
const signal = z.object({
  type: z.enum(['OFFER', 'ANSWER', 'CANDIDATE']),
  dst: peerId,
  payload: z.unknown(),
});

/** Says that the sender has left: to one peer, or, without `dst`, to the server. */
const leave = z.object({ type: z.literal('LEAVE'), dst: peerId.or(z.literal('')).nullish() });

/** Every frame that a PeerJS client may send. Other fields are dropped; above all `src`, which the server sets. */
export const peerFrame = z.discriminatedUnion('type', [
  z.object({ type: z.literal('HEARTBEAT') }),
  leave,
  signal,
]);

/** A frame for another peer. */
export type PeerSignal = z.output<typeof signal> | { type: 'LEAVE'; dst: string };
