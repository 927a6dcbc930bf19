import type { Node, Predicate } from './ast';
import { visitPath, type Path } from '../bson/paths';
import type { Document, Value } from '../bson/types';

type DocumentTest = (document: Document) => boolean;
type ValueTest = (value: Value | undefined) => boolean;

/** The test of the value at the end of a path, with arrays handled as the predicate requires. */
function leafTest(predicate: Predicate): ValueTest {
  if (predicate.whole === true) return (value) => predicate.test(value);
  return (value) => {
    if (!Array.isArray(value)) return predicate.test(value);
    for (const item of value) if (predicate.test(item)) return true;
    return predicate.test(value);
  };
}

function compileLeaf(parts: Path, predicate: Predicate): DocumentTest {
  const test = leafTest(predicate);
  const [first] = parts as [string];
  if (parts.length === 1) return (document) => test(document.get(first));
  return (document) =>
    visitPath(document, parts, (value, _index, element) => (element ? predicate.test(value) : test(value)));
}

/** Compiles a filter to a function of documents. */
export function compileNode(node: Node): DocumentTest {
  switch (node.kind) {
    case 'leaf':
      return compileLeaf(node.parts, node.predicate);
    case 'document':
      return node.test;
    case 'always':
      return () => node.value;
    // The text index serves the clause; the documents that it returns match it.
    case 'text':
      return () => true;
    case 'not': {
      const child = compileNode(node.child);
      return (document) => !child(document);
    }
    default:
      return combine(node.kind, node.children.map(compileNode));
  }
}

/** Compiles a filter over single values, as inside `$elemMatch: {$gt: 1}`, where leaves have no path. */
export function compileValueNode(node: Node): ValueTest {
  switch (node.kind) {
    case 'leaf':
      return (value) => node.predicate.test(value);
    case 'always':
      return () => node.value;
    case 'not': {
      const child = compileValueNode(node.child);
      return (value) => !child(value);
    }
    case 'document':
    case 'text':
      return () => false;
    default:
      return combine(node.kind, node.children.map(compileValueNode));
  }
}

function combine<T>(
  kind: 'and' | 'or' | 'nor',
  children: ((subject: T) => boolean)[],
): (subject: T) => boolean {
  if (kind === 'and') {
    return (subject) => {
      for (const child of children) if (!child(subject)) return false;
      return true;
    };
  }
  const any = kind === 'or';
  return (subject) => {
    for (const child of children) if (child(subject)) return any;
    return !any;
  };
}

/** The order in which conjuncts are evaluated for the positional operator, as MongoDB sorts them. */
const ORDER = [
  'elemMatchObject',
  'elemMatchValue',
  'size',
  'compare',
  'regex',
  'mod',
  'exists',
  'in',
  'bits',
  'type',
];

function rank(node: Node): number {
  return node.kind === 'leaf' ? ORDER.indexOf(node.predicate.kind) : ORDER.length;
}

function pathOf(node: Node): string {
  return node.kind === 'leaf' ? node.path : '';
}

function byServerOrder(a: Node, b: Node): number {
  const x = pathOf(a);
  const y = pathOf(b);
  return rank(a) - rank(b) || (x < y ? -1 : x > y ? 1 : 0);
}

/**
 * The array position that the positional operator `$` means in a matching document: the element that matched the
 * conjunct on an array. Undefined when no array was involved. The last conjunct decides.
 */
export function positionOf(node: Node, document: Document): number | undefined {
  switch (node.kind) {
    case 'and': {
      let found: number | undefined;
      for (const child of [...node.children].sort(byServerOrder))
        found = positionOf(child, document) ?? found;
      return found;
    }
    case 'or': {
      const matching = node.children.find((child) => compileNode(child)(document));
      return matching === undefined ? undefined : positionOf(matching, document);
    }
    case 'leaf':
      return leafPosition(node.parts, node.predicate, document);
    default:
      return undefined;
  }
}

function leafPosition(parts: Path, predicate: Predicate, document: Document): number | undefined {
  let found: number | undefined;
  const test = leafTest(predicate);
  visitPath(document, parts, (value, arrayIndex, element) => {
    if (!(element ? predicate.test(value) : test(value))) return false;
    found = arrayIndex ?? (Array.isArray(value) ? elementPosition(predicate, value) : undefined);
    return true;
  });
  return found;
}

function elementPosition(predicate: Predicate, array: readonly Value[]): number | undefined {
  if (predicate.position !== undefined) return predicate.position(array);
  if (predicate.whole === true) return undefined;
  const index = array.findIndex((item) => predicate.test(item));
  return index < 0 ? undefined : index;
}
