import { z } from 'zod';
import { singleLineText } from '../kernel/common.model';
import { GLOBAL_ROLES } from '../user.model';

export const changeRoleInput = z.strictObject({ role: z.enum(GLOBAL_ROLES) }).meta({ id: 'ChangeRoleInput' });
export type ChangeRoleInput = z.output<typeof changeRoleInput>;

export const suspendInput = z
  .strictObject({
    reason: singleLineText(1, 500),
    until: z.iso
      .datetime()
      .optional()
      .meta({ description: 'When the suspension ends; omit it for an unlimited suspension.' }),
  })
  .refine((input) => input.until === undefined || new Date(input.until) > new Date(), {
    message: 'must be in the future',
    path: ['until'],
  })
  .meta({ id: 'SuspendInput' });
export type SuspendInput = z.output<typeof suspendInput>;
