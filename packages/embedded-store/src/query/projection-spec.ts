import { isNumber, toNumber } from '../bson/numbers';
import type { Document, Value } from '../bson/types';
import { compileExpression, type Expression } from '../aggregate/expression';
import { StoreError } from '../errors';
import type { Collator } from './collation';
import { compileFilter, type Filter } from './matcher';

/** What a projection does at the end of a path. */
export type ProjectionLeaf =
  | { readonly kind: 'include' }
  | { readonly kind: 'exclude' }
  | { readonly kind: 'slice'; readonly skip: number | undefined; readonly count: number }
  | { readonly kind: 'elemMatch'; readonly filter: Filter }
  | { readonly kind: 'textScore' }
  | { readonly kind: 'computed'; readonly expression: Expression };

export interface ProjectionNode {
  readonly kind: 'node';
  readonly children: Map<string, ProjectionNode | ProjectionLeaf>;
}

/** A projection as a tree of its paths. */
export interface ProjectionSpec {
  readonly root: ProjectionNode;
  /** Whether the projection includes the named fields, and does not exclude them. */
  readonly inclusion: boolean;
  /** The path before `.$`, if any. */
  readonly positional: readonly string[] | undefined;
  readonly usesTextScore: boolean;
}

interface ParseState {
  readonly collator: Collator | undefined;
  readonly variables: Document | undefined;
  readonly root: ProjectionNode;
  inclusion: boolean | undefined;
  idIncluded: boolean;
  positional: readonly string[] | undefined;
  elemMatch: boolean;
  usesTextScore: boolean;
}

/** InvalidPipelineOperator, which errors of find do not name. */
const UNKNOWN_OPERATOR = 168;
const DB_REF_FIELDS = new Set(['$ref', '$id', '$db']);

/**
 * Reads the projection of a find.
 *
 * @throws StoreError BadValue for a mixture of inclusion and exclusion and for bad operators, Location31249
 *   and Location31250 for paths that collide.
 * @see https://www.mongodb.com/docs/manual/tutorial/project-fields-from-query-results/
 */
export function parseProjection(
  spec: Document,
  options: { collator?: Collator | undefined; variables?: Document | undefined },
): ProjectionSpec {
  const state: ParseState = {
    collator: options.collator,
    variables: options.variables,
    root: { kind: 'node', children: new Map() },
    inclusion: undefined,
    idIncluded: false,
    positional: undefined,
    elemMatch: false,
    usesTextScore: false,
  };
  for (const [path, value] of spec) parseField(state, path, value);
  if (state.positional && state.elemMatch) throw bad('Cannot specify positional operator and $elemMatch.');
  return {
    root: state.root,
    inclusion: state.inclusion ?? state.idIncluded,
    positional: state.positional,
    usesTextScore: state.usesTextScore,
  };
}

function parseField(state: ParseState, path: string, value: Value): void {
  const parts = path.split('.');
  if (parts.at(-1) === '$' && parts.length > 1) return parsePositional(state, path, value);
  checkPath(path, parts);
  if (typeof value === 'boolean' || isNumber(value)) {
    const include = value === true || (isNumber(value) && toNumber(value) !== 0);
    if (path !== '_id') setMode(state, include, path);
    else if (include) state.idIncluded = true;
    return setLeaf(state, path, parts, { kind: include ? 'include' : 'exclude' });
  }
  if (value instanceof Map) return parseObject(state, path, parts, value);
  setMode(state, true, path);
  return setLeaf(state, path, parts, computed(state, value));
}

function parseObject(state: ParseState, path: string, parts: readonly string[], value: Document): void {
  const [operator] = value.keys();
  if (operator === undefined) {
    throw bad(`An empty sub-projection is not a valid value. Found empty object at path ${path}`);
  }
  if (!operator.startsWith('$')) {
    for (const [name, inner] of value) parseField(state, `${path}.${name}`, inner);
    return;
  }
  if (value.size > 1) throw bad(`>1 field in obj: ${path}`);
  const operand = value.get(operator) ?? null;
  const parse = OPERATORS.get(operator);
  const leaf = parse?.(state, path, operand);
  if (leaf) return setLeaf(state, path, parts, leaf);
  setMode(state, true, path);
  setLeaf(state, path, parts, computed(state, value));
}

type OperatorParser = (state: ParseState, path: string, operand: Value) => ProjectionLeaf | undefined;

/** The operators with another meaning in find than in an expression; undefined means an expression. */
const OPERATORS: ReadonlyMap<string, OperatorParser> = new Map<string, OperatorParser>([
  ['$slice', (_state, _path, operand) => parseSlice(operand)],
  ['$elemMatch', parseElemMatch],
  ['$meta', parseMeta],
]);

function parseSlice(operand: Value): ProjectionLeaf | undefined {
  if (isNumber(operand)) return { kind: 'slice', skip: undefined, count: integer(operand) };
  if (!Array.isArray(operand)) throw bad('$slice only supports numbers and [skip, limit] arrays');
  const [skip, limit] = operand;
  if (!isNumber(skip)) {
    if (operand.length > 1 && skip !== undefined && skip !== null) return undefined;
    throw bad('$slice array wrong size');
  }
  if (operand.length !== 2) throw bad('$slice array wrong size');
  if (!isNumber(limit)) throw bad('$slice limit must be a number');
  const count = integer(limit);
  if (count <= 0) throw bad('$slice limit must be positive');
  return { kind: 'slice', skip: integer(skip), count };
}

function integer(value: Parameters<typeof toNumber>[0]): number {
  const number = toNumber(value);
  return Number.isNaN(number) ? 0 : Math.trunc(number);
}

function parseElemMatch(state: ParseState, path: string, operand: Value): ProjectionLeaf {
  if (!(operand instanceof Map)) throw bad('elemMatch: Invalid argument, object required');
  if (path.includes('.')) throw bad('Cannot use $elemMatch projection on a nested field.');
  setMode(state, true, path);
  state.elemMatch = true;
  const condition: Document = new Map([['$elemMatch', operand]]);
  const options = state.collator ? { collator: state.collator } : {};
  return { kind: 'elemMatch', filter: compileFilter(new Map([[path, condition]]), options) };
}

function parseMeta(state: ParseState, _path: string, operand: Value): ProjectionLeaf {
  if (typeof operand !== 'string') throw bad('unexpected argument to $meta in proj');
  if (operand !== 'textScore') throw bad(`unsupported $meta operator: ${operand}`);
  state.usesTextScore = true;
  return { kind: 'textScore' };
}

function parsePositional(state: ParseState, path: string, value: Value): void {
  const include = value === true || (isNumber(value) && toNumber(value) !== 0);
  if (!include) throw bad(`Cannot exclude array elements with the positional operator: ${path}`);
  if (state.positional) throw bad('Cannot specify more than one positional proj. per query.');
  const parts = path.split('.').slice(0, -1);
  checkPath(path, parts);
  setMode(state, true, path);
  state.positional = parts;
  setLeaf(state, parts.join('.'), parts, { kind: 'include' });
}

function computed(state: ParseState, value: Value): ProjectionLeaf {
  const { collator, variables } = state;
  try {
    return { kind: 'computed', expression: compileExpression(value, { collator, variables }) };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== UNKNOWN_OPERATOR) throw error;
    throw bad(`Unsupported projection option: ${error.message}`);
  }
}

function setMode(state: ParseState, inclusion: boolean, path: string): void {
  state.inclusion ??= inclusion;
  if (state.inclusion === inclusion) return;
  throw bad(
    inclusion
      ? `Cannot do inclusion on field ${path} in exclusion projection`
      : `Cannot do exclusion on field ${path} in inclusion projection`,
  );
}

function checkPath(path: string, parts: readonly string[]): void {
  if (path.endsWith('.')) throw new StoreError(40353, "FieldPath must not end with a '.'.");
  for (const [depth, part] of parts.entries()) {
    if (part === '') throw new StoreError(15998, 'FieldPath field names may not be empty strings.');
    if (part === '$') {
      throw bad(
        "Positional projection may only be used at the end, for example: a.b.$. If the query previously used a form like a.b.$.d, remove the parts following the '$' and the results will be equivalent.",
      );
    }
    if (part.startsWith('$') && !(depth > 0 && DB_REF_FIELDS.has(part))) {
      throw new StoreError(16410, "FieldPath field names may not start with '$'.");
    }
  }
}

function setLeaf(state: ParseState, path: string, parts: readonly string[], leaf: ProjectionLeaf): void {
  let node = state.root;
  for (const [depth, part] of parts.entries()) {
    const found = node.children.get(part);
    if (depth === parts.length - 1) {
      if (found) throw new StoreError(31250, `Path collision at ${path}`);
      node.children.set(part, leaf);
      return;
    }
    if (found && found.kind !== 'node') {
      const rest = parts.slice(depth + 1).join('.');
      throw new StoreError(31249, `Path collision at ${path} remaining portion ${rest}`);
    }
    const next: ProjectionNode = found ?? { kind: 'node', children: new Map() };
    node.children.set(part, next);
    node = next;
  }
}

function bad(message: string): StoreError {
  return new StoreError('BadValue', message);
}
