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
      description: 'The message with this `seq` and the messages before and after it, oldest first.',
    }),
    at: z.iso.datetime().optional().meta({
      description: 'Like `around`, with the first message that was sent at or after this time.',
    }),
    replies: z
      .enum(['include', 'exclude'])
      .default('include')
      .meta({ description: 'Whether replies in threads are included.' }),
  })
  .refine(
    ({ before, after, around, at }) =>
      [before, after, around, at].filter((position) => position !== undefined).length <= 1,
    'must contain at most one of before, after, around and at',
  );
export type HistoryQuery = z.output<typeof historyQuery>;

export const repliesQuery = z
  .strictObject(pageFields)
  .refine(
    ({ before, after }) => before === undefined || after === undefined,
    'must contain at most one of before and after',
  );
export type RepliesQuery = z.output<typeof repliesQuery>;

const cursorOut = (description: string) => z.number().int().nullable().meta({ description });

export const messagesReply = z.strictObject({
  messages: z.array(messageSchema),
  nextCursor: cursorOut(
    'A `seq`: pass it in the same parameter, `before` or `after`, for the next page. Following `around` or `at`, pass it as `after`. Null at the end.',
  ),
  previousCursor: cursorOut(
    'Following `around` or `at`, a `seq` to pass as `before` for older messages. Null at the beginning, and for other queries.',
  ),
});
export type MessagesReply = z.output<typeof messagesReply>;
