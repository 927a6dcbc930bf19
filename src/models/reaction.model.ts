import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut } from './common.model';

/** The most people whom a message names for one emoji: the first ones. The count is of all. */
export const MAX_SHOWN_REACTORS = 50;

/** One emoji under a message, and who put it there, in that order. */
export interface StoredReaction {
  emoji: string;
  userIds: ObjectId[];
}

export const reactionSchema = z
  .strictObject({
    emoji: z.string(),
    count: z.number().int(),
    userIds: z
      .array(idOut)
      .meta({ description: `The first ${MAX_SHOWN_REACTORS} of those who reacted so, in that order.` }),
  })
  .meta({ id: 'Reaction' });
export type Reaction = z.output<typeof reactionSchema>;

export function toReaction({ emoji, userIds }: StoredReaction): Reaction {
  return {
    emoji,
    count: userIds.length,
    userIds: userIds.slice(0, MAX_SHOWN_REACTORS).map((id) => id.toHexString()),
  };
}
