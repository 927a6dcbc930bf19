import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { SCHEMA_ARRAY_KEYWORDS } from './schema-arrays';
import type { Check, Keyword } from './schema-arguments';
import { SCHEMA_LOGIC_KEYWORDS } from './schema-logic';
import { SCHEMA_OBJECT_KEYWORDS } from './schema-objects';
import { SCHEMA_SCALAR_KEYWORDS } from './schema-scalars';

const KEYWORDS: ReadonlyMap<string, Keyword> = new Map(
  Object.entries({
    ...SCHEMA_ARRAY_KEYWORDS,
    ...SCHEMA_LOGIC_KEYWORDS,
    ...SCHEMA_OBJECT_KEYWORDS,
    ...SCHEMA_SCALAR_KEYWORDS,
  }),
);

/** Keywords of JSON Schema that MongoDB refuses. */
const UNSUPPORTED = new Set(['$ref', '$schema', 'default', 'definitions', 'format', 'id']);

/**
 * Compiles a `$jsonSchema`: draft 4 of JSON Schema as MongoDB implements it, with `bsonType`. A keyword applies
 * only to values of its types.
 *
 * @throws StoreError FailedToParse for keywords that are unknown or not supported, TypeMismatch, BadValue.
 * @see https://www.mongodb.com/docs/manual/reference/operator/query/jsonSchema/
 */
export function compileSchema(schema: Document): (document: Document) => boolean {
  return compile(schema);
}

function compile(schema: Document): Check {
  const checks = [...schema].map(([name, argument]) => compileKeyword(name, argument, schema));
  return (value: Value) => checks.every((check) => check(value));
}

function compileKeyword(name: string, argument: Value, schema: Document): Check {
  const keyword = KEYWORDS.get(name);
  if (keyword) return keyword({ name, argument, schema, compile });
  throw new StoreError(
    'FailedToParse',
    UNSUPPORTED.has(name)
      ? `$jsonSchema keyword '${name}' is not currently supported`
      : `Unknown $jsonSchema keyword: ${name}`,
  );
}
