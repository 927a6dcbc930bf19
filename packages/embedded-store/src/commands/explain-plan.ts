import { Int32, Long } from 'bson';
import type { Document, Value } from '../bson/types';
import type { IdLookup, IndexScan, Plan } from '../index/plan';
import type { Collection } from '../storage/catalog';
import type { ScanStatistics } from '../storage/plan-types';
import type { Selection } from '../storage/selection';
import type { SelectionSpec } from '../storage/selection-spec';

/** What a selection did, for the execution statistics. */
export interface Execution {
  returned: number;
  milliseconds: number;
  statistics: ScanStatistics;
}

function stage(name: string, ...fields: [string, Value][]): Document {
  return new Map<string, Value>([['stage', name], ...fields]);
}

/** The tree of stages of a selection as explain shows it, the last stage outermost. */
export function planTree(selection: Selection): Document {
  const { spec, collection, scan } = selection;
  let tree = accessStage(scan.plan, collection, spec);
  if (spec.sort && !scan.providesSort) {
    tree = stage(
      'SORT',
      ['sortPattern', spec.sortDocument ?? new Map()],
      ['memLimit', new Int32(100 * 1024 * 1024)],
      ...(spec.limit === undefined
        ? []
        : [['limitAmount', Long.fromNumber(spec.limit + spec.skip)] as [string, Value]]),
      ['type', 'simple'],
      ['inputStage', tree],
    );
  }
  if (spec.skip > 0) tree = stage('SKIP', ['skipAmount', Long.fromNumber(spec.skip)], ['inputStage', tree]);
  if (spec.limit !== undefined) {
    tree = stage('LIMIT', ['limitAmount', Long.fromNumber(spec.limit)], ['inputStage', tree]);
  }
  if (spec.projection?.size) {
    tree = stage('PROJECTION_DEFAULT', ['transformBy', spec.projection], ['inputStage', tree]);
  }
  return tree;
}

function accessStage(plan: Plan | undefined, collection: Collection, spec: SelectionSpec): Document {
  if (plan === undefined) return stage('TEXT_MATCH', ['filter', spec.filterDocument]);
  const filter: [string, Value][] =
    plan.residual && spec.filterDocument.size > 0 ? [['filter', spec.filterDocument]] : [];
  switch (plan.stage) {
    case 'EOF':
      return stage('EOF');
    case 'COLLSCAN':
      return stage('COLLSCAN', ...filter, ['direction', plan.reverse ? 'backward' : 'forward']);
    case 'IDHACK':
      return stage('IDHACK', ...filter);
    case 'TEXT':
      return stage('TEXT_MATCH', ...filter);
    case 'OR':
      return stage('FETCH', ...filter, [
        'inputStage',
        stage('OR', ['inputStages', plan.branches.map((branch) => indexStage(branch, collection))]),
      ]);
    case 'IXSCAN':
      return stage('FETCH', ...filter, ['inputStage', mergeStage(plan, collection, spec)]);
  }
}

function mergeStage(plan: IndexScan, collection: Collection, spec: SelectionSpec): Document {
  const scan = indexStage(plan, collection);
  if (!plan.mergeSort) return scan;
  return stage('SORT_MERGE', ['sortPattern', spec.sortDocument ?? new Map()], ['inputStage', scan]);
}

function indexStage(plan: IndexScan | IdLookup, collection: Collection): Document {
  if (plan.stage === 'IDHACK') return stage('IDHACK');
  const { definition, multikey } = plan.index;
  const spec = collection.indexes.find(({ compiled }) => compiled === plan.index)?.spec;
  return stage(
    'IXSCAN',
    ['keyPattern', spec?.get('key') ?? new Map()],
    ['indexName', definition.name],
    ['isMultiKey', multikey],
    ['isUnique', definition.unique === true],
    ['isSparse', definition.sparse === true],
    ['isPartial', definition.partialFilterExpression !== undefined],
    ['indexVersion', new Int32(2)],
    ['direction', plan.reverse ? 'backward' : 'forward'],
    // Bounds are available as encoded keys only, so explain shows the number of ranges.
    ['rangeCount', new Int32(plan.ranges.length)],
  );
}

/** The `executionStats` of a selection that ran to its end. */
export function executionStatistics(tree: Document, execution: Execution): Document {
  const { returned, milliseconds, statistics } = execution;
  return new Map<string, Value>([
    ['executionSuccess', true],
    ['nReturned', new Int32(returned)],
    ['executionTimeMillis', new Int32(Math.round(milliseconds))],
    ['totalKeysExamined', new Int32(statistics.keys)],
    ['totalDocsExamined', new Int32(statistics.documents)],
    ['executionStages', withCounts(tree, execution)],
  ]);
}

/** The stages with the numbers of keys and documents that each examined. */
function withCounts(tree: Document, execution: Execution): Document {
  const counted = new Map(tree);
  const name = tree.get('stage');
  counted.set('nReturned', new Int32(execution.returned));
  if (name === 'IXSCAN' || name === 'IDHACK') {
    counted.set('keysExamined', new Int32(execution.statistics.keys));
  }
  if (name === 'COLLSCAN' || name === 'FETCH' || name === 'IDHACK') {
    counted.set('docsExamined', new Int32(execution.statistics.documents));
  }
  const input = tree.get('inputStage');
  if (input instanceof Map) counted.set('inputStage', withCounts(input, execution));
  return counted;
}
