import { z } from 'zod';
import { idSchema, nextCursorOut, pageQuery, singleLineText } from '../kernel/common.model';
import { callSchema } from '../video-call.model';

export const adminCallsQuery = pageQuery.extend({
  channelId: idSchema.optional(),
  groupId: idSchema.optional(),
  userId: idSchema.optional().meta({ description: 'Only calls with this participant.' }),
});
export type AdminCallsQuery = z.output<typeof adminCallsQuery>;

export const adminCallsReply = z.strictObject({ calls: z.array(callSchema), nextCursor: nextCursorOut });

export const endCallInput = z.strictObject({ reason: singleLineText(1, 500) }).meta({ id: 'EndCallInput' });
export type EndCallInput = z.output<typeof endCallInput>;
