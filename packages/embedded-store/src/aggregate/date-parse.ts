import { StoreError } from '../errors';
import { type TimeZone, UTC, fromWallTime, timeZone, utcTime } from './timezone';

/**
 * The forms that are read without a format: ISO 8601 dates with or without a time and an offset, and the forms that
 * MongoDB's manual shows ("2017-02-08", "06-15-2018", "Feb 8 2017" …). Ambiguous ones are refused.
 */
const ISO =
  /^\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?|[A-Za-z]+\/[A-Za-z_/+-]+)?\s*$/i;
const COMPACT =
  /^(\d{4})(\d{2})(\d{2})(?:T(\d{2}):?(\d{2})(?::?(\d{2})(?:[.,](\d{1,9}))?)?)?(Z|[+-]\d{2}(?::?\d{2})?)?$/i;
const MONTH_NAMES = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
/** "8 Feb 2017", "Feb 8, 2017", "February 8th 2017", with or without a time. */
const DAY_FIRST = /^(\d{1,2})(?:st|nd|rd|th)?[ -]([A-Za-z]{3,9})[ ,-]+(\d{4})(?:[ T,]+(.*))?$/;
const MONTH_FIRST = /^([A-Za-z]{3,9})\.?[ -](\d{1,2})(?:st|nd|rd|th)?[ ,-]+(\d{4})(?:[ T,]+(.*))?$/;

function failure(text: string, why: string): StoreError {
  return new StoreError('ConversionFailure', `Error parsing date string '${text}'; ${why}`);
}

/** Reads a date in the local time of `zone`, which must be left out when the text names a zone itself. */
export function parseDate(text: string, zone?: TimeZone): Date {
  const match = ISO.exec(text) ?? COMPACT.exec(text) ?? ISO.exec(withMonthNumber(text) ?? '');
  if (match === null) throw failure(text, 'no format matches it');
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', offset] = match;
  const fields = [year, month, day, hour, minute, second].map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const millisecond = Math.trunc(Number(`0.${fraction || '0'}`) * 1000 + 1e-9);
  checkFields(text, fields);
  return atZone(text, wallOf(fields, millisecond), zone, offset);
}

function withMonthNumber(text: string): string | undefined {
  const day = DAY_FIRST.exec(text);
  const parts = day ?? MONTH_FIRST.exec(text);
  if (parts === null) return undefined;
  const [name, number] = day === null ? [parts[1], parts[2]] : [parts[2], parts[1]];
  const month = MONTH_NAMES.indexOf((name as string).slice(0, 3).toLowerCase());
  if (month < 0) return undefined;
  const rest = parts[4] === undefined || parts[4] === '' ? '' : ` ${parts[4]}`;
  return `${parts[3]}-${month + 1}-${number}${rest}`;
}

function wallOf(
  fields: readonly [number, number, number, number, number, number],
  millisecond: number,
): number {
  const [year, month, day, hour, minute, second] = fields;
  return utcTime(year, month - 1, day, hour, minute, second, millisecond);
}

function checkFields(text: string, fields: readonly number[]): void {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields;
  const lastDay = new Date(utcTime(year, month, 0)).getUTCDate();
  if (month < 1 || month > 12 || day < 1 || day > lastDay || hour > 24 || minute > 59 || second > 59) {
    throw failure(text, 'a field is out of range');
  }
}

function atZone(text: string, wall: number, zone: TimeZone | undefined, named: string | undefined): Date {
  if (named !== undefined && zone !== undefined && zone !== UTC) {
    throw failure(
      text,
      `you cannot pass in a date/time string with time zone information ('${named}') together with a timezone argument`,
    );
  }
  if (named === undefined) return new Date(fromWallTime(wall, zone ?? UTC));
  const upper = named.toUpperCase();
  const own = ['Z', 'UTC', 'GMT'].includes(upper) ? UTC : timeZone(named);
  return new Date(fromWallTime(wall, own));
}

/** What a letter of a format reads: its digits, and where the number goes. */
const READERS: Readonly<Record<string, { pattern: string; field: string }>> = {
  d: { pattern: '(\\d{1,2})', field: 'day' },
  G: { pattern: '(\\d{4})', field: 'isoYear' },
  H: { pattern: '(\\d{1,2})', field: 'hour' },
  j: { pattern: '(\\d{1,3})', field: 'dayOfYear' },
  L: { pattern: '(\\d{1,3})', field: 'millisecond' },
  m: { pattern: '(\\d{1,2})', field: 'month' },
  M: { pattern: '(\\d{1,2})', field: 'minute' },
  S: { pattern: '(\\d{1,2})', field: 'second' },
  u: { pattern: '([1-7])', field: 'isoDay' },
  V: { pattern: '(\\d{1,2})', field: 'isoWeek' },
  Y: { pattern: '(\\d{4})', field: 'year' },
  z: { pattern: '(Z|[+-]\\d{2}(?::?\\d{2})?|[A-Za-z]+(?:/[A-Za-z_]+)*)', field: 'zone' },
  Z: { pattern: '([+-]?\\d+)', field: 'minutes' },
  b: { pattern: '([A-Za-z]{3})', field: 'monthName' },
  B: { pattern: '([A-Za-z]{3,9})', field: 'monthName' },
};

/** Reads a date by a format of $dateFromString; 18535 and 18536 for a bad format. */
export function parseDateBy(text: string, format: string, zone?: TimeZone): Date {
  const names: string[] = [];
  const source = format.replace(/%([\s\S]?)|[\s\S]/g, (token, letter: string | undefined) => {
    if (letter === undefined) return token.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
    if (letter === '') throw new StoreError(18535, "Unmatched '%' at end of format string");
    if (letter === '%') return '%';
    const reader = READERS[letter];
    if (reader === undefined) {
      throw new StoreError(18536, `Invalid format character '%${letter}' in format string`);
    }
    names.push(reader.field);
    return reader.pattern;
  });
  const match = new RegExp(`^${source}$`).exec(text);
  if (match === null) throw failure(text, `it does not match the format '${format}'`);
  const found = new Map(names.map((name, i) => [name, match[i + 1] as string]));
  return assemble(text, found, zone);
}

function assemble(text: string, found: ReadonlyMap<string, string>, zone: TimeZone | undefined): Date {
  const number = (name: string, fallback: number): number =>
    found.has(name) ? Number(found.get(name)) : fallback;
  const time = [number('hour', 0), number('minute', 0), number('second', 0)] as const;
  const millisecond = number('millisecond', 0);
  let wall: number;
  if (found.has('isoYear')) {
    const days = isoDays(number('isoYear', 1970), number('isoWeek', 1), number('isoDay', 1));
    wall = days + (time[0] * 3600 + time[1] * 60 + time[2]) * 1000 + millisecond;
  } else if (found.has('year')) {
    const name = found.get('monthName')?.slice(0, 3).toLowerCase();
    const month = name === undefined ? number('month', 1) : MONTH_NAMES.indexOf(name) + 1;
    const byDay = found.has('dayOfYear');
    const fields = [number('year', 1970), byDay ? 1 : month, byDay ? 1 : number('day', 1), ...time] as const;
    checkFields(text, fields);
    wall = wallOf([...fields], millisecond) + (byDay ? (number('dayOfYear', 1) - 1) * 86_400_000 : 0);
  } else {
    throw failure(text, 'an incomplete date/time string has been found, with elements missing');
  }
  const minutes = found.get('minutes');
  if (minutes !== undefined) return new Date(wall - Number(minutes) * 60_000);
  return atZone(text, wall, zone, found.get('zone'));
}

/** Midnight of a day of an ISO 8601 week, in milliseconds as if in UTC. */
export function isoDays(year: number, week: number, day: number): number {
  const fourth = new Date(utcTime(year, 0, 4));
  const monday = fourth.getTime() - ((fourth.getUTCDay() || 7) - 1) * 86_400_000;
  return monday + ((week - 1) * 7 + day - 1) * 86_400_000;
}
