import { StoreError } from '../errors';
import type { Plan } from '../index/plan';
import type { Collection, IndexState } from './catalog';
import type { ScanServices } from './plan-types';
import type { Selected, SelectionSpec, Source } from './selection-spec';
import { isUnique } from './stored-document';

/** The keys that a plan looks up in a unique index. */
export interface UniqueLookup {
  index: IndexState;
  keys: readonly Buffer[];
}

/** The lookup of a plan that reads nothing else; undefined for any other plan. */
export function uniqueLookup(collection: Collection, plan: Plan): UniqueLookup | undefined {
  if (plan.stage === 'IDHACK') {
    const index = collection.indexes[0];
    return index && { index, keys: [plan.key] };
  }
  if (plan.stage !== 'IXSCAN' || plan.keys === undefined) return undefined;
  const index = collection.indexes.find(({ compiled }) => compiled === plan.index);
  return index && isUnique(collection, index) ? { index, keys: plan.keys } : undefined;
}

/**
 * Finds the document of a plan that looks up one key of a unique index, without the costs of a scan. The result has no
 * item when no document matches, and is undefined for any other plan.
 * @throws StoreError DataCorruptionDetected
 */
export function lookUp(
  { records }: ScanServices,
  collection: Collection,
  plan: Plan,
  { filter }: Pick<SelectionSpec, 'filter'>,
  source: Source,
): { item: Selected | undefined } | undefined {
  const lookup = uniqueLookup(collection, plan);
  const key = lookup?.keys[0];
  if (lookup === undefined || key === undefined || lookup.keys.length > 1) return undefined;
  const { transaction, view } = source;
  const changes = transaction?.changes(collection);
  const holders = transaction
    ? transaction.holders(collection, lookup.index, key)
    : records.holders(collection, lookup.index, key, view);
  for (const recordId of holders) {
    const isChanged = changes?.has(recordId) === true;
    const stored = isChanged ? changes.get(recordId) : records.getBriefly(collection, recordId, view);
    if (!stored) {
      // The transaction has removed it.
      if (isChanged) continue;
      throw new StoreError(
        'DataCorruptionDetected',
        `an index of ${collection.database}.${collection.name} has an entry without its document`,
      );
    }
    const isCertain = !isChanged && 'residual' in plan && !plan.residual;
    if (isCertain || filter.matchesBytes(stored.bytes)) return { item: { stored, score: undefined } };
  }
  return { item: undefined };
}
