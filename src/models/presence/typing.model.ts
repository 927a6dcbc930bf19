import { z } from 'zod';
import { idOut, idSchema } from '../kernel/common.model';

/** The interval in which a client reports that the user is typing; more frequent reports have no effect. */
export const TYPING_INTERVAL_MS = 3000;

/** How long a user counts as typing after the last report. */
export const TYPING_EXPIRY_MS = 2 * TYPING_INTERVAL_MS;

export const typingEvent = z.strictObject({ channelId: idSchema });
export const typingData = z.strictObject({});

export const typingChangedEvent = z.strictObject({
  channelId: idOut,
  userId: idOut,
  typing: z.boolean(),
});
