import type { Document } from '../bson/types';
import type { Engine } from '../engine';
import type { Collection } from './catalog';
import { openDocument, prefixKey, readRecordId } from './keys';
import { StoredDocument } from './records';
import { Scanner } from './scanner';
import type { WriteSteps } from './writer';

/** Adds indexes to a collection and fills them from its documents; none is added when one can't be. */
export function* buildIndex(engine: Engine, collection: Collection, specs: Document[]): WriteSteps<void> {
  yield* [];
  for (const spec of specs) {
    const index = engine.catalog.addIndex(collection, spec);
    const range = {
      lower: prefixKey(collection.number),
      upper: prefixKey(collection.number + 1),
      reverse: false,
    };
    const scanner = new Scanner(engine.environment.documents, range, { view: {} }, true);
    for (let entry = scanner.next(); entry; entry = scanner.next()) {
      const stored = new StoredDocument(readRecordId(entry.key), openDocument(entry.value));
      engine.records.addToIndex(collection, index, stored);
    }
  }
}
