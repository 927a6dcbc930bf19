import { z } from 'zod';
import { idSchema, limitSchema, nextCursorOut } from '../kernel/common.model';
import { CHANNEL_KINDS } from '../channel.model';
import { messageSchema } from '../message.model';

/** The maximum length of a query, in UTF-16 code units. */
const MAX_QUERY_LENGTH = 400;

export const searchQuery = z
  .strictObject({
    query: z
      .string()
      .min(1)
      .max(MAX_QUERY_LENGTH)
      .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
      .meta({
        description:
          'Words (from three letters on, prefixes match too), `"a phrase"`, `-word`, `from:username` or `from:me`, ' +
          '`in:channel` (name or id), `has:link`, `has:file`, `has:image`, `has:reaction` or `has:pin`, `before:` and `after:` with a date or a time.',
        example: 'deploy "release notes" from:ada in:general after:2026-01-31 -draft',
      }),
    groupId: idSchema.optional().meta({ description: 'Only channels of this group.' }),
    channelId: idSchema.optional().meta({ description: 'Only this channel.' }),
    kind: z
      .enum(CHANNEL_KINDS)
      .optional()
      .meta({ description: 'Only channels of groups (`group`), or only direct conversations (`direct`).' }),
    cursor: z.string().max(200).optional().meta({ description: 'The `nextCursor` of the previous page.' }),
    limit: limitSchema(20, 50),
  })
  .meta({ id: 'SearchQuery' });
export type SearchQuery = z.output<typeof searchQuery>;

const highlightSchema = z.strictObject({ start: z.number().int(), end: z.number().int() }).meta({
  description:
    'A range of `message.body` that matches, in UTF-16 code units as JavaScript counts them; `end` is exclusive.',
});
export type Highlight = z.output<typeof highlightSchema>;

const searchHitSchema = z
  .strictObject({
    message: messageSchema,
    score: z
      .number()
      .meta({ description: 'The relevance of the hit; 0 for all hits if the query has no words.' }),
    highlights: z.array(highlightSchema),
  })
  .meta({ id: 'SearchHit' });
export type SearchHit = z.output<typeof searchHitSchema>;

export const searchReply = z.strictObject({ hits: z.array(searchHitSchema), nextCursor: nextCursorOut });
