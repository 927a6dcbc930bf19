import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { singleLineText, timestampOut } from '../kernel/common.model';

/**
 * The maintenance mode, in which only super admins can use the server. It is stored in `installation`, and missing
 * until it is first enabled.
 */
export interface MaintenanceDocument {
  _id: 'maintenance';
  enabled: boolean;
  message: string;
  until: Date | null;
  /** Counts the changes, so that nodes know which of two states is the later one. */
  version: number;
  changedBy: ObjectId;
  changedAt: Date;
}

/** The part of it that every call checks. */
export type MaintenanceState = Pick<MaintenanceDocument, 'enabled' | 'message' | 'until' | 'version'>;

const message = singleLineText(0, 500).meta({ description: 'A message for all users.' });

export const maintenanceInput = z
  .strictObject({
    enabled: z.boolean(),
    message: message.default(''),
    until: z.iso
      .datetime()
      .optional()
      .meta({ description: 'When maintenance is expected to end. It does not end automatically.' }),
  })
  .refine(({ enabled, until }) => until === undefined || (enabled && new Date(until) > new Date()), {
    message: 'must be in the future, and is only allowed if maintenance is enabled',
    path: ['until'],
  })
  .meta({ id: 'MaintenanceInput' });
export type MaintenanceInput = z.output<typeof maintenanceInput>;

export const maintenanceSchema = z
  .strictObject({
    enabled: z.boolean(),
    message: z.string(),
    until: timestampOut.nullable().meta({ description: 'When maintenance is expected to end.' }),
  })
  .meta({ id: 'Maintenance' });
export type Maintenance = z.output<typeof maintenanceSchema>;
export const maintenanceReply = z.strictObject({ maintenance: maintenanceSchema });

export function toMaintenance({ enabled, message, until }: MaintenanceState): Maintenance {
  return { enabled, message, until: until?.toISOString() ?? null };
}
