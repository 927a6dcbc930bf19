import { Int32, Long } from 'bson';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { toDate, wallClock, zoneArgument } from '../date-arguments';
import { dayOfYear, isoDayOfWeek, isoWeek, sundayWeek } from '../date-format';
import {
  type Node,
  type OperatorCompiler,
  type OperatorTable,
  constantNode,
  foldedNode,
  isDocument,
  isNullish,
} from '../scope';

/** An operator that reads one field of a date; takes the date, [date] or { date, timezone }. */
function dateField(read: (wall: Date) => Value): OperatorCompiler {
  return (argument, context, name) => {
    let date: Node;
    let zone: Node | undefined;
    if (isDocument(argument) && ![...argument.keys()].some((key) => key.startsWith('$'))) {
      for (const key of argument.keys()) {
        if (key !== 'date' && key !== 'timezone') {
          throw new StoreError(40535, `unrecognized option to ${name}: "${key}"`);
        }
      }
      const value = argument.get('date');
      if (value === undefined) {
        throw new StoreError(
          40539,
          `missing 'date' argument to ${name}, provided: ${[...argument.keys()].join()}`,
        );
      }
      date = context.compile(value);
      const zoneValue = argument.get('timezone');
      zone = zoneValue === undefined ? undefined : context.compile(zoneValue);
    } else {
      const list = Array.isArray(argument) ? argument : [argument];
      if (list.length !== 1) {
        throw new StoreError(
          40536,
          `${name} accepts exactly one argument if given an array, but was given ${list.length}`,
        );
      }
      date = context.compile(list[0] as Value);
    }
    return foldedNode([date, zone ?? constantNode(null)], (scope) => {
      const value = date.evaluate(scope);
      if (isNullish(value)) return null;
      const where = zoneArgument(zone?.evaluate(scope), zone !== undefined);
      return where === null ? null : read(wallClock(toDate(value), where));
    });
  };
}

const field = (read: (wall: Date) => number): OperatorCompiler => dateField((wall) => new Int32(read(wall)));

/** Operators that read a part of a date. */
export const DATE_FIELDS: OperatorTable = {
  $year: field((wall) => wall.getUTCFullYear()),
  $month: field((wall) => wall.getUTCMonth() + 1),
  $dayOfMonth: field((wall) => wall.getUTCDate()),
  $dayOfWeek: field((wall) => wall.getUTCDay() + 1),
  $dayOfYear: field(dayOfYear),
  $hour: field((wall) => wall.getUTCHours()),
  $minute: field((wall) => wall.getUTCMinutes()),
  $second: field((wall) => wall.getUTCSeconds()),
  $millisecond: field((wall) => wall.getUTCMilliseconds()),
  $week: field(sundayWeek),
  $isoWeek: field((wall) => isoWeek(wall).week),
  $isoDayOfWeek: field(isoDayOfWeek),
  $isoWeekYear: dateField((wall) => Long.fromNumber(isoWeek(wall).year)),
};
