import { z } from 'zod';

/** Why the server closes a socket for what its client has sent. */
export const socketEndedEvent = z.strictObject({ reason: z.enum(['too_many_events']) });

export const serverClosingEvent = z.strictObject({
  reconnectAfter: z
    .number()
    .int()
    .meta({ description: 'Milliseconds. They are spread, so that not everybody comes at once.' }),
});
