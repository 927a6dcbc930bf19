import { z } from 'zod';
import { channelSchema } from '../channel.model';
import { idSchema } from '../kernel/common.model';

/** The maximum number of channels in a group that can be arranged. */
const MAX_ARRANGED = 1000;

export const channelOrderInput = z
  .strictObject({
    channelIds: z
      .array(idSchema)
      .min(1)
      .max(MAX_ARRANGED)
      .refine((ids) => new Set(ids).size === ids.length, 'must not contain a channel twice')
      .meta({ description: 'All channels of the group that the caller can read, in the new order.' }),
  })
  .meta({ id: 'ChannelOrderInput' });
export type ChannelOrderInput = z.output<typeof channelOrderInput>;

export const channelOrderReply = z.strictObject({
  channels: z.array(channelSchema).meta({ description: 'The channels in their new order.' }),
});

export const defaultChannelInput = z
  .strictObject({ channelId: idSchema })
  .meta({ id: 'DefaultChannelInput' });
export type DefaultChannelInput = z.output<typeof defaultChannelInput>;
