import type { Document, Value } from '../bson/types';
import { compileRegex } from './regex';
import {
  countArgument,
  mistyped,
  namesArgument,
  objectArgument,
  subschema,
  unparsable,
  type Check,
  type KeywordTable,
  type KeywordUse,
} from './schema-arguments';

function ofObjects(check: (document: Document) => boolean): Check {
  return (value) => !(value instanceof Map) || check(value);
}

function patternChecks(use: KeywordUse): [pattern: RegExp, check: Check][] {
  return [...objectArgument(use)].map(([pattern, schema]) => [
    compileRegex(pattern, ''),
    subschema(use, schema),
  ]);
}

/** Returns whether `properties` or `patternProperties` of the same schema name a field. */
function namedFields(schema: Document): (name: string) => boolean {
  const properties = schema.get('properties');
  const patterns = schema.get('patternProperties');
  const names = new Set(properties instanceof Map ? properties.keys() : []);
  const expressions =
    patterns instanceof Map ? [...patterns.keys()].map((pattern) => compileRegex(pattern, '')) : [];
  return (name) => names.has(name) || expressions.some((expression) => expression.test(name));
}

function dependency(use: KeywordUse, dependent: Value): Check {
  if (dependent instanceof Map) return use.compile(dependent);
  if (!Array.isArray(dependent)) throw mistyped(use, 'made of arrays and objects');
  if (dependent.length === 0) throw unparsable(use, 'made of arrays that are not empty');
  const names = namesArgument(use, dependent);
  return ofObjects((document) => names.every((name) => document.has(name)));
}

/** The keywords about objects; other values are valid. */
export const SCHEMA_OBJECT_KEYWORDS: KeywordTable = {
  properties(use) {
    const checks = [...objectArgument(use)].map(([name, schema]) => [name, subschema(use, schema)] as const);
    return ofObjects((document) =>
      checks.every(([name, check]) => {
        const value = document.get(name);
        return value === undefined || check(value);
      }),
    );
  },

  patternProperties(use) {
    const checks = patternChecks(use);
    return ofObjects((document) =>
      [...document].every(([name, value]) =>
        checks.every(([pattern, check]) => !pattern.test(name) || check(value)),
      ),
    );
  },

  additionalProperties(use) {
    const { argument } = use;
    const allowed =
      typeof argument === 'boolean'
        ? () => argument
        : argument instanceof Map
          ? use.compile(argument)
          : undefined;
    if (!allowed) throw mistyped(use, 'an object or a boolean');
    const isNamed = namedFields(use.schema);
    return ofObjects((document) => [...document].every(([name, value]) => isNamed(name) || allowed(value)));
  },

  required(use) {
    const names = namesArgument(use, use.argument);
    return ofObjects((document) => names.every((name) => document.has(name)));
  },

  minProperties(use) {
    const count = countArgument(use);
    return ofObjects((document) => document.size >= count);
  },

  maxProperties(use) {
    const count = countArgument(use);
    return ofObjects((document) => document.size <= count);
  },

  dependencies(use) {
    const checks = [...objectArgument(use)].map(
      ([name, dependent]) => [name, dependency(use, dependent)] as const,
    );
    return ofObjects((document) => checks.every(([name, check]) => !document.has(name) || check(document)));
  },
};
