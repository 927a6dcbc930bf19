import { z } from 'zod';
import { limitSchema, wholeNumberText } from '../kernel/common.model';
import { messageSchema } from '../message.model';

const seq = wholeNumberText(0, Number.MAX_SAFE_INTEGER);
const pageFields = {
  before: seq.optional().meta({ description: 'Only messages with a smaller `seq`, newest first.' }),
  after: seq.optional().meta({ description: 'Only messages with a greater `seq`, oldest first.' }),
  limit: limitSchema(50, 200),
};

export const historyQuery = z
  .strictObject({
    ...pageFields,
    around: seq.optional().meta({
      description: 'The messages before and behind this `seq`, and the one that has it, oldest first.',
    }),
    at: z.iso.datetime().optional().meta({
      description: 'As `around`, with the first message that was sent at this time or later.',
    }),
    replies: z
      .enum(['include', 'exclude'])
      .default('include')
      .meta({ description: 'Whether messages that stand in threads are listed, too.' }),
  })
  .refine(
    ({ before, after, around, at }) =>
      [before, after, around, at].filter((place) => place !== undefined).length <= 1,
    'takes one of before, after, around and at',
  );
export type HistoryQuery = z.output<typeof historyQuery>;

export const repliesQuery = z
  .strictObject(pageFields)
  .refine(
    ({ before, after }) => before === undefined || after === undefined,
    'takes before or after, not both',
  );
export type RepliesQuery = z.output<typeof repliesQuery>;

const cursorOut = (description: string) => z.number().int().nullable().meta({ description });

export const messagesReply = z.strictObject({
  messages: z.array(messageSchema),
  nextCursor: cursorOut(
    'A `seq`: pass it as `before` or `after`, as in the call, and as `after` behind `around` and `at`; null at the end.',
  ),
  previousCursor: cursorOut(
    'With `around` and `at`, a `seq` to pass as `before` for what is older; null at the beginning, and else.',
  ),
});
export type MessagesReply = z.output<typeof messagesReply>;
