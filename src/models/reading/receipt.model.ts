import { z } from 'zod';
import { idOut } from '../kernel/common.model';
import { publicUserSchema } from '../user.model';

/** In channels with more members, read receipts are not shown. */
export const MAX_RECEIPT_MEMBERS = 50;

export const receiptsReply = z.strictObject({ users: z.array(publicUserSchema) });

/** The read markers that moved in a channel. */
export const channelSeenEvent = z.strictObject({
  channelId: idOut,
  seen: z.array(
    z.strictObject({
      userId: idOut,
      readSeq: z.number().int().meta({ description: 'The `seq` up to which the user has read.' }),
    }),
  ),
});
