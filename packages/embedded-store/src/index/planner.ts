import { BSONRegExp } from 'bson';
import { isNumber, toNumber } from '../bson/numbers';
import { equalValues } from '../bson/compare';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { conjunction, type Node } from '../query/ast';
import type { Collator } from '../query/collation';
import type { Filter } from '../query/matcher';
import { parseFilter } from '../query/parse';
import { holdsStrings } from './bounds';
import { indexCandidate, type Candidate } from './candidate';
import { collectConjuncts, type Conjuncts } from './constraints';
import type { CompiledIndex } from './definition';
import { implies, impliesExistence } from './implication';
import { encodeId } from './keys';
import { minMaxScan } from './min-max';
import type { CollectionScan, IdLookup, IndexScan, Plan, UnionScan } from './plan';
import { sortParts, type SortPart } from './sort-order';

export type { IndexScan, Plan } from './plan';

export interface PlanRequest {
  filter: Document;
  /** The compiled filter, if available; saves parsing it again. */
  compiled?: Filter | undefined;
  sort?: Document | undefined;
  indexes: readonly CompiledIndex[];
  /** An index name, a key pattern, or `{$natural: ±1}`. */
  hint?: string | Document | undefined;
  min?: Document | undefined;
  max?: Document | undefined;
  collator?: Collator | undefined;
}

const NO_QUERY_EXECUTION_PLANS = 291;
const ID_INDEX = '_id_';

/**
 * Chooses how to find the documents that a filter matches, in the order of `sort` if an index has it. Never uses an
 * index that may lack a matching document. Throws BadValue for a hint that names no index, IndexNotFound for $text
 * without a text index, NoQueryExecutionPlans when no plan can serve the query.
 */
export function planQuery(request: PlanRequest): Plan {
  const root = request.compiled?.root ?? parseFilter(request.filter, { collator: request.collator });
  if (root.kind === 'always' && !root.value) return { stage: 'EOF', residual: false, providesSort: true };
  const conjuncts = collectConjuncts(root);
  const clause = conjuncts.nodes.find((node) => node.kind === 'text');
  if (clause !== undefined) return textPlan(request, conjuncts);
  const natural = naturalOrder(request.sort) ?? naturalOrder(request.hint);
  if (natural !== undefined)
    return collectionScan(conjuncts, natural, naturalOrder(request.sort) !== undefined || !hasSort(request));
  const sort = hasSort(request) ? sortParts(request.sort as Document) : undefined;
  const requirements: Requirements = {
    request,
    root,
    sort,
    unsortable: hasSort(request) && sort === undefined,
  };
  if (request.hint !== undefined) return hintedPlan(requirements, conjuncts, request.hint);
  if (request.min !== undefined || request.max !== undefined) {
    throw new StoreError(51173, 'When using min()/max() a hint of which index to use must be provided');
  }
  const id = idLookup(conjuncts, request);
  if (id !== undefined) return id;
  return bestPlan(requirements, conjuncts);
}

interface Requirements {
  request: PlanRequest;
  root: Node;
  sort: readonly SortPart[] | undefined;
  /** There is a sort that no index can provide. */
  unsortable: boolean;
}

function hasSort(request: PlanRequest): boolean {
  return request.sort !== undefined && request.sort.size > 0;
}

function collectionScan(conjuncts: Conjuncts, reverse: boolean, providesSort: boolean): CollectionScan {
  return { stage: 'COLLSCAN', reverse, residual: conjuncts.nodes.length > 0, providesSort };
}

/** `{$natural: ±1}`: whether backwards; undefined for anything else. */
function naturalOrder(spec: string | Document | undefined): boolean | undefined {
  const direction = spec instanceof Map ? spec.get('$natural') : undefined;
  return isNumber(direction) ? toNumber(direction) < 0 : undefined;
}

function idLookup({ nodes }: Conjuncts, { indexes, collator }: PlanRequest): IdLookup | undefined {
  const own = indexes.find((index) => index.definition.name === ID_INDEX)?.collator;
  for (const node of nodes) {
    if (node.kind !== 'leaf' || node.path !== '_id' || node.predicate.kind !== 'compare') continue;
    const { op, value } = node.predicate;
    if (op !== 'eq' || Array.isArray(value) || value === null || value instanceof BSONRegExp) continue;
    if (own !== collator && holdsStrings(value)) continue;
    return {
      stage: 'IDHACK',
      id: value,
      key: encodeId(value, own),
      residual: nodes.length > 1,
      providesSort: true,
    };
  }
  return undefined;
}

/** Whether an index contains all documents that a query can match. */
function isComplete(index: CompiledIndex, root: Node, collator: Collator | undefined): boolean {
  const { sparse } = index.definition;
  if (sparse === true && !index.fields.some((field) => impliesExistence(root, field.path))) return false;
  return index.partial === undefined || implies(root, index.partial.root, index.collator === collator);
}

function candidateOf(
  index: CompiledIndex,
  conjuncts: Conjuncts,
  { request, sort, unsortable }: Requirements,
): Candidate {
  const candidate = indexCandidate(index, conjuncts, sort, request.collator);
  if (unsortable) candidate.scan.providesSort = false;
  return candidate;
}

function bestCandidate(requirements: Requirements, root: Node, conjuncts: Conjuncts): Candidate | undefined {
  let best: Candidate | undefined;
  const paths = new Set(conjuncts.constraints.map((constraint) => constraint.path));
  for (const index of requirements.request.indexes) {
    const first = index.fields[0]?.path ?? '';
    if (!paths.has(first) && requirements.sort?.[0]?.path !== first) continue;
    if (index.isText || !isComplete(index, root, requirements.request.collator)) continue;
    const candidate = candidateOf(index, conjuncts, requirements);
    if (candidate.score > (best?.score ?? 0)) best = candidate;
  }
  return best;
}

function bestPlan(requirements: Requirements, conjuncts: Conjuncts): Plan {
  const single = bestCandidate(requirements, requirements.root, conjuncts);
  if (single?.scan.ranges.length === 0) return { stage: 'EOF', residual: false, providesSort: true };
  const union = unionCandidate(requirements, conjuncts);
  if (union !== undefined && union.score > (single?.score ?? 0)) return union.scan;
  return single?.scan ?? collectionScan(conjuncts, false, !hasSort(requirements.request));
}

/** An $or whose branches each have an index of their own. */
function unionCandidate(
  requirements: Requirements,
  conjuncts: Conjuncts,
): { scan: UnionScan; score: number } | undefined {
  const alternatives = conjuncts.nodes.find((node) => node.kind === 'or');
  if (alternatives?.kind !== 'or') return undefined;
  const others = conjuncts.nodes.filter((node) => node !== alternatives);
  const unordered: Requirements = { ...requirements, sort: undefined, unsortable: false };
  const branches: (IndexScan | IdLookup)[] = [];
  let score = Infinity;
  for (const branch of alternatives.children) {
    const root = conjunction([branch, ...others]);
    const inner = collectConjuncts(root);
    const id = idLookup(inner, requirements.request);
    if (id !== undefined) {
      branches.push(id);
      continue;
    }
    const best = bestCandidate(unordered, root, inner);
    if (best === undefined) return undefined;
    if (best.scan.ranges.length > 0) branches.push(best.scan);
    score = Math.min(score, best.score);
  }
  const scan: UnionScan = {
    stage: 'OR',
    branches,
    residual: true,
    providesSort: !hasSort(requirements.request),
    deduplicate: true,
  };
  return { scan, score: score - 10 };
}

function hintedPlan(requirements: Requirements, conjuncts: Conjuncts, hint: string | Document): Plan {
  const { request, root } = requirements;
  const index = request.indexes.find((each) =>
    typeof hint === 'string' ? each.definition.name === hint : hasPattern(each, hint),
  );
  if (index === undefined || index.isText) {
    throw new StoreError('BadValue', 'error processing query: planner returned error: bad hint');
  }
  if (request.min !== undefined || request.max !== undefined) {
    return minMaxScan(index, request.min, request.max, requirements.sort, hasSort(request));
  }
  // A hint may choose a sparse index although it lacks documents; MongoDB uses it then.
  if (
    index.partial !== undefined &&
    !implies(root, index.partial.root, index.collator === request.collator)
  ) {
    throw new StoreError(
      NO_QUERY_EXECUTION_PLANS,
      'error processing query: the hinted partial index cannot answer it',
    );
  }
  const { scan } = candidateOf(index, conjuncts, requirements);
  return scan.ranges.length === 0 ? { stage: 'EOF', residual: false, providesSort: true } : scan;
}

function hasPattern(index: CompiledIndex, pattern: Document): boolean {
  const { key } = index.definition;
  if (key.length !== pattern.size) return false;
  return [...pattern].every(([path, direction], i) => {
    const [field, own] = key[i] as [string, 1 | -1 | 'text'];
    if (path !== field) return false;
    if (typeof own === 'string') return direction === own;
    return isNumber(direction) && toNumber(direction) < 0 === own < 0;
  });
}

function textPlan(request: PlanRequest, conjuncts: Conjuncts): Plan {
  const index = request.indexes.find((each) => each.isText);
  if (index === undefined) throw new StoreError('IndexNotFound', 'text index required for $text query');
  if (request.hint !== undefined) throw new StoreError('BadValue', 'text and hint not allowed in same query');
  const prefix: Value[] = [];
  for (const [path, direction] of index.definition.key) {
    if (direction === 'text') break;
    const value = equalityOf(path, conjuncts);
    if (value === undefined) {
      throw new StoreError(
        NO_QUERY_EXECUTION_PLANS,
        'failed to use text index to satisfy $text query (if text index is compound, are equality predicates given for all prefix fields?)',
      );
    }
    prefix.push(value);
  }
  return {
    stage: 'TEXT',
    index,
    prefix,
    residual: conjuncts.nodes.length > 1,
    providesSort: !hasSort(request),
  };
}

function equalityOf(path: string, { nodes }: Conjuncts): Value | undefined {
  for (const node of nodes) {
    if (node.kind !== 'leaf' || node.path !== path || node.predicate.kind !== 'compare') continue;
    if (node.predicate.op === 'eq' && !equalValues(node.predicate.value, undefined))
      return node.predicate.value;
  }
  return undefined;
}
