import { z } from 'zod';
import { idOut, idSchema, limitSchema, nextCursorOut, pageQuery, timestampOut } from '../kernel/common.model';

export const PRESENCE_STATUSES = ['online', 'away', 'do_not_disturb', 'offline'] as const;
export type PresenceStatus = (typeof PRESENCE_STATUSES)[number];

const status = z.enum(PRESENCE_STATUSES).meta({
  description:
    'The status as others see it. The most active of several devices counts; an invisible user is offline.',
});

/** The presence of a user, as others see it. */
export const presenceSchema = z
  .strictObject({
    userId: idOut,
    status,
    lastSeenAt: timestampOut
      .nullable()
      .meta({ description: 'When an offline user was last seen; null if unknown.' }),
  })
  .meta({ id: 'Presence' });
export type Presence = z.output<typeof presenceSchema>;

export const presenceReply = z.strictObject({ presence: presenceSchema });
export const presencesReply = z.strictObject({
  presences: z.array(presenceSchema),
  nextCursor: nextCursorOut,
});

export const presencesQuery = pageQuery.extend({
  cursor: idSchema.optional().meta({ description: 'The `nextCursor` of the previous page.' }),
  limit: limitSchema(200, 1000),
});
export type PresencesQuery = z.output<typeof presencesQuery>;

/** The report of a client whether the user is active on the device. */
export const reportActivityEvent = z.strictObject({ active: z.boolean() });
export const ownStatusData = z.strictObject({ status });

const ids = z.array(idOut);
/** The users whose status changed, by their new status. */
export const presenceChangedEvent = z.strictObject({
  online: ids,
  away: ids,
  do_not_disturb: ids,
  offline: ids,
});
