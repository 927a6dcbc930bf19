import { z } from 'zod';
import { limitSchema, wholeNumberText } from '../kernel/common.model';
import { messageSchema } from '../message.model';

/** The maximum number of pinned messages per channel. */
export const MAX_PINS = 50;

export const pinsQuery = z.strictObject({
  cursor: wholeNumberText(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'The `nextCursor` of the previous page.' }),
  limit: limitSchema(MAX_PINS, MAX_PINS),
});
export type PinsQuery = z.output<typeof pinsQuery>;

export const pinsReply = z.strictObject({
  messages: z.array(messageSchema),
  nextCursor: z
    .number()
    .int()
    .nullable()
    .meta({ description: 'Pass it as `cursor` for the next page; null on the last page.' }),
});
export type PinsReply = z.output<typeof pinsReply>;
