import { Double } from 'bson';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collator } from './collation';
import type { Filter } from './matcher';
import {
  parseProjection,
  type ProjectionLeaf,
  type ProjectionNode,
  type ProjectionSpec,
} from './projection-spec';
import type { DocumentMeta } from './sort';

/** A compiled projection. */
export interface Projection {
  /** Whether it returns every document unchanged, so that the stored bytes can be sent. */
  readonly isIdentity: boolean;
  /** Whether it needs the score of a `$text` query. */
  readonly usesTextScore: boolean;
  /** A new document with the projected fields. */
  apply(document: Document, meta?: DocumentMeta): Document;
}

const IDENTITY: Projection = { isIdentity: true, usesTextScore: false, apply: (document) => document };

/**
 * Compiles the projection of a find or findAndModify: inclusion or exclusion with `$slice`, `$elemMatch`, `$meta:
 * "textScore"`, `.$` and expressions.
 *
 * @param options.filter The query's filter, which decides the element that `.$` means.
 * @throws StoreError see parseProjection; BadValue for `.$` without a filter on that path.
 * @see https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#projection
 */
export function compileProjection(
  spec: Document | undefined,
  options: {
    filter?: Filter | undefined;
    collator?: Collator | undefined;
    variables?: Document | undefined;
  } = {},
): Projection {
  if (!spec || spec.size === 0) return IDENTITY;
  const parsed = parseProjection(spec, options);
  return {
    isIdentity: false,
    usesTextScore: parsed.usesTextScore,
    apply: (document, meta = {}) => project(parsed, document, meta, options.filter),
  };
}

function project(
  { root, inclusion, positional }: ProjectionSpec,
  document: Document,
  meta: DocumentMeta,
  filter: Filter | undefined,
): Document {
  if (!inclusion) return addComputed(root, exclude(root, document), document, meta);
  const source = positional ? keepMatched(document, positional, filter?.positional(document)) : document;
  const idless = root.children.has('_id') ? undefined : document.get('_id');
  const picked = include(root, source);
  const result = idless === undefined ? picked : new Map([['_id', idless], ...picked]);
  return addComputed(root, result, document, meta);
}

function include(node: ProjectionNode, document: Document): Document {
  const result: Document = new Map();
  for (const [name, value] of document) {
    const child = node.children.get(name);
    if (!child) continue;
    const picked = child.kind === 'node' ? includeBelow(child, value) : pick(child, value, name);
    if (picked !== undefined) result.set(name, picked);
  }
  return result;
}

function includeBelow(node: ProjectionNode, value: Value): Value | undefined {
  if (value instanceof Map) return include(node, value);
  if (!Array.isArray(value)) return undefined;
  return value.flatMap((item) => {
    const picked = includeBelow(node, item);
    return picked === undefined ? [] : [picked];
  });
}

function exclude(node: ProjectionNode, document: Document): Document {
  const result: Document = new Map();
  for (const [name, value] of document) {
    const child = node.children.get(name);
    const kept = !child
      ? value
      : child.kind === 'node'
        ? excludeBelow(child, value)
        : pick(child, value, name);
    if (kept !== undefined) result.set(name, kept);
  }
  return result;
}

function excludeBelow(node: ProjectionNode, value: Value): Value {
  if (value instanceof Map) return exclude(node, value);
  return Array.isArray(value) ? value.map((item) => excludeBelow(node, item)) : value;
}

/** The projected value of a leaf, undefined for none; computed values are added later. */
function pick(leaf: ProjectionLeaf, value: Value, name: string): Value | undefined {
  switch (leaf.kind) {
    case 'include':
      return value;
    case 'slice':
      return Array.isArray(value) ? slice(value, leaf.skip, leaf.count) : value;
    case 'elemMatch': {
      if (!Array.isArray(value)) return undefined;
      const index = leaf.filter.positional(new Map([[name, value]]));
      const element = index === undefined ? undefined : value[index];
      return element === undefined ? undefined : [element];
    }
    case 'exclude':
    case 'textScore':
    case 'computed':
      return undefined;
  }
}

function slice(array: readonly Value[], skip: number | undefined, count: number): Value[] {
  if (skip === undefined) return count >= 0 ? array.slice(0, count) : array.slice(count);
  const start = skip >= 0 ? skip : Math.max(array.length + skip, 0);
  return array.slice(start, start + count);
}

function addComputed(
  node: ProjectionNode,
  result: Document,
  document: Document,
  meta: DocumentMeta,
): Document {
  for (const [name, child] of node.children) {
    if (child.kind === 'node') {
      if (!hasComputed(child)) continue;
      result.set(name, addBelow(child, result.get(name), document, meta));
    } else {
      const value = compute(child, document, meta);
      if (value !== undefined) result.set(name, value);
    }
  }
  return result;
}

function hasComputed(node: ProjectionNode): boolean {
  return [...node.children.values()].some((child) =>
    child.kind === 'node' ? hasComputed(child) : child.kind === 'computed' || child.kind === 'textScore',
  );
}

function addBelow(
  node: ProjectionNode,
  value: Value | undefined,
  document: Document,
  meta: DocumentMeta,
): Value {
  if (Array.isArray(value)) return value.map((item) => addBelow(node, item, document, meta));
  const container: Document = value instanceof Map ? new Map(value) : new Map<string, Value>();
  return addComputed(node, container, document, meta);
}

function compute(leaf: ProjectionLeaf, document: Document, meta: DocumentMeta): Value | undefined {
  if (leaf.kind === 'computed') return leaf.expression(document);
  if (leaf.kind !== 'textScore') return undefined;
  if (meta.textScore === undefined) {
    throw new StoreError(40218, 'query requires text score metadata, but it is not available');
  }
  return new Double(meta.textScore);
}

/** The document with the first array on the path reduced to the element that the query matched. */
function keepMatched(document: Document, path: readonly string[], index: number | undefined): Document {
  const [name = '', ...rest] = path;
  const value = document.get(name);
  if (Array.isArray(value)) {
    const element = index === undefined ? undefined : value[index];
    if (element === undefined) {
      throw new StoreError(
        'BadValue',
        "Executor error during find command :: caused by :: positional operator '.$' couldn't find a matching element in the array",
      );
    }
    return new Map(document).set(name, [element]);
  }
  if (!(value instanceof Map) || rest.length === 0) return document;
  return new Map(document).set(name, keepMatched(value, rest, index));
}
