import { z } from 'zod';
import { idSchema } from '../kernel/common.model';
import { GROUP_ROLES } from '../group.model';

/** What a permission is asked about: the kind of the resource, and its id. */
const resource = z
  .string()
  .regex(/^(group|channel|message):[0-9a-f]{24}$/, 'must be group:, channel: or message: and an id')
  .meta({
    description: 'Left out for an action on the server as a whole, such as `group.create`.',
    example: 'channel:65f0c0ffee0c0ffee0c0ffee',
  });

export const explainQuery = z.strictObject({
  userId: idSchema,
  action: z.string().min(1).max(64).meta({ example: 'message.send' }),
  resource: resource.optional(),
  subjectId: idSchema
    .optional()
    .meta({ description: 'Whom it would be done to, such as the member removed.' }),
  newRole: z.enum(GROUP_ROLES).optional().meta({ description: 'The role that would be given.' }),
});
export type ExplainQuery = z.output<typeof explainQuery>;

export const explanationReply = z
  .strictObject({
    allowed: z.boolean(),
    rule: z.string().meta({ description: 'The rule that decided.' }),
    says: z.string().meta({ description: 'The rule in words.' }),
    code: z.string().nullable().meta({ description: 'The error code that the user would get.' }),
    overrides: z
      .string()
      .nullable()
      .meta({ description: 'The rule that refuses everybody else, and that a super admin passes.' }),
  })
  .meta({ id: 'PermissionExplanation' });
export type Explanation = z.output<typeof explanationReply>;
