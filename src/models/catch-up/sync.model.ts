import { z } from 'zod';
import { channelReadSchema } from '../channels/channel-summary.model';
import { channelSchema } from '../channel.model';
import { idOut, idSchema } from '../kernel/common.model';
import { messageSchema } from '../message.model';

/** The maximum number of channels in one call. A client with more channels makes several calls, with `named`. */
const MAX_CHANNELS = 2000;
/** A client that has missed more changes of a channel than this must reload the channel, which is cheaper. */
export const MAX_MISSED_CHANGES = 1000;

const revision = z.number().int();

export const syncInput = z
  .strictObject({
    since: z
      .record(idSchema, z.number().int().min(0).max(Number.MAX_SAFE_INTEGER))
      .refine(
        (since) => Object.keys(since).length <= MAX_CHANNELS,
        `must contain at most ${MAX_CHANNELS} channels`,
      )
      .meta({
        description: `The latest revision that the client knows of each channel, by the id of the channel. At most ${MAX_CHANNELS} channels.`,
      }),
    limit: z
      .number()
      .int()
      .min(1)
      .max(MAX_MISSED_CHANGES)
      .default(500)
      .meta({ description: 'The maximum number of changes in the answer, over all channels.' }),
    named: z.boolean().default(false).meta({
      description: 'If true, only the channels in `since` are considered, and `added` stays empty.',
    }),
  })
  .meta({ id: 'SyncInput' });
export type SyncInput = z.output<typeof syncInput>;

export const channelChangeSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('message'), revision, message: messageSchema }),
    z
      .strictObject({ kind: z.literal('channel'), revision })
      .meta({ description: 'The fields of the channel changed; `channel` has their current values.' }),
    z.strictObject({
      kind: z.literal('member'),
      revision,
      userId: idOut,
      present: z.boolean().meta({
        description: 'True if the user was added to the channel, false if the user left it or was removed.',
      }),
    }),
    z
      .strictObject({ kind: z.literal('members_cleared'), revision })
      .meta({ description: 'The channel became public to the group and no longer has members of its own.' }),
  ])
  .meta({ id: 'ChannelChange' });
export type ChannelChange = z.output<typeof channelChangeSchema>;

/** Why a client must reload a channel. */
export const RESET_REASONS = ['too_far_behind', 'unknown_revision'] as const;
export type ResetReason = (typeof RESET_REASONS)[number];

const loadable = { channel: channelSchema, read: channelReadSchema };

export const syncReply = z
  .strictObject({
    channels: z
      .array(
        z.strictObject({
          channelId: idOut,
          channel: channelSchema
            .nullable()
            .meta({ description: 'The current channel; null if nothing changed.' }),
          changes: z.array(channelChangeSchema).meta({
            description:
              'Sorted by revision. An object that changed several times appears once, in its latest state.',
          }),
          revision: revision.meta({
            description: 'The revision up to which the client knows the channel after these changes.',
          }),
          more: z
            .boolean()
            .meta({ description: 'Whether there are further changes of this channel. If so, call again.' }),
          read: channelReadSchema,
        }),
      )
      .meta({ description: 'The channels in `since` that the caller may read, with or without changes.' }),
    reset: z
      .array(
        z.strictObject({
          scope: z.literal('channel').meta({ description: 'What the client must reload.' }),
          reason: z.enum(RESET_REASONS),
          ...loadable,
        }),
      )
      .meta({
        description: 'The channels whose changes are not returned: discard the cached state and reload them.',
      }),
    gone: z.array(z.strictObject({ channelId: idOut, reason: z.literal('not_found') })).meta({
      description:
        'The channels in `since` that do not exist or that the caller may not read; the answer does not say which.',
    }),
    added: z.array(z.strictObject(loadable)).meta({
      description: 'The channels that the caller may read and that are missing from `since`. At most 200.',
    }),
    more: z.boolean().meta({ description: 'Whether another call would return more, for any channel.' }),
  })
  .meta({ id: 'SyncReply' });
export type SyncReply = z.output<typeof syncReply>;
