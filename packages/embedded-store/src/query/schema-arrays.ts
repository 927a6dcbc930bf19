import type { Value } from '../bson/types';
import {
  VALID,
  booleanArgument,
  countArgument,
  hasDuplicates,
  mistyped,
  subschema,
  type Check,
  type KeywordTable,
  type KeywordUse,
} from './schema-arguments';

function ofArrays(check: (array: readonly Value[]) => boolean): Check {
  return (value) => !Array.isArray(value) || check(value);
}

function itemChecks(use: KeywordUse, items: readonly Value[]): Check[] {
  return items.map((schema) => subschema(use, schema));
}

/** The keywords about arrays; other values are valid. */
export const SCHEMA_ARRAY_KEYWORDS: KeywordTable = {
  items(use) {
    if (use.argument instanceof Map) {
      const check = use.compile(use.argument);
      return ofArrays((array) => array.every(check));
    }
    if (!Array.isArray(use.argument)) throw mistyped(use, 'an array or an object');
    const checks = itemChecks(use, use.argument);
    return ofArrays((array) => checks.every((check, i) => i >= array.length || check(array[i] as Value)));
  },

  additionalItems(use) {
    const { argument, schema } = use;
    const allowed =
      typeof argument === 'boolean'
        ? () => argument
        : argument instanceof Map
          ? use.compile(argument)
          : undefined;
    if (!allowed) throw mistyped(use, 'an object or a boolean');
    const items = schema.get('items');
    // Without a list of items there are no additional ones.
    if (!Array.isArray(items)) return VALID;
    return ofArrays((array) => array.slice(items.length).every(allowed));
  },

  minItems(use) {
    const count = countArgument(use);
    return ofArrays((array) => array.length >= count);
  },

  maxItems(use) {
    const count = countArgument(use);
    return ofArrays((array) => array.length <= count);
  },

  uniqueItems: (use) => (booleanArgument(use) ? ofArrays((array) => !hasDuplicates(array)) : VALID),
};
