import { isArrayIndex, type Path } from '../bson/paths';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';

/** The tuples of values that a document has at the fields of an index, and which fields went through arrays. */
export interface Extracted {
  /** One value for each field: null where missing, undefined for an empty array. */
  tuples: (Value | undefined)[][];
  /** One bit for each field that has an array on its path. */
  multikeyFields: number;
  /** Whether any field exists at all; a sparse index leaves out documents in which none does. */
  exists: boolean;
}

/** The state of a field's path: at a value, or at an array whose elements still have to be read. */
type Step =
  | { array?: undefined; value: Value | undefined; missing?: boolean }
  | { array: readonly Value[]; rest: Path };

const CANNOT_INDEX_PARALLEL_ARRAYS = 171;
const AMBIGUOUS_FIELD = 16746;

/**
 * Reads the values for an index key from a document. An array yields a key for each of its elements; fields with
 * paths through the same array take their values from the same element. Throws CannotIndexParallelArrays for two
 * different arrays, Location16746 for a number in a path that may be both a position and a field name.
 * @see https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
 */
export function extractTuples(document: Document, paths: readonly Path[]): Extracted {
  const result: Extracted = { tuples: [], multikeyFields: 0, exists: false };
  expand(
    paths.map((path) => follow(document, path)),
    paths,
    result,
  );
  return result;
}

function expand(steps: readonly Step[], paths: readonly Path[], result: Extracted): void {
  const array = sharedArray(steps, paths, result);
  if (array === undefined) {
    result.tuples.push(
      steps.map((step) => {
        if (step.array !== undefined) return null;
        if (step.missing !== true) result.exists = true;
        return step.value;
      }),
    );
    return;
  }
  if (array.length === 0) {
    result.exists ||= steps.some((step) => step.array !== undefined && step.rest.length === 0);
    const ended = steps.map((step): Step => (step.array === undefined ? step : emptied(step.rest)));
    expand(ended, paths, result);
    return;
  }
  for (const element of array) {
    expand(
      steps.map((step) => (step.array === undefined ? step : enter(element, step.rest))),
      paths,
      result,
    );
  }
}

/** An empty array at the end of a path is indexed as undefined; a path below it is indexed as missing. */
function emptied(rest: Path): Step {
  return rest.length === 0 ? { value: undefined } : { value: null, missing: true };
}

function sharedArray(
  steps: readonly Step[],
  paths: readonly Path[],
  result: Extracted,
): readonly Value[] | undefined {
  let first = -1;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i] as Step;
    if (step.array === undefined) continue;
    result.multikeyFields |= 1 << i;
    if (first < 0) first = i;
    else if ((steps[first] as Step).array !== step.array) {
      const names = [i, first].map((k) => `[${(paths[k] as Path).join('.')}]`);
      throw new StoreError(CANNOT_INDEX_PARALLEL_ARRAYS, `cannot index parallel arrays ${names.join(' ')}`);
    }
  }
  return first < 0 ? undefined : (steps[first] as Step).array;
}

/** Reads one element of an array. An array inside the array is one value. */
function enter(element: Value, rest: Path): Step {
  if (rest.length === 0) return { value: element };
  return element instanceof Map ? follow(element, rest) : { value: null, missing: true };
}

/** Follows a path through documents and numbered elements to its end or to an array. */
function follow(from: Value | undefined, path: Path): Step {
  let value = from;
  for (let i = 0; i < path.length; i++) {
    const name = path[i] as string;
    if (value instanceof Map) value = value.get(name);
    else if (Array.isArray(value)) {
      const element: Value | undefined = isArrayIndex(name) ? value[Number(name)] : undefined;
      if (element === undefined) return { array: value, rest: path.slice(i) };
      if (value.some((item) => item instanceof Map && item.has(name))) {
        throw new StoreError(
          AMBIGUOUS_FIELD,
          `Ambiguous field name found in array (do not use numeric field names in embedded elements in an array), field: '${name}'`,
        );
      }
      value = element;
    } else return { value: null, missing: true };
  }
  if (Array.isArray(value)) return { array: value, rest: [] };
  return value === undefined ? { value: null, missing: true } : { value };
}
