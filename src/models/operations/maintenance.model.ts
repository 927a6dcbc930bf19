import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { singleLineText, timestampOut } from '../kernel/common.model';

/** Whether the server is closed to all but super admins. In `installation`; missing while it never was. */
export interface MaintenanceDocument {
  _id: 'maintenance';
  enabled: boolean;
  message: string;
  until: Date | null;
  /** Counts the changes, so that of two at once the later one is known. */
  version: number;
  changedBy: ObjectId;
  changedAt: Date;
}

/** What of it every call asks for. */
export type MaintenanceState = Pick<MaintenanceDocument, 'enabled' | 'message' | 'until' | 'version'>;

const message = singleLineText(0, 500).meta({ description: 'What everybody is told.' });

export const maintenanceInput = z
  .strictObject({
    enabled: z.boolean(),
    message: message.default(''),
    until: z.iso
      .datetime()
      .optional()
      .meta({ description: 'When it is expected to be over. It does not end by itself.' }),
  })
  .refine(({ enabled, until }) => until === undefined || (enabled && new Date(until) > new Date()), {
    message: 'must be in the future, and is for maintenance that is on',
    path: ['until'],
  })
  .meta({ id: 'MaintenanceInput' });
export type MaintenanceInput = z.output<typeof maintenanceInput>;

export const maintenanceSchema = z
  .strictObject({
    enabled: z.boolean(),
    message: z.string(),
    until: timestampOut.nullable().meta({ description: 'When it is expected to be over.' }),
  })
  .meta({ id: 'Maintenance' });
export type Maintenance = z.output<typeof maintenanceSchema>;
export const maintenanceReply = z.strictObject({ maintenance: maintenanceSchema });

export function toMaintenance({ enabled, message, until }: MaintenanceState): Maintenance {
  return { enabled, message, until: until?.toISOString() ?? null };
}
