import type { BSONRegExp } from 'bson';
import type { Path } from '../bson/paths';
import type { Document, Value } from '../bson/types';

/**
 * The condition of a filter on the values at one path. `test` checks one value; undefined is a missing one. Unless
 * `whole` is set, it is applied to each element of an array at the end of the path, and then to the array.
 */
interface PredicateBase {
  test(value: Value | undefined): boolean;
  /** The predicate is about arrays as such, not about their elements. */
  readonly whole?: true;
  /** Position of the first matching array element, for the positional operator. */
  position?(array: readonly Value[]): number | undefined;
}

export type Comparison = 'eq' | 'lt' | 'lte' | 'gt' | 'gte';

export type Predicate = PredicateBase &
  (
    | { readonly kind: 'compare'; readonly op: Comparison; readonly value: Value }
    | { readonly kind: 'in'; readonly values: readonly Value[]; readonly regexes: readonly BSONRegExp[] }
    | { readonly kind: 'regex'; readonly regex: BSONRegExp }
    | { readonly kind: 'exists' }
    | { readonly kind: 'type'; readonly names: ReadonlySet<string> }
    | { readonly kind: 'elemMatchObject' | 'elemMatchValue'; readonly child: Node }
    | { readonly kind: 'size' | 'mod' | 'bits' }
  );

/** A parsed filter: what the matcher compiles and the planner reads. */
export type Node =
  | { readonly kind: 'and' | 'or' | 'nor'; readonly children: readonly Node[] }
  | { readonly kind: 'not'; readonly child: Node }
  | { readonly kind: 'leaf'; readonly path: string; readonly parts: Path; readonly predicate: Predicate }
  | { readonly kind: 'document'; readonly test: (document: Document) => boolean }
  | { readonly kind: 'always'; readonly value: boolean }
  | { readonly kind: 'text'; readonly clause: Document };

export const ALWAYS: Node = { kind: 'always', value: true };
export const NEVER: Node = { kind: 'always', value: false };

/** The conjunction of some nodes; nested conjunctions are flattened. */
export function conjunction(nodes: readonly Node[]): Node {
  const children = nodes.flatMap((node) => (node.kind === 'and' ? node.children : [node]));
  const relevant = children.filter((node) => node !== ALWAYS);
  if (relevant.length === 1) return relevant[0] as Node;
  return relevant.length === 0 ? ALWAYS : { kind: 'and', children: relevant };
}
