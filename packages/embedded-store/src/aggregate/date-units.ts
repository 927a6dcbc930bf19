import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import { typeOf } from './arguments';
import { wallClock } from './date-arguments';
import { type TimeZone, fromWallTime, utcTime } from './timezone';

const DAY = 86_400_000;

/** Units of a fixed length, in milliseconds. */
const FIXED = { millisecond: 1, second: 1000, minute: 60_000, hour: 3_600_000 } as const;
/** Units that are a number of months. */
const MONTHS = { month: 1, quarter: 3, year: 12 } as const;
/** Units that are a number of days of the calendar. */
const DAYS = { day: 1, week: 7 } as const;

/** A unit of time as date operators name it. */
export type TimeUnit = keyof typeof FIXED | keyof typeof MONTHS | keyof typeof DAYS;

const has = <T extends object>(table: T, key: PropertyKey): key is keyof T => Object.hasOwn(table, key);

/** Reads a unit; FailedToParse for an unknown one. */
export function timeUnit(value: Value, code: number, name: string): TimeUnit {
  if (typeof value !== 'string') {
    throw new StoreError(code, `${name} requires 'unit' to be a string, but got ${typeOf(value)}`);
  }
  if (has(FIXED, value) || has(MONTHS, value) || has(DAYS, value)) return value;
  throw new StoreError('FailedToParse', `unknown time unit value: ${value}`);
}

const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/** Reads the first day of the week, as 0 (Sunday, the default) to 6. */
export function weekStart(value: Value | undefined, name: string): number {
  if (value === undefined) return 0;
  if (typeof value !== 'string') {
    throw new StoreError(5439015, `${name} requires 'startOfWeek' to be a string, but got ${typeOf(value)}`);
  }
  const lower = value.toLowerCase();
  const day = WEEKDAYS.findIndex((full) => full === lower || full.slice(0, 3) === lower);
  if (day < 0) {
    throw new StoreError(
      5439016,
      `${name} parameter 'startOfWeek' value cannot be recognized as a day of a week: ${value}`,
    );
  }
  return day;
}

/** Adds a number of units to a date. Months and days follow the zone's calendar, shorter units elapsed time. */
export function addUnits(date: Date, amount: number, unit: TimeUnit, zone: TimeZone): number {
  if (has(FIXED, unit)) return date.getTime() + amount * FIXED[unit];
  const wall = wallClock(date, zone);
  if (has(DAYS, unit)) return fromWallTime(wall.getTime() + amount * DAYS[unit] * DAY, zone);
  const months = wall.getUTCFullYear() * 12 + wall.getUTCMonth() + amount * MONTHS[unit];
  const year = Math.floor(months / 12);
  const month = months - year * 12;
  // A day that the month does not have becomes its last.
  const lastDay = new Date(utcTime(year, month + 1, 0)).getUTCDate();
  const day = Math.min(wall.getUTCDate(), lastDay);
  const time = wall.getTime() - Math.floor(wall.getTime() / DAY) * DAY;
  return fromWallTime(utcTime(year, month, day) + time, zone);
}

/** The number of the day, month, … of a local time, counted from a fixed point. */
function ordinal(wall: Date, unit: keyof typeof MONTHS | keyof typeof DAYS, startOfWeek: number): number {
  if (has(MONTHS, unit)) {
    return Math.floor((wall.getUTCFullYear() * 12 + wall.getUTCMonth()) / MONTHS[unit]);
  }
  const day = Math.floor(wall.getTime() / DAY);
  // 1970-01-01 was a Thursday.
  return unit === 'day' ? day : Math.floor((day + 4 - startOfWeek) / 7);
}

/** How many boundaries of a unit lie between two dates. */
export function unitsBetween(
  start: Date,
  end: Date,
  unit: TimeUnit,
  zone: TimeZone,
  startOfWeek: number,
): number {
  if (!has(FIXED, unit)) {
    return (
      ordinal(wallClock(end, zone), unit, startOfWeek) - ordinal(wallClock(start, zone), unit, startOfWeek)
    );
  }
  const length = FIXED[unit];
  // Zones whose offset is no whole number of units have their boundaries elsewhere.
  const count = (date: Date): number =>
    Math.floor((date.getTime() + (zone.offsetAt(date.getTime()) % length)) / length);
  return count(end) - count(start);
}

const REFERENCE_YEAR = 2000;

/** The start of the bin of `size` units that contains a date; bins are counted from the year 2000. */
export function truncateTo(
  date: Date,
  unit: TimeUnit,
  size: number,
  zone: TimeZone,
  startOfWeek: number,
): number {
  const bin = (value: number): number => Math.floor(value / size) * size;
  if (has(FIXED, unit)) {
    const reference = fromWallTime(utcTime(REFERENCE_YEAR, 0, 1), zone);
    return reference + bin(Math.floor((date.getTime() - reference) / FIXED[unit])) * FIXED[unit];
  }
  const wall = wallClock(date, zone);
  if (has(MONTHS, unit)) {
    const months = (wall.getUTCFullYear() - REFERENCE_YEAR) * 12 + wall.getUTCMonth();
    const start = bin(Math.floor(months / MONTHS[unit])) * MONTHS[unit];
    return fromWallTime(utcTime(REFERENCE_YEAR, start, 1), zone);
  }
  const reference = utcTime(REFERENCE_YEAR, 0, 1);
  // 2000-01-01 was a Saturday; weeks are counted from the first that begins on it or later.
  const first = unit === 'day' ? reference : reference + ((startOfWeek - 6 + 7) % 7) * DAY;
  const length = DAYS[unit] * DAY;
  return fromWallTime(first + bin(Math.floor((wall.getTime() - first) / length)) * length, zone);
}
