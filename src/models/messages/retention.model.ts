import { z } from 'zod';

/** The longest retention, in days: ten years. */
const MAX_DAYS = 3650;

export const setRetentionInput = z
  .strictObject({
    days: z
      .number()
      .int()
      .min(1)
      .max(MAX_DAYS)
      .nullable()
      .meta({ description: 'The number of days for which messages are kept; null for ever.' }),
  })
  .meta({ id: 'SetRetentionInput' });
export type SetRetentionInput = z.output<typeof setRetentionInput>;
