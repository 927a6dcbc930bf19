import { BSONRegExp } from 'bson';
import type { Document, Value } from '../bson/types';
import { encodeId } from '../index/keys';
import type { Collection } from './catalog';
import type { PlanScan, ScanServices } from './plan-types';
import type { ViewHolder } from './scanner';
import type { SelectionSpec } from './selection-spec';

/** The one `_id` that a filter asks for by equality; undefined if it asks in another way. */
export function wantedId(filter: Document): Value | undefined {
  const id = filter.get('_id');
  if (id === undefined || Array.isArray(id) || id instanceof BSONRegExp) return undefined;
  if (!(id instanceof Map)) return id;
  const [first] = id.keys();
  if (first?.startsWith('$') !== true) return id;
  const equal = id.size === 1 ? id.get('$eq') : undefined;
  return Array.isArray(equal) || equal instanceof BSONRegExp ? undefined : equal;
}

/** The document with one `_id`, by a single look into the `_id` index. */
export function idScan(
  { records }: ScanServices,
  collection: Collection,
  id: Value,
  spec: SelectionSpec,
  holder: ViewHolder,
): PlanScan {
  let looked = false;
  return {
    providesSort: true,
    next() {
      if (looked) return undefined;
      looked = true;
      const index = collection.indexes[0];
      const key = encodeId(id, index?.compiled.collator);
      const recordId = records.recordIdOf(collection, key, holder.view);
      const stored = recordId === undefined ? undefined : records.get(collection, recordId, holder.view);
      // With no other condition than `_id` the index has answered the whole filter.
      return (
        stored && {
          stored,
          score: undefined,
          matched: spec.filterDocument.size === 1 && !index?.compiled.truncated,
        }
      );
    },
    pause: () => undefined,
  };
}
