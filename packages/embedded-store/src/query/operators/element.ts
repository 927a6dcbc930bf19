import { typeName } from '../../bson/compare';
import { integral, isNumber, toNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import type { Predicate } from '../ast';
import { badValue, leaf, not, type FieldOperator } from './context';

const EXISTS: Predicate = { kind: 'exists', test: (value) => value !== undefined };

const isTrue = (value: Value): boolean => {
  if (typeof value === 'boolean') return value;
  return isNumber(value) ? toNumber(value) !== 0 : value !== null;
};

const $exists: FieldOperator = (path, argument) => {
  const node = leaf(path, EXISTS);
  return isTrue(argument) ? node : not(node);
};

const ALIASES: readonly [number: number, alias: string][] = [
  [1, 'double'],
  [2, 'string'],
  [3, 'object'],
  [4, 'array'],
  [5, 'binData'],
  [6, 'undefined'],
  [7, 'objectId'],
  [8, 'bool'],
  [9, 'date'],
  [10, 'null'],
  [11, 'regex'],
  [12, 'dbPointer'],
  [13, 'javascript'],
  [14, 'symbol'],
  [15, 'javascriptWithScope'],
  [16, 'int'],
  [17, 'timestamp'],
  [18, 'long'],
  [19, 'decimal'],
  [-1, 'minKey'],
  [127, 'maxKey'],
];
const BY_NUMBER = new Map(ALIASES);
const NAMES = new Set([...BY_NUMBER.values(), 'number']);
const NUMBERS = ['int', 'long', 'double', 'decimal'];

/** The type names of an argument of $type or bsonType; "number" means four types. */
export function typeSet(argument: Value, operator: string): ReadonlySet<string> {
  const list = Array.isArray(argument) ? argument : [argument];
  if (list.length === 0) {
    throw new StoreError('FailedToParse', `${operator} must match at least one type`);
  }
  return new Set(list.flatMap((item) => typesOf(item, operator)));
}

function typesOf(item: Value, operator: string): string[] {
  if (typeof item === 'string') {
    if (!NAMES.has(item)) throw badValue(`Unknown type name alias: ${item}`);
    return item === 'number' ? NUMBERS : [item];
  }
  if (!isNumber(item)) {
    throw new StoreError(
      operator === '$type' ? 'TypeMismatch' : 'FailedToParse',
      'type must be represented as a number or a string',
    );
  }
  const number = integral(item);
  if (number === 0n) throw badValue('Invalid numerical type code: 0. Instead use {$exists:false}.');
  const name = number === undefined ? undefined : BY_NUMBER.get(Number(number));
  if (name === undefined) throw badValue(`Invalid numerical type code: ${toNumber(item)}`);
  return [name];
}

const $type: FieldOperator = (path, argument) => {
  const names = typeSet(argument, '$type');
  return leaf(path, { kind: 'type', names, test: (value) => names.has(typeName(value)) });
};

export const ELEMENT_OPERATORS: Readonly<Record<string, FieldOperator>> = { $exists, $type };
