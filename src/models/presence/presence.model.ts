import { z } from 'zod';
import { idOut, idSchema, limitSchema, nextCursorOut, pageQuery, timestampOut } from '../kernel/common.model';

export const PRESENCE_STATUSES = ['online', 'away', 'do_not_disturb', 'offline'] as const;
export type PresenceStatus = (typeof PRESENCE_STATUSES)[number];

const status = z.enum(PRESENCE_STATUSES).meta({
  description: 'As others see it: of several devices the one that is used counts; invisible is offline.',
});

/** Whether somebody is there, as others see it. */
export const presenceSchema = z
  .strictObject({
    userId: idOut,
    status,
    lastSeenAt: timestampOut
      .nullable()
      .meta({ description: 'Of somebody offline, when they were last seen; null if that is not known.' }),
  })
  .meta({ id: 'Presence' });
export type Presence = z.output<typeof presenceSchema>;

export const presenceReply = z.strictObject({ presence: presenceSchema });
export const presencesReply = z.strictObject({
  presences: z.array(presenceSchema),
  nextCursor: nextCursorOut,
});

export const presencesQuery = pageQuery.extend({
  cursor: idSchema.optional().meta({ description: '`nextCursor` of the page before.' }),
  limit: limitSchema(200, 1000),
});
export type PresencesQuery = z.output<typeof presencesQuery>;

/** What a client reports: whether somebody uses the device. */
export const reportActivityEvent = z.strictObject({ active: z.boolean() });
export const ownStatusData = z.strictObject({ status });

const ids = z.array(idOut);
/** Who has changed to what; people are named by their ids, for there may be many. */
export const presenceChangedEvent = z.strictObject({
  online: ids,
  away: ids,
  do_not_disturb: ids,
  offline: ids,
});
