import type { Variables } from '../aggregate/expression';
import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import type { Node } from './ast';
import type { Collator } from './collation';
import { equalityFilter } from './equality';
import { compileNode, positionOf } from './evaluate';
import { parseFilter } from './parse';
import type { Filter } from './filter';
import { decode, decodeFields } from '../bson/codec';

export type { Filter } from './filter';

export interface FilterOptions {
  collator?: Collator | undefined;
  /** Constants of the command (`let`), for $expr. */
  variables?: Variables | undefined;
  /** False where $text is not possible, as in a validator or an array filter. */
  text?: boolean;
}

/**
 * Compiles a query filter with MongoDB's matching semantics
 * (https://www.mongodb.com/docs/manual/reference/operator/query/). Throws MongoDB's parse errors, mostly BadValue.
 */
export function compileFilter(filter: Document, options: FilterOptions = {}): Filter {
  return (options.collator === undefined ? equalityFilter(filter) : undefined) ?? compileAny(filter, options);
}

/** The same without the shortcut for filters of equalities, which tests compare it with. */
export function compileAny(filter: Document, options: FilterOptions = {}): Filter {
  const root = parseFilter(filter, options);
  const clauses = textClauses(root);
  if (countText(root) > clauses.length) {
    throw new StoreError('BadValue', '$text is only supported as a condition of the whole query');
  }
  if (clauses.length > 1) throw new StoreError('BadValue', 'Too many text expressions');
  if (clauses.length > 0 && options.text === false) {
    throw new StoreError('BadValue', '$text is not allowed in this context');
  }
  const matches = compileNode(root);
  const names = new Set<string>();
  const fields = collectFields(root, names) ? names : undefined;
  return {
    root,
    ...(clauses[0] === undefined ? {} : { text: clauses[0] }),
    fields,
    matches,
    matchesBytes: (bytes) => matches(fields === undefined ? decode(bytes) : decodeFields(bytes, fields)),
    positional: (document) => positionOf(root, document),
  };
}

function textClauses(node: Node): Document[] {
  if (node.kind === 'text') return [node.clause];
  return node.kind === 'and' ? node.children.flatMap(textClauses) : [];
}

/** How often $text occurs in a filter. */
function countText(node: Node): number {
  if (node.kind === 'text') return 1;
  if (node.kind === 'not') return countText(node.child);
  return 'children' in node ? node.children.reduce((sum, child) => sum + countText(child), 0) : 0;
}

/** Collects the top-level fields that a filter reads; returns false when it may read any. */
function collectFields(node: Node, names: Set<string>): boolean {
  switch (node.kind) {
    case 'leaf':
      names.add(node.parts[0] as string);
      return true;
    case 'document':
      return false;
    case 'not':
      return collectFields(node.child, names);
    case 'and':
    case 'or':
    case 'nor':
      return node.children.every((child) => collectFields(child, names));
    default:
      return true;
  }
}
