import { StoreError } from '../errors';
import {
  VALID,
  arrayArgument,
  hasDuplicates,
  mistyped,
  objectArgument,
  schemaEqual,
  subschema,
  unparsable,
  type Check,
  type Keyword,
  type KeywordTable,
} from './schema-arguments';

function combination(combine: (checks: readonly Check[]) => Check): Keyword {
  return (use) => {
    const schemas = arrayArgument(use);
    if (schemas.length === 0) {
      throw new StoreError('BadValue', `$jsonSchema keyword '${use.name}' must be a non-empty array`);
    }
    return combine(schemas.map((schema) => subschema(use, schema)));
  };
}

const text: Keyword = (use) => {
  if (typeof use.argument !== 'string') throw mistyped(use, 'of type string');
  return VALID;
};

/** The keywords about values of any type. */
export const SCHEMA_LOGIC_KEYWORDS: KeywordTable = {
  allOf: combination((checks) => (value) => checks.every((check) => check(value))),
  anyOf: combination((checks) => (value) => checks.some((check) => check(value))),
  oneOf: combination((checks) => (value) => checks.filter((check) => check(value)).length === 1),

  not(use) {
    const check = use.compile(objectArgument(use));
    return (value) => !check(value);
  },

  enum(use) {
    const values = arrayArgument(use);
    if (values.length === 0) throw unparsable(use, 'an array that is not empty');
    if (hasDuplicates(values)) throw unparsable(use, 'an array without duplicates');
    return (value) => values.some((allowed) => schemaEqual(value, allowed));
  },

  title: text,
  description: text,
};
