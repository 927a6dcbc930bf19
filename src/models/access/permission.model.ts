import { z } from 'zod';
import { idSchema } from '../kernel/common.model';
import { GROUP_ROLES } from '../group.model';

/** The resource that a permission concerns: its kind and its id. */
const resource = z
  .string()
  .regex(/^(group|channel|message):[0-9a-f]{24}$/, 'must be group:, channel: or message:, followed by an id')
  .meta({
    description: 'Omit it for an action on the server as a whole, such as `group.create`.',
    example: 'channel:65f0c0ffee0c0ffee0c0ffee',
  });

export const explainQuery = z.strictObject({
  userId: idSchema,
  action: z.string().min(1).max(64).meta({ example: 'message.send' }),
  resource: resource.optional(),
  subjectId: idSchema
    .optional()
    .meta({ description: 'The user whom the action would affect, such as the member to be removed.' }),
  newRole: z.enum(GROUP_ROLES).optional().meta({ description: 'The role that the action would assign.' }),
});
export type ExplainQuery = z.output<typeof explainQuery>;

export const explanationReply = z
  .strictObject({
    allowed: z.boolean(),
    rule: z.string().meta({ description: 'The rule that decided.' }),
    says: z.string().meta({ description: 'The rule in plain words.' }),
    code: z
      .string()
      .nullable()
      .meta({ description: 'The error code that the user would receive; null if the action is allowed.' }),
    overrides: z.string().nullable().meta({
      description:
        'The rule that would refuse the action to other users, but does not apply to a super admin.',
    }),
  })
  .meta({ id: 'PermissionExplanation' });
export type Explanation = z.output<typeof explanationReply>;
