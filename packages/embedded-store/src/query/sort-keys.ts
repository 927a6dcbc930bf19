import { isArrayIndex, type Path } from '../bson/paths';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';

/**
 * The values of a document at the paths of a sort, one each. An empty array counts as undefined, which is below
 * null, and a missing field as null.
 */
export type KeyValues = readonly (Value | undefined)[];

const AMBIGUOUS_FIELD = 16746;

/** The state of a path: a final value, or a value and the rest of the path. */
type Step = { value: Value | undefined } | { from: Value | undefined; rest: Path };

/**
 * Every tuple of values that a document has at the given paths, as an index on them would contain: an array yields
 * each of its elements, and paths through the same array take their values from the same element.
 *
 * @throws StoreError BadValue if two paths lead through different arrays.
 * @see https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
 */
export function keyTuples(document: Document, paths: readonly Path[]): KeyValues[] {
  const tuples: KeyValues[] = [];
  expand(
    paths.map((rest) => ({ from: document, rest })),
    tuples,
  );
  return tuples;
}

function expand(steps: readonly Step[], tuples: KeyValues[]): void {
  const walked = steps.map((step) => ('rest' in step ? descend(step.from, step.rest) : step));
  let array: readonly Value[] | undefined;
  for (const step of walked) {
    if (!('rest' in step)) continue;
    const at = step.from as readonly Value[];
    if (array !== undefined && array !== at) {
      throw new StoreError('BadValue', 'cannot sort with keys that are parallel arrays');
    }
    array = at;
  }
  if (array === undefined) {
    tuples.push(walked.map((step) => ('value' in step ? step.value : null)));
    return;
  }
  if (array.length === 0) {
    const emptyAtEnd = (rest: Path) => (rest.length === 0 ? undefined : null);
    tuples.push(walked.map((step) => ('rest' in step ? emptyAtEnd(step.rest) : step.value)));
    return;
  }
  for (const element of array) {
    expand(
      walked.map((step) => ('rest' in step ? enter(element, step.rest) : step)),
      tuples,
    );
  }
}

/** Reads an element of an array. An array inside the array is one value. */
function enter(element: Value, rest: Path): Step {
  if (rest.length === 0) return { value: element };
  return element instanceof Map ? { from: element, rest } : { value: null };
}

/** Follows a path through documents (and numbered elements) to its end or to an array. */
function descend(from: Value | undefined, path: Path): Step {
  let value = from;
  for (const [i, name] of path.entries()) {
    if (value instanceof Map) {
      value = value.get(name);
    } else if (Array.isArray(value)) {
      const element = isArrayIndex(name) ? value[Number(name)] : undefined;
      if (element === undefined) return { from: value, rest: path.slice(i) };
      if (value.some((item) => item instanceof Map && item.has(name))) {
        throw new StoreError(
          AMBIGUOUS_FIELD,
          `Ambiguous field name found in array (do not use numeric field names in embedded elements in an array), field: '${name}'`,
        );
      }
      value = element;
    } else {
      return { value: null };
    }
  }
  if (Array.isArray(value)) return { from: value, rest: [] };
  return { value: value ?? null };
}
