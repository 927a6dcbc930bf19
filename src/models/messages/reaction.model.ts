import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { normalizeEmoji } from '../../utils/emoji';
import { idOut, idSchema, nextCursorOut } from '../kernel/common.model';
import { publicUserSchema } from '../user.model';

/** The maximum number of different emojis per message. */
export const MAX_EMOJIS = 20;
/** The maximum number of reactions per message, over all users and emojis: they are part of the document. */
export const MAX_REACTIONS = 1000;
/** How many of the users who reacted with an emoji a message lists: the first ones. The count includes all. */
const MAX_SHOWN_REACTORS = 50;

/** One emoji on a message, and the users who reacted with it, in the order of their reactions. */
export interface StoredReaction {
  emoji: string;
  userIds: ObjectId[];
}

const emoji = z
  .string()
  .max(80)
  .transform((text, context) => {
    const normal = normalizeEmoji(text);
    if (normal !== undefined) return normal;
    context.addIssue({ code: 'custom', message: 'must be one emoji, or a shortcode such as :shipit:' });
    return z.NEVER;
  })
  .meta({ description: 'One emoji, or a shortcode such as `:shipit:`.', example: '👍' });

export const reactionParams = z.strictObject({ messageId: idSchema, emoji });
export type ReactionParams = z.output<typeof reactionParams>;

export const reactionSchema = z
  .strictObject({
    emoji: z.string(),
    count: z.number().int(),
    userIds: z.array(idOut).meta({
      description: `The first ${MAX_SHOWN_REACTORS} users who reacted with this emoji, in the order of their reactions.`,
    }),
  })
  .meta({ id: 'Reaction' });
export type Reaction = z.output<typeof reactionSchema>;

export const reactorsReply = z.strictObject({ users: z.array(publicUserSchema), nextCursor: nextCursorOut });

export function toReaction({ emoji, userIds }: StoredReaction): Reaction {
  return {
    emoji,
    count: userIds.length,
    userIds: userIds.slice(0, MAX_SHOWN_REACTORS).map((id) => id.toHexString()),
  };
}
