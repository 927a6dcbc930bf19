import type { Collection } from './catalog';
import type { Environment } from './environment';
import { prefixKey, openDocument, readRecordId } from './keys';
import { StoredDocument } from './records';
import type { Records } from './records';
import { Scanner } from './scanner';
import type { ViewHolder } from './scanner';
import type { SelectionSpec } from './selection-spec';

/** What a scan reads with. */
export interface ScanServices {
  environment: Environment;
  records: Records;
}

/** A document that a scan found; `matched` where the bounds alone prove that it fits the filter. */
export interface ScanItem {
  stored: StoredDocument;
  score: number | undefined;
  matched: boolean;
}

/** The documents that a plan reaches, in its order. */
export interface PlanScan {
  providesSort: boolean;
  next(): ScanItem | undefined;
  pause(): void;
}

/** Chooses a plan and opens it. */
export function scanPlan(
  services: ScanServices,
  collection: Collection,
  spec: SelectionSpec,
  holder: ViewHolder,
): PlanScan {
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
