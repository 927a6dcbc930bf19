import { ObjectId, Timestamp } from 'bson';
import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import { typeOf } from './arguments';
import { isNullish } from './scope';
import { type TimeZone, UTC, timeZone } from './timezone';

/** The date of a value: a date, a timestamp's seconds, or an ObjectId's time. Throws 16006 for anything else. */
export function toDate(value: Value): Date {
  if (value instanceof Date) return value;
  if (value instanceof Timestamp) return new Date(value.getHighBitsUnsigned() * 1000);
  if (value instanceof ObjectId) return value.getTimestamp();
  throw new StoreError(16006, `can't convert from BSON type ${typeOf(value)} to Date`);
}

/** The zone named by an argument: UTC when not given, null when it evaluates to null or missing. */
export function zoneArgument(value: Value | undefined, given: boolean): TimeZone | null {
  if (!given) return UTC;
  if (isNullish(value)) return null;
  if (typeof value !== 'string') {
    throw new StoreError(40517, `timezone must evaluate to a string, found ${typeOf(value)}`);
  }
  return timeZone(value);
}

/** The local time of a zone, as a Date whose UTC fields are the local ones. */
export function wallClock(date: Date, zone: TimeZone): Date {
  return new Date(date.getTime() + zone.offsetAt(date.getTime()));
}

/** The date of a time in milliseconds; throws when a date cannot represent it. */
export function dateFrom(time: number): Date {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) throw new StoreError('Overflow', 'date overflow');
  return date;
}
