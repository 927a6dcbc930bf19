import { StoreError } from '../errors';

/** A time zone: its offset from UTC, in milliseconds, at a time given in milliseconds. */
export interface TimeZone {
  readonly name: string;
  readonly utc: boolean;
  offsetAt(time: number): number;
}

const MINUTE = 60_000;
/** All zones change their offsets at whole quarters of an hour, so one offset is cached for each quarter. */
const QUARTER = 15 * MINUTE;
const CACHE_LIMIT = 10_000;

/** UTC itself. */
export const UTC: TimeZone = { name: 'UTC', utc: true, offsetAt: () => 0 };

const zones = new Map<string, TimeZone>([
  ['UTC', UTC],
  ['GMT', UTC],
  ['Z', UTC],
]);

/** Finds a zone by Olson name ("Europe/Berlin") or offset ("+05:30", "-0800", "+02"); 40485 if unknown. */
export function timeZone(name: string): TimeZone {
  const known = zones.get(name);
  if (known !== undefined) return known;
  const made = fixedOffset(name) ?? olsonZone(name);
  zones.set(name, made);
  return made;
}

function fixedOffset(name: string): TimeZone | undefined {
  const match = /^([+-])(\d{2})(?::?(\d{2}))?$/.exec(name);
  if (match === null) return undefined;
  const [, sign, hours, minutes = '0'] = match;
  const offset = (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * MINUTE;
  return { name, utc: offset === 0, offsetAt: () => offset };
}

function olsonZone(name: string): TimeZone {
  let format: Intl.DateTimeFormat;
  try {
    if (!/^[A-Za-z]/.test(name)) throw new RangeError(name);
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      calendar: 'gregory',
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    throw new StoreError(40485, `unrecognized time zone identifier: "${name}"`);
  }
  const cache = new Map<number, number>();
  return {
    name,
    utc: false,
    offsetAt(time) {
      const quarter = Math.floor(time / QUARTER);
      let offset = cache.get(quarter);
      if (offset === undefined) {
        offset = wallTime(format, quarter * QUARTER) - quarter * QUARTER;
        if (cache.size >= CACHE_LIMIT) cache.clear();
        cache.set(quarter, offset);
      }
      return offset;
    },
  };
}

function wallTime(format: Intl.DateTimeFormat, time: number): number {
  const parts = new Map(format.formatToParts(time).map(({ type, value }) => [type, value]));
  const part = (name: Intl.DateTimeFormatPartTypes): number => Number(parts.get(name));
  const year = parts.get('era') === 'BC' ? 1 - part('year') : part('year');
  return utcTime(year, part('month') - 1, part('day'), part('hour'), part('minute'), part('second'));
}

/** Date.UTC without its special meaning of the years 0 to 99. */
export function utcTime(
  year: number,
  month: number,
  day: number,
  hour = 0,
  minute = 0,
  second = 0,
  millisecond = 0,
): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  return date.setUTCHours(hour, minute, second, millisecond);
}

/**
 * The time at which the local time of a zone is `wall` (milliseconds as if in UTC); in a gap, the time after it.
 */
export function fromWallTime(wall: number, zone: TimeZone): number {
  const first = wall - zone.offsetAt(wall);
  const offset = zone.offsetAt(first);
  const second = wall - offset;
  if (zone.offsetAt(second) === offset) {
    // When clocks are set back an hour occurs twice: take the first one.
    const earlier = wall - zone.offsetAt(second - 3 * 3_600_000);
    return earlier < second && earlier + zone.offsetAt(earlier) === wall ? earlier : second;
  }
  return wall - Math.min(zone.offsetAt(first), zone.offsetAt(second));
}
