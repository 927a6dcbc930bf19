import { z } from 'zod';
import { idOut, idSchema } from '../kernel/common.model';

/** Milliseconds in which a client says once that somebody types; more often changes nothing. */
export const TYPING_INTERVAL_MS = 3000;

/** Milliseconds after which somebody of whom nothing was heard counts as typing no more. */
export const TYPING_EXPIRY_MS = 2 * TYPING_INTERVAL_MS;

export const typingEvent = z.strictObject({ channelId: idSchema });
export const typingData = z.strictObject({});

export const typingChangedEvent = z.strictObject({
  channelId: idOut,
  userId: idOut,
  typing: z.boolean(),
});
