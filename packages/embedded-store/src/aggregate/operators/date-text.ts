import { Int32 } from 'bson';
import { StoreError } from '../../errors';
import { toDate, wallClock, zoneArgument } from '../date-arguments';
import { typeOf } from '../arguments';
import { DEFAULT_FORMAT, checkFormat, formatDate, isoDayOfWeek, isoWeek } from '../date-format';
import { type OperatorTable, constantNode, foldedNode, isNullish, named, namedNodes } from '../scope';

/** $dateToString and $dateToParts. */
export const DATE_TEXT: OperatorTable = {
  $dateToString: (argument, context, name) => {
    const nodes = namedNodes(argument, context, name, {
      required: ['date'],
      optional: ['format', 'timezone', 'onNull'],
      codes: { object: 18629, unknown: 18534, missing: 18628 },
    });
    const { date, format, timezone, onNull } = nodes;
    const children = [date, format, timezone, onNull].map((node) => node ?? constantNode(null));
    return foldedNode(children, (scope) => {
      const value = date?.evaluate(scope);
      const text = format?.evaluate(scope);
      // Format and zone are checked even where the date is null.
      const pattern = isNullish(text) ? null : checkedFormat(text);
      const zone = zoneArgument(timezone?.evaluate(scope), timezone !== undefined);
      if (isNullish(value)) return onNull === undefined ? null : onNull.evaluate(scope);
      if (zone === null || (format !== undefined && pattern === null)) return null;
      return formatDate(toDate(value), pattern ?? DEFAULT_FORMAT, zone);
    });
  },
  $dateToParts: named(
    {
      required: ['date'],
      optional: ['timezone', 'iso8601'],
      codes: { object: 40524, unknown: 40520, missing: 40522 },
    },
    ({ date, timezone, iso8601 }, given) => {
      const zone = zoneArgument(timezone, given('timezone'));
      if (given('iso8601') && isNullish(iso8601)) return null;
      if (given('iso8601') && typeof iso8601 !== 'boolean') {
        throw new StoreError(40521, `iso8601 must evaluate to a bool, found ${typeOf(iso8601)}`);
      }
      if (isNullish(date) || zone === null) return null;
      const wall = wallClock(toDate(date), zone);
      const week = isoWeek(wall);
      const days: [string, number][] =
        iso8601 === true
          ? [
              ['isoWeekYear', week.year],
              ['isoWeek', week.week],
              ['isoDayOfWeek', isoDayOfWeek(wall)],
            ]
          : [
              ['year', wall.getUTCFullYear()],
              ['month', wall.getUTCMonth() + 1],
              ['day', wall.getUTCDate()],
            ];
      const parts: [string, number][] = [
        ...days,
        ['hour', wall.getUTCHours()],
        ['minute', wall.getUTCMinutes()],
        ['second', wall.getUTCSeconds()],
        ['millisecond', wall.getUTCMilliseconds()],
      ];
      return new Map(parts.map(([key, value]) => [key, new Int32(value)]));
    },
  ),
};

function checkedFormat(format: unknown): string {
  if (typeof format !== 'string') {
    throw new StoreError(18533, '$dateToString requires that format be a string');
  }
  checkFormat(format);
  return format;
}
