import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { describe } from './describe';
import { isArrayIndex } from './path';
import { checkStorableField } from './storable';
import { REMOVED, mergeNodes, type ArrayNode, type Leaf, type ObjectNode, type UpdateNode } from './tree';

/** MongoDB pads an array with at most this many nulls. */
const MAX_PADDING = 1_500_000;

/** The inputs of one update of one document. */
export interface ApplyEnvironment {
  readonly document: Document;
  /** Index of the element that the query matched, for `$`. */
  readonly positional: number | undefined;
  readonly insert: boolean;
  readonly now: Date;
  /** Whether an element matches the array filter of this identifier. */
  readonly passes: (identifier: string, element: Value) => boolean;
}

interface Place {
  readonly path: string;
  readonly depth: number;
  readonly throughArray: boolean;
}

type Outcome = Value | undefined | typeof REMOVED;

/**
 * Applies an update tree to a document and returns the changed copy, which shares unchanged parts, or the document
 * itself if nothing changed.
 *
 * @throws StoreError PathNotViable, BadValue, TypeMismatch and the errors of the operators.
 */
export function applyTree(root: ObjectNode, environment: ApplyEnvironment): Document {
  const place = { path: '', depth: 0, throughArray: false };
  return applyToDocument(root, environment.document, place, environment);
}

function applyNode(
  node: UpdateNode,
  value: Value | undefined,
  name: string,
  place: Place,
  env: ApplyEnvironment,
): Outcome {
  if (node.kind === 'leaf') return applyLeaf(node.leaf, value, place, env);
  if (node.kind === 'array') return applyToElements(node, value, name, place, env);
  if (value === undefined) {
    const empty: Document = new Map();
    const created = applyToDocument(node, empty, place, env);
    return created === empty ? undefined : created;
  }
  if (value instanceof Map) return applyToDocument(node, value, place, env);
  if (Array.isArray(value)) return applyToArray(node, value, name, place, env);
  for (const [field, child] of childrenOf(node, env, place)) refuseBlocked(child, field, name, value, env);
  return value;
}

function applyLeaf(leaf: Leaf, value: Value | undefined, place: Place, env: ApplyEnvironment): Outcome {
  if (leaf.insertOnly && !env.insert) return value;
  const context = {
    path: place.path,
    document: env.document,
    now: env.now,
    throughArray: place.throughArray,
  };
  return value === undefined ? leaf.create?.(context) : leaf.update(value, context);
}

/** The children to apply, with the child under `$` at the position of the element that the query matched. */
function childrenOf(node: ObjectNode, env: ApplyEnvironment, place: Place): Iterable<[string, UpdateNode]> {
  if (!node.positional) return node.children;
  if (env.positional === undefined) {
    throw new StoreError('BadValue', 'The positional operator did not find the match needed from the query.');
  }
  const name = String(env.positional);
  const positional: ObjectNode = { kind: 'object', children: new Map([[name, node.positional]]) };
  const merged = mergeNodes({ kind: 'object', children: node.children }, positional, place.path);
  return merged.kind === 'leaf' ? [] : merged.children;
}

function below(place: Place, name: string, inArray: boolean): Place {
  return {
    path: place.path === '' ? name : `${place.path}.${name}`,
    depth: place.depth + 1,
    throughArray: place.throughArray || inArray,
  };
}

function applyToDocument(
  node: ObjectNode,
  document: Document,
  place: Place,
  env: ApplyEnvironment,
): Document {
  let result = document;
  const change = () => (result === document ? (result = new Map(document)) : result);
  for (const [name, child] of childrenOf(node, env, place)) {
    const before = result.get(name);
    const next = below(place, name, false);
    const after = applyNode(child, before, name, next, env);
    if (after === before) continue;
    if (after === REMOVED || after === undefined) {
      change().delete(name);
    } else {
      change().set(name, after);
      // The document of an upsert is checked when it is complete.
      if (!env.insert) checkStorableField(name, after, result, next.depth);
    }
  }
  return result;
}

function applyToArray(
  node: ObjectNode,
  array: Value[],
  arrayName: string,
  place: Place,
  env: ApplyEnvironment,
): Value[] {
  let result = array;
  const change = () => (result === array ? (result = [...array]) : result);
  for (const [name, child] of childrenOf(node, env, place)) {
    if (!isArrayIndex(name)) {
      refuseBlocked(child, name, arrayName, array, env);
      continue;
    }
    const index = Number(name);
    const before = result[index];
    const next = below(place, name, true);
    const after = applyNode(child, before, name, next, env);
    if (after === before) continue;
    if (after === REMOVED || after === undefined) {
      change()[index] = null;
      continue;
    }
    pad(change(), index);
    result[index] = after;
    if (!env.insert) checkStorableField('', after, undefined, next.depth);
  }
  return result;
}

function pad(array: Value[], length: number): void {
  if (length - array.length > MAX_PADDING) {
    throw new StoreError('CannotBackfillArray', `can't backfill more than ${MAX_PADDING} elements`);
  }
  while (array.length < length) array.push(null);
}

function applyToElements(
  node: ArrayNode,
  value: Value | undefined,
  name: string,
  place: Place,
  env: ApplyEnvironment,
): Outcome {
  if (value === undefined) {
    throw new StoreError(
      'BadValue',
      `The path '${place.path}' must exist in the document in order to apply array updates.`,
    );
  }
  if (!Array.isArray(value)) {
    throw new StoreError(
      'BadValue',
      `Cannot apply array updates to non-array element ${name}: ${describe(value)}`,
    );
  }
  let result = value;
  for (const [index, element] of value.entries()) {
    const next = below(place, String(index), true);
    let merged: UpdateNode | undefined;
    for (const [identifier, child] of node.children) {
      if (identifier !== '' && !env.passes(identifier, element)) continue;
      merged = merged ? mergeNodes(merged, child, next.path) : child;
    }
    if (!merged) continue;
    const after = applyNode(merged, element, String(index), next, env);
    if (after === element) continue;
    if (result === value) result = [...value];
    result[index] = after === REMOVED || after === undefined ? null : after;
    if (!env.insert) checkStorableField('', result[index] ?? null, undefined, next.depth);
  }
  return result;
}

/** Throws if the path of the node, or of one below it, leads through a value that cannot have fields. */
function refuseBlocked(
  node: UpdateNode,
  field: string,
  name: string,
  value: Value,
  env: ApplyEnvironment,
): void {
  if (node.kind === 'array') {
    throw new StoreError(
      'BadValue',
      `The path '${field}' must exist in the document in order to apply array updates.`,
    );
  }
  if (node.kind === 'object') {
    const below = node.positional ? [...node.children.values(), node.positional] : node.children.values();
    for (const child of below) refuseBlocked(child, field, name, value, env);
    return;
  }
  if (node.leaf.ignoresBlockedPath?.(env.document) || (node.leaf.insertOnly && !env.insert)) return;
  throw new StoreError(
    'PathNotViable',
    `Cannot create field '${field}' in element {${name}: ${describe(value)}}`,
  );
}
