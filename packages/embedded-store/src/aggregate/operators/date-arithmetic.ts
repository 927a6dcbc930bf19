import { Long } from 'bson';
import { integral } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { dateFrom, toDate, zoneArgument } from '../date-arguments';
import { addUnits, timeUnit, truncateTo, unitsBetween, weekStart } from '../date-units';
import { type OperatorCompiler, type OperatorTable, isNullish, named } from '../scope';

function date(value: Value, code: number, name: string, what: string): Date {
  try {
    return toDate(value);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new StoreError(code, `${name} requires '${what}' to be a date, but got ${typeOf(value)}`);
  }
}

function shift(name: string, sign: 1 | -1): OperatorCompiler {
  return named(
    {
      required: ['startDate', 'unit', 'amount'],
      optional: ['timezone'],
      codes: { object: 5166400, unknown: 5166401, missing: 5166402 },
    },
    ({ startDate, unit, amount, timezone }, given) => {
      if (isNullish(startDate) || isNullish(unit) || isNullish(amount)) return null;
      const zone = zoneArgument(timezone, given('timezone'));
      if (zone === null) return null;
      const start = date(startDate, 5166403, name, 'startDate');
      const by = timeUnit(unit, 5166404, name);
      const count = integral(amount);
      if (count === undefined) {
        throw new StoreError(5166405, `${name} expects integer amount of time units`);
      }
      return dateFrom(addUnits(start, sign * Number(count), by, zone));
    },
  );
}

/** $dateAdd, $dateSubtract, $dateDiff, $dateTrunc. */
export const DATE_ARITHMETIC: OperatorTable = {
  $dateAdd: shift('$dateAdd', 1),
  $dateSubtract: shift('$dateSubtract', -1),
  $dateDiff: named(
    {
      required: ['startDate', 'endDate', 'unit'],
      optional: ['timezone', 'startOfWeek'],
      codes: { object: 5166301, unknown: 5166302, missing: 5166303 },
    },
    ({ startDate, endDate, unit, timezone, startOfWeek }, given) => {
      const zone = zoneArgument(timezone, given('timezone'));
      const missing = isNullish(startDate) || isNullish(endDate) || isNullish(unit) || zone === null;
      if (missing || (given('startOfWeek') && isNullish(startOfWeek))) return null;
      const start = date(startDate, 5166307, '$dateDiff', 'startDate');
      const end = date(endDate, 5166307, '$dateDiff', 'endDate');
      const by = timeUnit(unit, 5166306, '$dateDiff');
      const first = by === 'week' ? weekStart(startOfWeek, '$dateDiff') : 0;
      return Long.fromNumber(unitsBetween(start, end, by, zone, first));
    },
  ),
  $dateTrunc: named(
    {
      required: ['date', 'unit'],
      optional: ['binSize', 'timezone', 'startOfWeek'],
      codes: { object: 5439007, unknown: 5439008, missing: 5439009 },
    },
    ({ date: value, unit, binSize, timezone, startOfWeek }, given) => {
      const zone = zoneArgument(timezone, given('timezone'));
      const missing = isNullish(value) || isNullish(unit) || zone === null;
      if (missing || (given('binSize') && isNullish(binSize))) return null;
      if (given('startOfWeek') && isNullish(startOfWeek)) return null;
      const by = timeUnit(unit, 5439013, '$dateTrunc');
      const size = binSize === undefined ? 1n : integral(binSize);
      if (size === undefined) {
        throw new StoreError(5439017, "$dateTrunc requires 'binSize' to be a 64-bit integer");
      }
      if (size <= 0n) throw new StoreError(5439018, "$dateTrunc requires 'binSize' to be greater than 0");
      const first = by === 'week' ? weekStart(startOfWeek, '$dateTrunc') : 0;
      const truncated = truncateTo(date(value, 5439012, '$dateTrunc', 'date'), by, Number(size), zone, first);
      return dateFrom(truncated);
    },
  ),
};
