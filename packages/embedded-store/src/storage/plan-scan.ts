import { StoreError } from '../errors';
import { encodeId } from '../index/keys';
import type { CompiledIndex } from '../index/keys';
import type { CollectionScan, IdLookup, IndexScan, Plan } from '../index/plan';
import { planQuery } from '../index/planner';
import { isEqualityFilter } from '../query/equality';
import type { Collection, IndexState } from './catalog';
import { verifyChecksum, prefixKey, readRecordId } from './keys';
import type { PlanScan, ScanServices, ScanStatistics } from './plan-types';
import { chained, distinct, idSource, indexSource } from './record-sources';
import type { RecordSource } from './record-sources';
import { StoredDocument } from './stored-document';
import { Scanner } from './scanner';
import type { CurrentView } from './scanner';
import type { SelectionSpec } from './selection-spec';
import { textScan } from './text-scan';

export type { PlanScan, ScanServices } from './plan-types';

/** Chooses a plan, unless there is one, and opens it. */
export function scanPlan(
  services: ScanServices,
  collection: Collection,
  spec: SelectionSpec,
  current: CurrentView,
  chosen?: Plan,
): PlanScan {
  if (spec.filter.text) return textScan(services, collection, spec.filter.text, spec, current);
  const plan = chosen ?? choosePlan(collection, spec);
  const statistics: ScanStatistics = { keys: 0, documents: 0 };
  if (plan.stage === 'COLLSCAN') return collectionScan(services, collection, plan, current, statistics);
  const source = recordSource(services, collection, plan, current, statistics);
  // Documents that a filter drops or a sort collects must not share memory with others.
  const isBrief = !plan.residual && (spec.sort === undefined || plan.providesSort);
  return documentScan(services, collection, plan, source, current, statistics, isBrief);
}

/** The plan for a selection, over the indexes that may be read. */
export function choosePlan(collection: Collection, spec: SelectionSpec): Plan {
  const { filter } = spec;
  const isPlain = [spec.sortDocument, spec.hint, spec.min, spec.max].every((option) => option === undefined);
  if (!isPlain || !isEqualityFilter(filter)) return newPlan(collection, spec, readableIndexes(collection));
  return collection.plans.plan(
    filter,
    () => readableIndexes(collection),
    (indexes) => newPlan(collection, spec, indexes),
  );
}

function readableIndexes({ indexes }: Collection): CompiledIndex[] {
  return indexes.filter(({ building }) => !building).map(({ compiled }) => compiled);
}

function newPlan(collection: Collection, spec: SelectionSpec, indexes: readonly CompiledIndex[]): Plan {
  const plan = planQuery({
    filter: spec.filterDocument,
    compiled: spec.filter,
    sort: spec.sortDocument,
    indexes,
    hint: spec.hint,
    min: spec.min,
    max: spec.max,
    collator: spec.collator,
  });
  const idCollator = collection.indexes[0]?.compiled.collator;
  // With a collation of the collection, `_id` strings cannot be found by their bytes.
  if (plan.stage === 'IDHACK' && idCollator !== undefined && idCollator !== spec.collator) {
    return { stage: 'COLLSCAN', reverse: false, residual: true, providesSort: spec.sort === undefined };
  }
  return plan;
}

function collectionScan(
  { environment }: ScanServices,
  collection: Collection,
  plan: CollectionScan,
  current: CurrentView,
  statistics: ScanStatistics,
): PlanScan {
  const range = {
    lower: prefixKey(collection.number),
    upper: prefixKey(collection.number + 1),
    reverse: plan.reverse,
  };
  const scanner = new Scanner(environment.documents, range, current, true);
  const scan: PlanScan = {
    plan,
    statistics,
    providesSort: plan.providesSort,
    next() {
      const entry = scanner.next();
      if (!entry) return undefined;
      statistics.documents++;
      const stored = new StoredDocument(readRecordId(entry.key), verifyChecksum(entry.value));
      return { stored, score: undefined, matched: !plan.residual };
    },
    pause: () => scanner.pause(),
  };
  if (!plan.residual) scan.skipOne = () => scanner.next() !== undefined;
  return scan;
}

function recordSource(
  services: ScanServices,
  collection: Collection,
  plan: Exclude<Plan, CollectionScan>,
  current: CurrentView,
  statistics: ScanStatistics,
): RecordSource {
  const branch = (one: IndexScan | IdLookup) =>
    one.stage === 'IDHACK'
      ? idSource(
          services,
          collection,
          encodeId(one.id, collection.indexes[0]?.compiled.collator),
          current,
          statistics,
        )
      : indexSource(services, collection, stateOf(collection, one), one, current, statistics);
  switch (plan.stage) {
    case 'IDHACK':
    case 'IXSCAN':
      return branch(plan);
    case 'OR':
      return distinct(chained(plan.branches.map(branch)));
    case 'EOF':
      return chained([]);
    case 'TEXT':
      throw new StoreError('InternalError', 'a text search has a scan of its own');
  }
}

function stateOf(collection: Collection, { index }: IndexScan): IndexState {
  const found = collection.indexes.find(({ compiled }) => compiled === index);
  if (!found) throw new StoreError('InternalError', 'the plan names an unknown index');
  return found;
}

function documentScan(
  { records }: ScanServices,
  collection: Collection,
  plan: Exclude<Plan, CollectionScan>,
  source: RecordSource,
  current: CurrentView,
  statistics: ScanStatistics,
  isBrief: boolean,
): PlanScan {
  const scan: PlanScan = {
    plan,
    statistics,
    providesSort: plan.providesSort,
    next() {
      const recordId = source.next();
      if (recordId === undefined) return undefined;
      const stored = isBrief
        ? records.getBriefly(collection, recordId, current.view)
        : records.get(collection, recordId, current.view);
      if (!stored) {
        throw new StoreError(
          'DataCorruptionDetected',
          `an index of ${collection.database}.${collection.name} has an entry without its document`,
        );
      }
      statistics.documents++;
      return { stored, score: undefined, matched: !plan.residual };
    },
    pause: () => source.pause(),
  };
  if (!plan.residual) scan.skipOne = () => source.next() !== undefined;
  return scan;
}
