import { z } from 'zod';
import { idSchema, limitSchema, nextCursorOut, pageQuery } from '../kernel/common.model';
import { CALL_OUTCOMES, callSchema } from '../video-call.model';

/** Which calls the history returns. */
export const callsQuery = pageQuery.extend({
  limit: limitSchema(20, 100),
  channelId: idSchema.optional().meta({
    description:
      'Only calls of this channel: all of them. Without it, the calls in which the caller was or to which they were called.',
  }),
  outcome: z.enum(CALL_OUTCOMES).optional(),
  role: z.enum(['made', 'received']).optional().meta({
    description: '`made`: calls that the caller started. `received`: calls to which somebody called them.',
  }),
  missed: z
    .enum(['true'])
    .optional()
    .meta({ description: 'Only calls that the caller did not answer, or for which they were busy.' }),
});
export type CallsQuery = z.output<typeof callsQuery>;

export const callHistoryReply = z.strictObject({
  calls: z.array(callSchema),
  nextCursor: nextCursorOut,
});
