import type { Value } from '../../bson/types';
import { integral } from '../../bson/numbers';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { dateFrom, zoneArgument } from '../date-arguments';
import { isoDays, parseDate, parseDateBy } from '../date-parse';
import {
  type Node,
  type OperatorTable,
  constantNode,
  foldedNode,
  isNullish,
  named,
  namedNodes,
} from '../scope';
import { fromWallTime, utcTime } from '../timezone';

const LIMIT = 32_768;
const NATURAL = ['year', 'month', 'day'];
const ISO = ['isoWeekYear', 'isoWeek', 'isoDayOfWeek'];

function checkMix(argument: Value): void {
  if (!(argument instanceof Map)) return;
  const has = (names: readonly string[]): boolean => names.some((name) => argument.has(name));
  if (!argument.has('year') && !argument.has('isoWeekYear')) {
    throw new StoreError(40516, "$dateFromParts requires either 'year' or 'isoWeekYear' to be present");
  }
  if (argument.has('year') && has(ISO)) {
    throw new StoreError(40489, '$dateFromParts does not allow mixing natural dates with ISO dates');
  }
  if (argument.has('isoWeekYear') && has(NATURAL)) {
    throw new StoreError(40525, '$dateFromParts does not allow mixing ISO dates with natural dates');
  }
}

/** The part as an integer; null when it is null or missing. */
function part(value: Value | undefined, name: string, bounded: boolean): number | null {
  if (isNullish(value)) return null;
  const whole = integral(value);
  if (whole === undefined) {
    throw new StoreError(40515, `'${name}' must evaluate to an integer, found ${typeOf(value)}`);
  }
  const number = Number(whole);
  if (bounded && (number < -LIMIT || number >= LIMIT)) {
    throw new StoreError(
      31034,
      `'${name}' must evaluate to a value in the range [-32768, 32767]; value ${number} is not in range`,
    );
  }
  return number;
}

const fromParts = named(
  {
    required: [],
    optional: [...NATURAL, ...ISO, 'hour', 'minute', 'second', 'millisecond', 'timezone'],
    codes: { object: 40519, unknown: 40518, missing: 40516 },
  },
  (values, given) => {
    const read = (name: string, fallback: number, bounded = true): number | null =>
      given(name) ? part(values[name], name, bounded) : fallback;
    const time = [
      read('hour', 0),
      read('minute', 0),
      read('second', 0, false),
      read('millisecond', 0, false),
    ];
    const zone = zoneArgument(values['timezone'], given('timezone'));
    const iso = given('isoWeekYear');
    const date = iso
      ? [read('isoWeekYear', 1970, false), read('isoWeek', 1), read('isoDayOfWeek', 1)]
      : [read('year', 1970, false), read('month', 1), read('day', 1)];
    if (zone === null || [...time, ...date].includes(null)) return null;
    const [first, second, third] = date as [number, number, number];
    const [hour, minute, seconds, millisecond] = time as [number, number, number, number];
    if (first < 0 || first > 9999) {
      throw new StoreError(
        iso ? 31095 : 40523,
        `'${iso ? 'isoWeekYear' : 'year'}' must evaluate to an integer in the range 0 to 9999, found ${first}`,
      );
    }
    const midnight = iso ? isoDays(first, second, third) : utcTime(first, second - 1, third);
    const wall = midnight + hour * 3_600_000 + minute * 60_000 + seconds * 1000 + millisecond;
    return dateFrom(fromWallTime(wall, zone));
  },
);

/** $dateFromParts and $dateFromString. */
export const DATE_BUILD: OperatorTable = {
  $dateFromParts: (argument, context, name) => {
    checkMix(argument);
    return fromParts(argument, context, name);
  },
  $dateFromString: (argument, context, name) => {
    const nodes = namedNodes(argument, context, name, {
      required: ['dateString'],
      optional: ['format', 'timezone', 'onNull', 'onError'],
      codes: { object: 40540, unknown: 40541, missing: 40542 },
    });
    const { dateString, format, timezone, onNull, onError } = nodes;
    const children = [dateString, format, timezone, onNull, onError];
    return foldedNode(
      children.map((node): Node => node ?? constantNode(null)),
      (scope) => {
        const text = dateString?.evaluate(scope);
        const pattern = format?.evaluate(scope);
        if (!isNullish(pattern) && typeof pattern !== 'string') {
          throw new StoreError(
            40684,
            `$dateFromString requires that 'format' be a string, found: ${typeOf(pattern)}`,
          );
        }
        const zone = zoneArgument(timezone?.evaluate(scope), timezone !== undefined);
        if (isNullish(text)) return onNull === undefined ? null : onNull.evaluate(scope);
        try {
          if (typeof text !== 'string') {
            throw new StoreError(
              'ConversionFailure',
              `$dateFromString requires that 'dateString' be a string, found: ${typeOf(text)}`,
            );
          }
          if (zone === null || (format !== undefined && isNullish(pattern))) return null;
          const given = timezone === undefined ? undefined : zone;
          return isNullish(pattern) ? parseDate(text, given) : parseDateBy(text, pattern, given);
        } catch (error) {
          const caught = error instanceof StoreError && error.codeName === 'ConversionFailure';
          if (!caught || onError === undefined) throw error;
          return onError.evaluate(scope);
        }
      },
    );
  },
};
