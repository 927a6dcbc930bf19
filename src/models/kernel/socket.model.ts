import { z } from 'zod';

/** Why the server closes a socket because of what its client has sent. */
export const socketEndedEvent = z.strictObject({ reason: z.enum(['too_many_events']) });

export const serverClosingEvent = z.strictObject({
  reconnectAfter: z.number().int().meta({
    description:
      'Milliseconds. They differ between sockets, so that not all clients reconnect at the same time.',
  }),
});
