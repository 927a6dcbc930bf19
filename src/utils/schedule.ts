const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DAY_MS = UNITS.d;
const LONGEST_MS = 365 * DAY_MS;

/** When something is done regularly: at an interval, or at a time of day in UTC. Both in milliseconds. */
export type Schedule = { everyMs: number } | { dailyAtMs: number };

/** How a schedule is written. */
export const SCHEDULE_FORM = 'a time of day in UTC such as 03:30, or an interval such as 90m, 6h or 1d';

/** Reads a schedule. @returns undefined for a text of another form, or an interval of more than a year. */
export function parseSchedule(text: string): Schedule | undefined {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  if (hours !== undefined) return { dailyAtMs: Number(hours) * UNITS.h + Number(minutes) * UNITS.m };
  const [, count, unit] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? [];
  if (count === undefined) return undefined;
  const everyMs = Number(count) * UNITS[unit as keyof typeof UNITS];
  return everyMs <= LONGEST_MS ? { everyMs } : undefined;
}

/**
 * Returns when something is due that was last done at a time, or never. What was missed is due at once.
 * @returns a time that may be in the past.
 */
export function nextTime(schedule: Schedule, last: Date | undefined, now: Date): Date {
  if ('everyMs' in schedule) return last ? new Date(last.getTime() + schedule.everyMs) : now;
  const after = (last ?? now).getTime();
  const today = after - (after % DAY_MS) + schedule.dailyAtMs;
  return new Date(today > after ? today : today + DAY_MS);
}
