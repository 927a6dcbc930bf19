import { StoreError } from '../errors';
import type { TimeZone } from './timezone';

const DAY = 86_400_000;

/** MongoDB's default format. */
export const DEFAULT_FORMAT = '%Y-%m-%dT%H:%M:%S.%LZ';

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** A date in the form 2026-01-31T09:05:00.000Z, also for years that need more than four digits. */
export function isoDate(date: Date): string {
  return date.toISOString();
}

/** The ISO 8601 week: its year, and its number from 1. `wall` is a Date whose UTC fields show local time. */
export function isoWeek(wall: Date): { year: number; week: number } {
  const thursday = new Date(wall.getTime());
  thursday.setUTCDate(thursday.getUTCDate() + 4 - isoDayOfWeek(wall));
  return { year: thursday.getUTCFullYear(), week: 1 + Math.floor((dayOfYear(thursday) - 1) / 7) };
}

/** Day of the week from 1 (Monday) to 7 (Sunday). */
export function isoDayOfWeek(wall: Date): number {
  return wall.getUTCDay() || 7;
}

/** Day of the year from 1. */
export function dayOfYear(wall: Date): number {
  const start = new Date(wall.getTime());
  start.setUTCMonth(0, 1);
  start.setUTCHours(0, 0, 0, 0);
  return 1 + Math.floor((wall.getTime() - start.getTime()) / DAY);
}

/** Week of the year, weeks beginning on Sunday; days before the first Sunday are in week 0. */
export function sundayWeek(wall: Date): number {
  return Math.floor((dayOfYear(wall) + 6 - wall.getUTCDay()) / 7);
}

type Field = (wall: Date, offset: number) => string;
const digits = (value: number, width: number): string => String(value).padStart(width, '0');

const FIELDS: Readonly<Record<string, Field>> = {
  '%': () => '%',
  d: (wall) => digits(wall.getUTCDate(), 2),
  G: (wall) => digits(isoWeek(wall).year, 4),
  H: (wall) => digits(wall.getUTCHours(), 2),
  j: (wall) => digits(dayOfYear(wall), 3),
  L: (wall) => digits(wall.getUTCMilliseconds(), 3),
  m: (wall) => digits(wall.getUTCMonth() + 1, 2),
  M: (wall) => digits(wall.getUTCMinutes(), 2),
  S: (wall) => digits(wall.getUTCSeconds(), 2),
  u: (wall) => String(isoDayOfWeek(wall)),
  U: (wall) => digits(sundayWeek(wall), 2),
  V: (wall) => digits(isoWeek(wall).week, 2),
  w: (wall) => String(wall.getUTCDay() + 1),
  Y: (wall) => {
    const year = wall.getUTCFullYear();
    if (year < 0 || year > 9999) {
      throw new StoreError(
        18537,
        `Could not convert date to string: date component was outside the supported range of 0-9999: ${year}`,
      );
    }
    return digits(year, 4);
  },
  z: (_wall, offset) => {
    const minutes = Math.abs(Math.trunc(offset / 60_000));
    return `${offset < 0 ? '-' : '+'}${digits(Math.floor(minutes / 60), 2)}${digits(minutes % 60, 2)}`;
  },
  Z: (_wall, offset) => `${offset < 0 ? '-' : '+'}${Math.abs(Math.trunc(offset / 60_000))}`,
  b: (wall) => (MONTHS[wall.getUTCMonth()] as string).slice(0, 3),
  B: (wall) => MONTHS[wall.getUTCMonth()] as string,
};

/** Checks a format of $dateToString: 18535 on a last lone '%', 18536 on an unknown letter. */
export function checkFormat(format: string): void {
  for (const match of format.matchAll(/%([\s\S])?/g)) {
    if (match[1] === undefined) throw new StoreError(18535, "Unmatched '%' at end of format string");
    if (FIELDS[match[1]] === undefined) {
      throw new StoreError(18536, `Invalid format character '%${match[1]}' in format string`);
    }
  }
}

/** Formats a date by a checked format, in the local time of `zone`. */
export function formatDate(date: Date, format: string, zone: TimeZone): string {
  const offset = zone.offsetAt(date.getTime());
  const wall = new Date(date.getTime() + offset);
  return format.replaceAll(/%([\s\S])/g, (_all, letter: string) => (FIELDS[letter] as Field)(wall, offset));
}
