import { Timestamp } from 'bson';
import { typeName } from '../../bson/compare';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { describe } from '../describe';
import type { Modifier } from './modifier';

let lastSecond = 0;
let ordinal = 0;

/** A timestamp of the given moment that is greater than every earlier one of this process. */
export function nextTimestamp(now: Date): Timestamp {
  const second = Math.max(Math.floor(now.getTime() / 1000), lastSecond);
  ordinal = second === lastSecond ? ordinal + 1 : 1;
  lastSecond = second;
  return new Timestamp({ t: second, i: ordinal });
}

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/currentDate/ */
export const currentDate: Modifier = (path, argument) => {
  const timestamp = wantsTimestamp(path, argument);
  const current = (now: Date): Value => (timestamp ? nextTimestamp(now) : new Date(now));
  return { update: (_value, { now }) => current(now), create: ({ now }) => current(now) };
};

function wantsTimestamp(path: string, argument: Value): boolean {
  if (typeof argument === 'boolean') return false;
  if (!(argument instanceof Map)) {
    throw new StoreError(
      'BadValue',
      `${typeName(argument)} is not valid type for $currentDate. Please use a boolean ('true') or a $type ` +
        "expression ({$type: 'timestamp/date'}).",
    );
  }
  for (const name of argument.keys()) {
    if (name !== '$type') throw new StoreError('BadValue', `Unrecognized $currentDate option: ${name}`);
  }
  const type = argument.get('$type');
  if (type === 'date' || type === 'timestamp') return type === 'timestamp';
  throw new StoreError(
    'BadValue',
    `The '$type' string field is required to be 'date' or 'timestamp': {$currentDate: {${path}: ${describe(argument)}}}`,
  );
}
