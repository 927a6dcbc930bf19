import { z } from 'zod';
import { channelReadSchema } from '../channels/channel-summary.model';
import { channelSchema } from '../channel.model';
import { idOut, idSchema } from '../kernel/common.model';
import { messageSchema } from '../message.model';

/** The most channels that one call may name; more are asked for in several calls, with `named`. */
const MAX_CHANNELS = 2000;
/** Who has missed more changes of a channel than these loads it anew: that is cheaper. */
export const MAX_MISSED_CHANGES = 1000;

const revision = z.number().int();

export const syncInput = z
  .strictObject({
    since: z
      .record(idSchema, z.number().int().min(0).max(Number.MAX_SAFE_INTEGER))
      .refine(
        (since) => Object.keys(since).length <= MAX_CHANNELS,
        `must name at most ${MAX_CHANNELS} channels`,
      )
      .meta({
        description: `For each channel that the client knows, by its id, the revision up to which it does. At most ${MAX_CHANNELS}.`,
      }),
    limit: z
      .number()
      .int()
      .min(1)
      .max(MAX_MISSED_CHANGES)
      .default(500)
      .meta({ description: 'The most changes in the answer, over all channels.' }),
    named: z
      .boolean()
      .default(false)
      .meta({ description: 'Whether it is about these channels alone, so that others are not `added`.' }),
  })
  .meta({ id: 'SyncInput' });
export type SyncInput = z.output<typeof syncInput>;

export const channelChangeSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('message'), revision, message: messageSchema }),
    z
      .strictObject({ kind: z.literal('channel'), revision })
      .meta({ description: 'Its fields changed: they are in `channel`.' }),
    z.strictObject({
      kind: z.literal('member'),
      revision,
      userId: idOut,
      present: z.boolean().meta({ description: 'Whether they are in the channel since.' }),
    }),
    z
      .strictObject({ kind: z.literal('members_cleared'), revision })
      .meta({ description: 'It opened to the group, and has no members of its own since.' }),
  ])
  .meta({ id: 'ChannelChange' });
export type ChannelChange = z.output<typeof channelChangeSchema>;

/** Why a channel has to be loaded anew. */
export const RESET_REASONS = ['too_far_behind', 'unknown_revision'] as const;
export type ResetReason = (typeof RESET_REASONS)[number];

const loadable = { channel: channelSchema, read: channelReadSchema };

export const syncReply = z
  .strictObject({
    channels: z
      .array(
        z.strictObject({
          channelId: idOut,
          channel: channelSchema.nullable().meta({ description: 'As it is now; null if nothing changed.' }),
          changes: z.array(channelChangeSchema).meta({
            description:
              'In the order of their revisions. Of a thing that changed several times only its last state.',
          }),
          revision: revision.meta({ description: 'With these, the client knows the channel up to here.' }),
          more: z.boolean().meta({ description: 'Whether there are later changes: call again.' }),
          read: channelReadSchema,
        }),
      )
      .meta({ description: 'Those that the client named and may read, with changes or without.' }),
    reset: z
      .array(
        z.strictObject({
          scope: z.literal('channel').meta({ description: 'What is to be loaded anew.' }),
          reason: z.enum(RESET_REASONS),
          ...loadable,
        }),
      )
      .meta({ description: 'Those whose changes are not told: forget what is known of them, and load.' }),
    gone: z.array(z.strictObject({ channelId: idOut, reason: z.literal('not_found') })).meta({
      description: 'Those that the client named and cannot read, or that do not exist: there is no telling.',
    }),
    added: z
      .array(z.strictObject(loadable))
      .meta({ description: 'Those that the client may read and did not name. At most 200.' }),
    more: z.boolean().meta({ description: 'Whether another call has more to tell, of whatever channel.' }),
  })
  .meta({ id: 'SyncReply' });
export type SyncReply = z.output<typeof syncReply>;
