import { z } from 'zod';

/** The longest time that can be set, in days: ten years. */
const MAX_DAYS = 3650;

export const setRetentionInput = z
  .strictObject({
    days: z
      .number()
      .int()
      .min(1)
      .max(MAX_DAYS)
      .nullable()
      .meta({ description: 'For how many days messages are kept; null for ever.' }),
  })
  .meta({ id: 'SetRetentionInput' });
export type SetRetentionInput = z.output<typeof setRetentionInput>;
