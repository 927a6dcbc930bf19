import type { Document, Value } from '../bson/types';
import { plainScope } from '../commands/run-write';
import { changeMatching, statementSpec } from '../commands/writing';
import type { Engine } from '../engine';
import type { Collection } from '../storage/catalog';
import type { WriteSteps } from '../storage/writer';

/**
 * Removes the documents that have expired by a TTL index (https://www.mongodb.com/docs/manual/core/index-ttl/):
 * those with a date at the indexed field that is more than `expireAfterSeconds` before `now`. Of an array the
 * earliest date counts. Values that are not dates never expire.
 */
export async function expireDocuments(engine: Engine, now: Date): Promise<void> {
  for (const database of engine.catalog.databaseNames()) {
    for (const collection of engine.catalog.collections(database)) {
      for (const { compiled } of collection.indexes) {
        const { expireAfterSeconds, key, partialFilterExpression } = compiled.definition;
        const field = key[0]?.[0];
        if (expireAfterSeconds === undefined || field === undefined) continue;
        const limit = new Date(now.getTime() - expireAfterSeconds * 1000);
        await removeOlder(
          engine,
          collection,
          field,
          limit,
          partialFilterExpression,
          compiled.definition.name,
        );
      }
    }
  }
}

async function removeOlder(
  engine: Engine,
  collection: Collection,
  field: string,
  limit: Date,
  partial: Document | undefined,
  indexName: string,
): Promise<void> {
  const older: Document = new Map<string, Value>([[field, new Map<string, Value>([['$lte', limit]])]]);
  const filter: Document = partial ? new Map([['$and', [older, partial]]]) : older;
  const spec = statementSpec(filter, undefined, undefined, indexName);
  await engine.writer.submit(function* (): WriteSteps<void> {
    // The collection may have been dropped or reloaded since it was listed.
    if (!engine.catalog.isCurrent(collection)) return;
    yield* changeMatching(plainScope(engine), collection, spec, true, () => undefined);
  });
}
