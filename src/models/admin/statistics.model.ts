import { z } from 'zod';
import { timestampOut, wholeNumberText } from '../kernel/common.model';
import { USER_STATES } from '../user.model';

/** The collections whose documents are counted by the hour of their creation. */
export const COUNTED_COLLECTIONS = ['users', 'groups', 'channels', 'messages', 'videoCalls'] as const;
export type CountedCollection = (typeof COUNTED_COLLECTIONS)[number];
export type Counts = Record<CountedCollection, number>;
export const NO_COUNTS = Object.fromEntries(COUNTED_COLLECTIONS.map((each) => [each, 0])) as Counts;

/** How many documents were created in one hour. Hours without any are not stored. */
export interface HourlyCountDocument extends Counts {
  /** The beginning of the hour. */
  _id: Date;
}

/** Up to when hours have been counted. It is stored in `installation`. */
export interface CountedToDocument {
  _id: 'hourly_counts';
  /** The hourly counts include exactly what was created before this time. */
  countedTo: Date;
}

export const STEPS = ['hour', 'day'] as const;
export type Step = (typeof STEPS)[number];
/** The maximum length of a series: the hours of 31 days, or the days of a year. */
export const MAX_POINTS = { hour: 31 * 24, day: 366 } as const satisfies Record<Step, number>;

export const statisticsQuery = z
  .strictObject({
    step: z.enum(STEPS).default('hour'),
    points: wholeNumberText(1, MAX_POINTS.hour)
      .default(24)
      .meta({ description: 'The number of hours or days up to now: at most 744 hours or 366 days.' }),
  })
  .refine(({ step, points }) => points <= MAX_POINTS[step], {
    message: 'must be at most 744 hours or 366 days',
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
    users: z.strictObject(stateFields).meta({ description: 'The number of users in each state.' }),
    groups: count,
    channels: count.meta({ description: 'Includes direct conversations.' }),
    messages: count.meta({ description: 'Includes deleted messages, which keep their `seq`.' }),
    videoCalls: z
      .strictObject({ total: count, open: count })
      .meta({ description: 'All calls that are in the history, and those that are open now.' }),
    storage: z
      .strictObject({ files: count, bytes: count, measuredAt: timestampOut })
      .meta({ description: 'The stored uploads, measured at most ten minutes ago.' }),
    online: z.strictObject({ users: count, connections: count }).meta({
      description: 'On all nodes. A user who is connected to several nodes counts on each of them.',
    }),
    series: z.strictObject({
      step: z.enum(STEPS),
      countedTo: timestampOut.meta({
        description:
          'The series is complete up to this time: now, unless the server is still counting existing data.',
      }),
      points: z.array(z.strictObject({ from: timestampOut, ...countFields })),
    }),
  })
  .meta({ id: 'Statistics' });
export type Statistics = z.output<typeof statisticsSchema>;
export const statisticsReply = z.strictObject({ statistics: statisticsSchema });
