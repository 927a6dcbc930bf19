import { compareValues, typeName } from '../bson/compare';
import { isNaNValue, isNumber, mod, toDecimal, toNumber, type NumberValue } from '../bson/numbers';
import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import { typeSet } from './operators/element';
import { compileRegex } from './regex';
import {
  VALID,
  booleanArgument,
  countArgument,
  mistyped,
  numberArgument,
  unparsable,
  type Check,
  type Keyword,
  type KeywordTable,
  type KeywordUse,
} from './schema-arguments';

/** What each type of JSON Schema is in BSON. */
const JSON_TYPES: ReadonlyMap<string, readonly string[]> = new Map([
  ['array', ['array']],
  ['boolean', ['bool']],
  ['null', ['null']],
  ['number', ['int', 'long', 'double', 'decimal']],
  ['object', ['object']],
  ['string', ['string']],
]);

function ofType(names: ReadonlySet<string>): Check {
  return (value) => names.has(typeName(value));
}

function ofNumbers(check: (number: NumberValue) => boolean): Check {
  return (value) => !isNumber(value) || check(value);
}

function ofStrings(check: (text: string) => boolean): Check {
  return (value) => typeof value !== 'string' || check(value);
}

/** A string, or a list of different strings. */
function typeNames(use: KeywordUse): string[] {
  const list = Array.isArray(use.argument) ? use.argument : [use.argument];
  if (list.length === 0) throw unparsable(use, 'an array that is not empty');
  const names = list.map((name) => {
    if (typeof name !== 'string') throw mistyped(use, 'a string or an array of strings');
    return name;
  });
  if (new Set(names).size < names.length) throw unparsable(use, 'an array without duplicates');
  return names;
}

function jsonTypes(name: string): readonly string[] {
  if (name === 'integer') {
    throw new StoreError(
      'FailedToParse',
      "$jsonSchema type 'integer' is not currently supported, use bsonType 'int' or 'long' instead",
    );
  }
  const types = JSON_TYPES.get(name);
  if (!types) throw new StoreError('BadValue', `Unknown type name alias: ${name}`);
  return types;
}

function limit(sign: 1 | -1, exclusiveName: string): Keyword {
  return (use) => {
    const bound = numberArgument(use);
    const exclusive = use.schema.get(exclusiveName) === true;
    return ofNumbers((number) => {
      if (isNaNValue(number) || isNaNValue(bound))
        return isNaNValue(number) && isNaNValue(bound) && !exclusive;
      const order = compareValues(number, bound) * sign;
      return exclusive ? order > 0 : order >= 0;
    });
  };
}

function exclusive(boundName: string): Keyword {
  return (use) => {
    booleanArgument(use);
    if (use.schema.has(boundName)) return VALID;
    throw new StoreError(
      'FailedToParse',
      `$jsonSchema keyword '${boundName}' must be a present if ${use.name} is present`,
    );
  };
}

function isMultiple(number: Value, divisor: NumberValue): boolean {
  return isNumber(number) && toNumber(mod(toDecimal(number), toDecimal(divisor))) === 0;
}

/** The keywords about types, numbers and strings; other values are valid. */
export const SCHEMA_SCALAR_KEYWORDS: KeywordTable = {
  type(use) {
    if (use.schema.has('bsonType')) {
      throw new StoreError('FailedToParse', "Cannot specify both $jsonSchema keywords 'type' and 'bsonType'");
    }
    return ofType(new Set(typeNames(use).flatMap(jsonTypes)));
  },

  bsonType: (use) => ofType(typeSet(typeNames(use), 'bsonType')),

  minimum: limit(1, 'exclusiveMinimum'),
  maximum: limit(-1, 'exclusiveMaximum'),
  exclusiveMinimum: exclusive('minimum'),
  exclusiveMaximum: exclusive('maximum'),

  multipleOf(use) {
    const divisor = numberArgument(use);
    if (!(toNumber(divisor) > 0)) throw unparsable(use, 'greater than 0');
    return ofNumbers((number) => isMultiple(number, divisor));
  },

  minLength(use) {
    const count = countArgument(use);
    return ofStrings((text) => [...text].length >= count);
  },

  maxLength(use) {
    const count = countArgument(use);
    return ofStrings((text) => [...text].length <= count);
  },

  pattern(use) {
    if (typeof use.argument !== 'string') throw mistyped(use, 'a string');
    const expression = compileRegex(use.argument, '');
    return ofStrings((text) => expression.test(text));
  },
};
