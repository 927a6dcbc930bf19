import type { Collection } from './catalog';
import { prefixKey, openDocument, readRecordId } from './keys';
import { StoredDocument } from './records';
import type { PlanScan, ScanServices } from './plan-types';
import { idScan, wantedId } from './id-scan';
import { Scanner } from './scanner';
import type { ViewHolder } from './scanner';
import type { SelectionSpec } from './selection-spec';
import { textScan } from './text-scan';

export type { PlanScan, ScanItem, ScanServices } from './plan-types';

/** Chooses a plan and opens it. */
export function scanPlan(
  services: ScanServices,
  collection: Collection,
  spec: SelectionSpec,
  holder: ViewHolder,
): PlanScan {
  if (spec.filter.text) return textScan(services, collection, spec.filter.text, spec, holder);
  const id = spec.hint === undefined ? wantedId(spec.filterDocument) : undefined;
  if (id !== undefined && collection.indexes[0]?.compiled.collator === spec.collator) {
    return idScan(services, collection, id, spec, holder);
  }
  const scanner = new Scanner(
    services.environment.documents,
    { lower: prefixKey(collection.number), upper: prefixKey(collection.number + 1), reverse: false },
    holder,
    true,
  );
  return {
    providesSort: spec.sort === undefined,
    next() {
      const entry = scanner.next();
      if (!entry) return undefined;
      const stored = new StoredDocument(readRecordId(entry.key), openDocument(entry.value));
      return { stored, score: undefined, matched: false };
    },
    pause: () => scanner.pause(),
  };
}
