import { isArrayIndex, splitPath } from '../bson/paths';
import type { Node } from '../query/ast';
import { boundsOf, type Bounds, type Component } from './bounds';
import { complement, union } from './interval';

/**
 * The condition of one part of a filter on the values at one path. Every matching document has a key inside the
 * bounds.
 */
export interface Constraint {
  readonly path: string;
  bounds(component: Component): Bounds | undefined;
  /** The conjunct that the bounds cover completely, if any; it needs no further check when they are exact. */
  readonly node?: Node;
  /** True only for documents without an array at the path. */
  readonly scalarOnly?: true;
  /** It is true for documents without a value at the path. */
  readonly acceptsMissing: boolean;
  /** Constraints with the same number apply to the same array element. */
  readonly element?: number;
  /** Constraints on different fields with the same number apply to the same subdocument. */
  readonly subdocument?: number;
}

interface Scope {
  readonly prefix: string;
  readonly element?: number;
  readonly subdocument?: number;
}

/** A filter as the planner sees it: a conjunction of constraints, and how many conjuncts there are in all. */
export interface Conjuncts {
  readonly constraints: readonly Constraint[];
  readonly nodes: readonly Node[];
}

/** Splits a filter into constraints on paths. */
export function collectConjuncts(root: Node): Conjuncts {
  const nodes = root.kind === 'and' ? root.children : root.kind === 'always' && root.value ? [] : [root];
  const counter = { next: 1 };
  const constraints = nodes.flatMap((node) =>
    constraintsOf(node, { prefix: '' }, counter).map((constraint) =>
      coversConjunct(node) ? { ...constraint, node } : constraint,
    ),
  );
  return { nodes, constraints };
}

/** Whether one constraint covers a conjunct completely; $elemMatch also requires an array. */
function coversConjunct(node: Node): boolean {
  if (node.kind === 'not') return true;
  return node.kind === 'leaf' && !node.predicate.kind.startsWith('elemMatch');
}

function constraintsOf(node: Node, scope: Scope, counter: { next: number }): Constraint[] {
  switch (node.kind) {
    case 'and':
      return node.children.flatMap((child) => constraintsOf(child, scope, counter));
    case 'or':
      return alternatives(node.children.map((child) => constraintsOf(child, scope, counter)));
    case 'nor':
      return node.children.flatMap((child) => negated(child, scope));
    case 'not':
      return negated(node.child, scope);
    case 'leaf':
      return leafConstraints(node, scope, counter);
    default:
      return [];
  }
}

function joinPath(prefix: string, path: string): string {
  return prefix === '' ? path : path === '' ? prefix : `${prefix}.${path}`;
}

function leafConstraints(
  { path, predicate }: Extract<Node, { kind: 'leaf' }>,
  scope: Scope,
  counter: { next: number },
): Constraint[] {
  const full = joinPath(scope.prefix, path);
  const isElemMatch = predicate.kind === 'elemMatchValue' || predicate.kind === 'elemMatchObject';
  // The elements of an array inside the array have no keys of their own, and a number is the position of one of
  // them.
  if (scope.element !== undefined && isElemMatch) return [];
  if (scope.subdocument !== undefined && isArrayIndex(splitPath(path)[0] as string)) return [];
  if (predicate.kind === 'elemMatchValue') {
    const inner = { ...scope, prefix: full, element: counter.next++ };
    return constraintsOf(predicate.child, inner, counter).filter(
      (constraint) => constraint.scalarOnly !== true,
    );
  }
  if (predicate.kind === 'elemMatchObject') {
    return constraintsOf(predicate.child, { prefix: full, subdocument: counter.next++ }, counter);
  }
  // Below the subdocument there may be another array, whose elements need not be the same.
  const { subdocument } = path.includes('.') ? { subdocument: undefined } : scope;
  return [
    {
      path: full,
      bounds: (component) => boundsOf(predicate, component),
      acceptsMissing: predicate.test(undefined),
      ...(scope.element === undefined ? {} : { element: scope.element }),
      ...(subdocument === undefined ? {} : { subdocument }),
    },
  ];
}

/** The keys outside of exact bounds. With arrays, a value outside does not exclude the others. */
function negated(child: Node, scope: Scope): Constraint[] {
  if (child.kind !== 'leaf' || scope.prefix !== '') return [];
  const { predicate } = child;
  const bounds = (component: Component): Bounds | undefined => {
    const inner = boundsOf(predicate, component);
    return inner?.exact === true ? { intervals: complement(inner.intervals), exact: true } : undefined;
  };
  return [{ path: child.path, scalarOnly: true, acceptsMissing: !predicate.test(undefined), bounds }];
}

/** Paths that every branch of an $or constrains: a matching document is inside the bounds of one of them. */
function alternatives(branches: readonly (readonly Constraint[])[]): Constraint[] {
  const [first = [], ...others] = branches;
  const paths = new Set(first.map((constraint) => constraint.path));
  return [...paths]
    .filter((path) => others.every((branch) => branch.some((constraint) => constraint.path === path)))
    .map((path) => alternative(path, branches));
}

function alternative(path: string, branches: readonly (readonly Constraint[])[]): Constraint {
  const choices = branches.map((branch) => branch.filter((constraint) => constraint.path === path));
  const bounds = (component: Component): Bounds | undefined => {
    const parts = choices.map((choice) => firstBounds(choice, component));
    if (parts.includes(undefined)) return undefined;
    return { intervals: union(parts.flatMap((part) => part?.intervals ?? [])), exact: false };
  };
  const scalarOnly = choices.some((choice) => choice.every((constraint) => constraint.scalarOnly === true));
  const acceptsMissing = choices.some((choice) => choice.some((constraint) => constraint.acceptsMissing));
  return { path, bounds, acceptsMissing, ...(scalarOnly ? { scalarOnly } : {}) };
}

/** Bounds that are valid with arrays are chosen first, so that the union is valid with arrays. */
function firstBounds(choice: readonly Constraint[], component: Component): Bounds | undefined {
  const general = choice.filter((constraint) => constraint.scalarOnly !== true);
  for (const constraint of general.length > 0 ? general : choice) {
    const bounds = constraint.bounds(component);
    if (bounds !== undefined) return bounds;
  }
  return undefined;
}
