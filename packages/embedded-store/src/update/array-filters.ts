import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import { compileFilter, type Filter } from '../query/matcher';
import { describe } from './describe';

const IDENTIFIER = /^[a-z][a-zA-Z0-9]*$/;
const BRANCHES = new Set(['$and', '$or', '$nor']);

/** The filters of an update's `$[identifier]` steps. */
export interface ArrayFilters {
  readonly identifiers: readonly string[];
  readonly passes: (identifier: string, element: Value) => boolean;
}

/**
 * Compiles the `arrayFilters` of an update statement, each of which is about one identifier.
 *
 * @throws StoreError FailedToParse, BadValue
 * @see https://www.mongodb.com/docs/manual/reference/operator/update/positional-filtered/
 */
export function compileArrayFilters(specs: readonly Value[], collator: Collator | undefined): ArrayFilters {
  const filters = new Map<string, Filter>();
  for (const spec of specs) {
    if (!(spec instanceof Map)) {
      throw new StoreError('TypeMismatch', 'Each array filter must be a document');
    }
    const identifier = identifierOf(spec);
    if (filters.has(identifier)) {
      throw new StoreError(
        'FailedToParse',
        `Found multiple array filters with the same top-level field name ${identifier}`,
      );
    }
    filters.set(identifier, compileFilter(spec, collator ? { collator } : {}));
  }
  return {
    identifiers: [...filters.keys()],
    passes: (identifier, element) =>
      filters.get(identifier)?.matches(new Map([[identifier, element]])) ?? false,
  };
}

function identifierOf(spec: Document): string {
  const names = new Set(topLevelNames(spec));
  const [name, another] = names;
  if (name === undefined) {
    throw new StoreError(
      'FailedToParse',
      'Cannot use an expression without a top-level field name in arrayFilters',
    );
  }
  if (another !== undefined) {
    throw new StoreError(
      'FailedToParse',
      `Error parsing array filter :: caused by :: Expected a single top-level field name, found '${name}' and '${another}'`,
    );
  }
  if (!IDENTIFIER.test(name)) {
    throw new StoreError(
      'BadValue',
      'Error parsing array filter :: caused by :: The top-level field name must be an alphanumeric string ' +
        `beginning with a lowercase letter, found '${name}'`,
    );
  }
  return name;
}

function* topLevelNames(spec: Document): Iterable<string> {
  for (const [name, value] of spec) {
    if (!name.startsWith('$')) {
      yield name.split('.', 1)[0] ?? '';
    } else if (BRANCHES.has(name) && Array.isArray(value)) {
      for (const branch of value) if (branch instanceof Map) yield* topLevelNames(branch);
    } else if (name !== '$comment') {
      throw new StoreError(
        'FailedToParse',
        `Error parsing array filter :: caused by :: ${name} is not allowed here: ${describe(spec)}`,
      );
    }
  }
}
