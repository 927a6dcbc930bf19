import { z } from 'zod';
import { idOut } from '../kernel/common.model';
import { publicUserSchema } from '../user.model';

/** In channels of more people nobody is told who has read what. */
export const MAX_RECEIPT_MEMBERS = 50;

export const receiptsReply = z.strictObject({ users: z.array(publicUserSchema) });

/** How far people have read a channel. */
export const channelSeenEvent = z.strictObject({
  channelId: idOut,
  seen: z.array(
    z.strictObject({
      userId: idOut,
      readSeq: z.number().int().meta({ description: 'The `seq` up to which they have read.' }),
    }),
  ),
});
