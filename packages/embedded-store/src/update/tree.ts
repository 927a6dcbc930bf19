import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { comparePathNames, parseUpdatePath, type PathPart } from './path';

/** Returned by a modifier to remove its field (an element of an array becomes null). */
export const REMOVED = Symbol('removed');

/** Where and when a modifier is applied. */
export interface LeafContext {
  /** The actual dotted path, with the indexes in place of `$` and `$[]`. */
  readonly path: string;
  /** The document before the update. */
  readonly document: Document;
  readonly now: Date;
  /** Whether the value is an element of an array, or below one. */
  readonly throughArray: boolean;
}

/** One operator applied to one path. */
export interface Leaf {
  /** Returns the new value, the same reference if nothing changes. */
  update(value: Value, context: LeafContext): Value | typeof REMOVED;
  /** Returns the value of a missing field, undefined to leave it missing. Without it the field is not created. */
  create?(context: LeafContext): Value | undefined;
  /** Applied only when the update inserts a document. */
  readonly insertOnly?: boolean;
  /** Whether a path that leads through a scalar is ignored and not an error. */
  ignoresBlockedPath?(document: Document): boolean;
}

export interface ObjectNode {
  readonly kind: 'object';
  /** By field name, in the order of application once the tree is sorted. */
  children: Map<string, UpdateNode>;
  positional?: UpdateNode;
}

export interface ArrayNode {
  readonly kind: 'array';
  /** By identifier of an array filter; the empty one means `$[]`. */
  children: Map<string, UpdateNode>;
}

/** The paths of an update as a tree, so that each container is visited once and conflicts are found. */
export type UpdateNode = { readonly kind: 'leaf'; readonly leaf: Leaf } | ObjectNode | ArrayNode;

/**
 * Adds an operator at a path.
 *
 * @throws StoreError ConflictingUpdateOperators if the tree has an operator there, above it or below it.
 */
export function addToTree(root: ObjectNode, path: string, leaf: Leaf): PathPart[] {
  const parts = parseUpdatePath(path);
  let node: UpdateNode = root;
  for (const [depth, part] of parts.entries()) {
    const last = depth === parts.length - 1;
    const found = childAt(node, part);
    const next: UpdateNode = last
      ? { kind: 'leaf', leaf }
      : { kind: parts[depth + 1]?.kind === 'elements' ? 'array' : 'object', children: new Map() };
    if (found && (last || found.kind === 'leaf' || found.kind !== next.kind)) {
      throw conflict(
        path,
        path
          .split('.')
          .slice(0, depth + 1)
          .join('.'),
      );
    }
    if (found) {
      node = found;
    } else {
      setChild(node, part, next);
      node = next;
    }
  }
  return parts;
}

function childAt(node: UpdateNode, part: PathPart): UpdateNode | undefined {
  if (node.kind === 'leaf') return undefined;
  if (part.kind === 'elements') return node.children.get(part.identifier);
  if (part.kind === 'positional') return node.kind === 'object' ? node.positional : undefined;
  return node.children.get(part.name);
}

function setChild(node: UpdateNode, part: PathPart, child: UpdateNode): void {
  if (node.kind === 'leaf') return;
  if (part.kind === 'positional') {
    if (node.kind === 'object') node.positional = child;
  } else {
    node.children.set(part.kind === 'elements' ? part.identifier : part.name, child);
  }
}

function conflict(path: string, at: string): StoreError {
  return new StoreError(
    'ConflictingUpdateOperators',
    `Updating the path '${path}' would create a conflict at '${at}'`,
  );
}

/** Sorts the children of every node into the order in which they are applied. */
export function sortTree(node: UpdateNode): void {
  if (node.kind === 'leaf') return;
  node.children = new Map([...node.children].sort(([a], [b]) => comparePathNames(a, b)));
  for (const child of node.children.values()) sortTree(child);
  if (node.kind === 'object' && node.positional) sortTree(node.positional);
}

/**
 * Merges the operators of two paths to the same element (`d.$` and `d.0`, two array filters).
 *
 * @throws StoreError ConflictingUpdateOperators if both change the same path.
 */
export function mergeNodes(a: UpdateNode, b: UpdateNode, path: string): UpdateNode {
  if (a.kind === 'leaf' || b.kind === 'leaf' || a.kind !== b.kind) {
    throw new StoreError('ConflictingUpdateOperators', `Update created a conflict at '${path}'`);
  }
  const children = new Map(a.children);
  for (const [name, child] of b.children) {
    const other = children.get(name);
    const step = a.kind === 'array' ? `$[${name}]` : name;
    children.set(name, other ? mergeNodes(other, child, `${path}.${step}`) : child);
  }
  const sorted = new Map([...children].sort(([x], [y]) => comparePathNames(x, y)));
  if (a.kind === 'array' || b.kind === 'array') return { kind: 'array', children: sorted };
  const positional =
    a.positional && b.positional
      ? mergeNodes(a.positional, b.positional, `${path}.$`)
      : (a.positional ?? b.positional);
  return { kind: 'object', children: sorted, ...(positional ? { positional } : {}) };
}
