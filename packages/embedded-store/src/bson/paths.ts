import type { Document, Value } from './types';

/** A dotted path, split into its parts. */
export type Path = readonly string[];

/** Splits `a.b.0` into its parts. Empty parts are kept: `a..b` names the empty field inside `a`. */
export function splitPath(path: string): Path {
  return path.split('.');
}

const INDEX = /^(?:0|[1-9]\d*)$/;

/** Whether a path part can be an array index: decimal digits without leading zeros. */
export function isArrayIndex(part: string): boolean {
  return INDEX.test(part);
}

/** The field `name` of a document; undefined for anything else and for a missing field. */
export function fieldOf(value: Value | undefined, name: string): Value | undefined {
  return value instanceof Map ? value.get(name) : undefined;
}

/**
 * Walks a path with the array semantics of query matching: an array on the path is replaced by each of its
 * documents and, if the next part is a number, by that element. Calls `visit` with each value at the end of the
 * path (undefined if a document lacks it) and the index used in the first array on the path. An array at the end is
 * passed as a whole, and the caller visits its elements, unless `element` says that the path named it by its
 * position in another array. Stops at the first `visit` that returns true, and then returns true. Elements that are
 * not documents contribute nothing, so `{'a.b': null}` does not match `{a: [1]}` or `{a: []}`.
 */
export function visitPath(document: Document, path: Path, visit: Visit): boolean {
  return walk(document.get(path[0] as string), path, 1, undefined, visit);
}

type Visit = (value: Value | undefined, arrayIndex: number | undefined, element: boolean) => boolean;

/** Continues with path[from] inside `current`. */
function walk(
  current: Value | undefined,
  path: Path,
  from: number,
  arrayIndex: number | undefined,
  visit: Visit,
): boolean {
  for (let i = from; i < path.length; i++) {
    if (current instanceof Map) current = current.get(path[i] as string);
    else if (Array.isArray(current)) return spread(current, path, i, arrayIndex, visit);
    else return visit(undefined, arrayIndex, false);
  }
  return visit(current, arrayIndex, false);
}

/**
 * Continues with path[i] inside an array: through its documents, and through the element if the part is its index.
 */
function spread(
  array: readonly Value[],
  path: Path,
  i: number,
  arrayIndex: number | undefined,
  visit: Visit,
): boolean {
  const part = path[i] as string;
  for (let k = 0; k < array.length; k++) {
    const item = array[k];
    if (item instanceof Map && walk(item.get(part), path, i + 1, arrayIndex ?? k, visit)) return true;
  }
  if (!isArrayIndex(part)) return false;
  const position = Number(part);
  if (position >= array.length) return false;
  const element = array[position] as Value;
  const index = arrayIndex ?? position;
  if (i === path.length - 1) return visit(element, index, true);
  if (element instanceof Map) return walk(element, path, i + 1, index, visit);
  if (!Array.isArray(element)) return false;
  // An array directly inside an array is entered by position only.
  const inner = path[i + 1] as string;
  return walk(isArrayIndex(inner) ? element[Number(inner)] : undefined, path, i + 2, index, visit);
}
