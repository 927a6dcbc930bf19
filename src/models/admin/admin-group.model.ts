import { z } from 'zod';
import { CHANNEL_KINDS, channelSchema } from '../channel.model';
import { idSchema, limitSchema, singleLineText, nextCursorOut } from '../kernel/common.model';
import { sharedGroupSchema, VISIBILITIES } from '../group.model';
import { prefixCursor } from '../kernel/prefix-cursor.model';
import { publicUserSchema } from '../user.model';

const listFields = {
  visibility: z.enum(VISIBILITIES).optional(),
  archived: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .meta({ type: 'string', enum: ['true', 'false'] }),
  query: singleLineText(1, 80).optional().meta({
    description:
      'A prefix of the name; case and accents are ignored. With it, the results are sorted by name.',
  }),
  cursor: prefixCursor.optional(),
  limit: limitSchema(50, 200),
};

export const adminGroupsQuery = z.strictObject(listFields);
export type AdminGroupsQuery = z.output<typeof adminGroupsQuery>;
export const adminChannelsQuery = z.strictObject({
  ...listFields,
  kind: z.enum(CHANNEL_KINDS).optional(),
  groupId: idSchema.optional(),
});
export type AdminChannelsQuery = z.output<typeof adminChannelsQuery>;

export const transferGroupInput = z.strictObject({ userId: idSchema }).meta({ id: 'AdminTransferInput' });
export type TransferGroupInput = z.output<typeof transferGroupInput>;

const count = z.number().int();

/** A group as administrators see it, whether or not they are in it. */
export const inspectedGroupSchema = z
  .strictObject({
    group: sharedGroupSchema,
    owners: z.array(publicUserSchema).meta({ description: 'At most 50.' }),
    counts: z.strictObject({
      members: count,
      publicChannels: count,
      privateChannels: count,
      messages: count.meta({
        description: 'Messages sent so far in the existing channels, deleted ones included.',
      }),
      bans: count,
      waitingReports: count,
    }),
  })
  .meta({ id: 'InspectedGroup' });
export type InspectedGroup = z.output<typeof inspectedGroupSchema>;

/** A channel as administrators see it. */
export const inspectedChannelSchema = z
  .strictObject({
    channel: channelSchema,
    members: z.array(publicUserSchema).meta({
      description:
        'At most 50 members of a private channel or direct conversation; empty for a public channel.',
    }),
    counts: z.strictObject({ messages: count, restrictions: count }),
  })
  .meta({ id: 'InspectedChannel' });
export type InspectedChannel = z.output<typeof inspectedChannelSchema>;

export const adminGroupsReply = z.strictObject({
  groups: z.array(sharedGroupSchema),
  nextCursor: nextCursorOut,
});
export const adminGroupReply = z.strictObject({ group: sharedGroupSchema });
export const adminChannelsReply = z.strictObject({
  channels: z.array(channelSchema),
  nextCursor: nextCursorOut,
});
