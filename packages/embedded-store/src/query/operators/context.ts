import type { Variables } from '../../aggregate/expression';
import type { Collator } from '../collation';
import type { Node, Predicate } from '../ast';
import { splitPath } from '../../bson/paths';
import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';

/** The context in which an operator is parsed. */
export interface ParseContext {
  readonly collator: Collator | undefined;
  /** Constants of the command (`let`), for $expr. */
  readonly variables: Variables | undefined;
  /** Parses a whole filter, as inside $elemMatch. */
  filter(filter: Document): Node;
  /** Parses the operators of one path; the path is '' for the elements of $elemMatch. */
  operators(path: string, operators: Document): Node;
}

/**
 * One field-level operator: returns the node for `{path: {$op: argument}}`. `siblings` is the document that
 * contains it.
 */
export type FieldOperator = (
  path: string,
  argument: Value,
  context: ParseContext,
  siblings: Document,
) => Node;

export function leaf(path: string, predicate: Predicate): Node {
  return { kind: 'leaf', path, parts: splitPath(path), predicate };
}

export function not(child: Node): Node {
  return { kind: 'not', child };
}

export function badValue(message: string): StoreError {
  return new StoreError('BadValue', message);
}

/** Whether a value is a document of operators: its first field starts with `$` and it is not a DBRef. */
export function isOperatorDocument(value: Value): value is Document {
  if (!(value instanceof Map)) return false;
  const first = value.keys().next();
  if (first.done === true || !first.value.startsWith('$')) return false;
  return !['$ref', '$id', '$db'].includes(first.value);
}
