import { compareValues } from '../bson/compare';
import { integral, isNumber, type NumberValue } from '../bson/numbers';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';

/** Returns whether a value is valid. */
export type Check = (value: Value) => boolean;

/** A keyword of a schema that is being compiled. */
export interface KeywordUse {
  readonly name: string;
  readonly argument: Value;
  /** The schema that contains the keyword, for keywords that depend on each other. */
  readonly schema: Document;
  /** Compiles a schema inside this one. */
  readonly compile: (schema: Document) => Check;
}

/** Compiles a keyword; throws MongoDB's errors for a bad argument. */
export type Keyword = (use: KeywordUse) => Check;

export type KeywordTable = Readonly<Record<string, Keyword>>;

export const VALID: Check = () => true;

export function mistyped({ name }: Pick<KeywordUse, 'name'>, expected: string): StoreError {
  return new StoreError('TypeMismatch', `$jsonSchema keyword '${name}' must be ${expected}`);
}

export function unparsable({ name }: Pick<KeywordUse, 'name'>, expected: string): StoreError {
  return new StoreError('FailedToParse', `$jsonSchema keyword '${name}' must be ${expected}`);
}

export function numberArgument(use: KeywordUse): NumberValue {
  if (!isNumber(use.argument)) throw mistyped(use, 'a number');
  return use.argument;
}

/** A length or count: a non-negative whole number. */
export function countArgument(use: KeywordUse): number {
  const count = integral(use.argument);
  if (count === undefined || count < 0n) throw unparsable(use, 'a non-negative integer');
  return Number(count);
}

export function booleanArgument(use: KeywordUse): boolean {
  if (typeof use.argument !== 'boolean') throw mistyped(use, 'a boolean');
  return use.argument;
}

export function objectArgument(use: KeywordUse): Document {
  if (!(use.argument instanceof Map)) throw mistyped(use, 'an object');
  return use.argument;
}

export function arrayArgument(use: KeywordUse): Value[] {
  if (!Array.isArray(use.argument)) throw mistyped(use, 'an array');
  return use.argument;
}

/** A schema in a keyword's argument. */
export function subschema(use: KeywordUse, schema: Value): Check {
  if (!(schema instanceof Map)) throw mistyped(use, 'made of objects');
  return use.compile(schema);
}

/** A list of different strings, at least one. */
export function namesArgument(use: KeywordUse, value: Value): string[] {
  if (!Array.isArray(value)) throw mistyped(use, 'an array');
  const names = value.map((name) => {
    if (typeof name !== 'string') throw mistyped(use, 'an array of strings');
    return name;
  });
  if (names.length === 0) throw unparsable(use, 'an array that is not empty');
  if (new Set(names).size < names.length) throw unparsable(use, 'an array without duplicates');
  return names;
}

/** Equality as in JSON Schema: numbers by value, and documents regardless of the order of their fields. */
export function schemaEqual(a: Value, b: Value): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => schemaEqual(item, b[i] as Value));
  }
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    return [...a].every(([name, item]) => {
      const other = b.get(name);
      return other !== undefined && schemaEqual(item, other);
    });
  }
  return compareValues(a, b) === 0;
}

export function hasDuplicates(values: readonly Value[]): boolean {
  return values.some((value, i) => values.slice(0, i).some((other) => schemaEqual(value, other)));
}
