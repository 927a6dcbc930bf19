import { z } from 'zod';
import { timestampOut, wholeNumberText } from '../kernel/common.model';
import { USER_STATES } from '../user.model';

/** What is counted by the hour in which it came into being. */
export const COUNTED_COLLECTIONS = ['users', 'groups', 'channels', 'messages'] as const;
export type CountedCollection = (typeof COUNTED_COLLECTIONS)[number];
export type Counts = Record<CountedCollection, number>;

/** How much came into being in one hour. Hours in which nothing did are missing. */
export interface HourlyCountDocument extends Counts {
  /** The beginning of the hour. */
  _id: Date;
}

/** Up to when hours have been counted. In `installation`. */
export interface CountedToDocument {
  _id: 'hourly_counts';
  /** All that came into being before is in the hourly counts, and nothing later. */
  countedTo: Date;
}

export const STEPS = ['hour', 'day'] as const;
export type Step = (typeof STEPS)[number];
/** The most points of a series: 31 days of hours, or a year of days. */
export const MAX_POINTS = { hour: 31 * 24, day: 366 } as const satisfies Record<Step, number>;

export const statisticsQuery = z
  .strictObject({
    step: z.enum(STEPS).default('hour'),
    points: wholeNumberText(1, MAX_POINTS.hour)
      .default(24)
      .meta({ description: 'How many hours or days, up to now: at most 744 hours or 366 days.' }),
  })
  .refine(({ step, points }) => points <= MAX_POINTS[step], {
    message: 'there are at most 744 hours or 366 days',
    path: ['points'],
  });
export type StatisticsQuery = z.output<typeof statisticsQuery>;

const count = z.number().int();
const countFields = Object.fromEntries(COUNTED_COLLECTIONS.map((each) => [each, count])) as Record<
  CountedCollection,
  typeof count
>;
const stateFields = Object.fromEntries(USER_STATES.map((each) => [each, count])) as Record<
  (typeof USER_STATES)[number],
  typeof count
>;

export const statisticsSchema = z
  .strictObject({
    at: timestampOut,
    users: z.strictObject(stateFields).meta({ description: 'By state.' }),
    groups: count,
    channels: count.meta({ description: 'Direct conversations are among them.' }),
    messages: count.meta({ description: 'Deleted ones keep their place, and count.' }),
    storage: z
      .strictObject({ files: count, bytes: count, measuredAt: timestampOut })
      .meta({ description: 'Uploads, at most ten minutes old.' }),
    online: z
      .strictObject({ users: count, connections: count })
      .meta({ description: 'On the node that answers.' }),
    series: z.strictObject({
      step: z.enum(STEPS),
      countedTo: timestampOut.meta({
        description:
          'Up to where the series is complete: now, unless the server is still counting what was there.',
      }),
      points: z.array(z.strictObject({ from: timestampOut, ...countFields })),
    }),
  })
  .meta({ id: 'Statistics' });
export type Statistics = z.output<typeof statisticsSchema>;
export const statisticsReply = z.strictObject({ statistics: statisticsSchema });
