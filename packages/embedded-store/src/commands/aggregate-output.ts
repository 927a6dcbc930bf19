import { encode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { MergeOutput, Output } from '../aggregate/output';
import { parsePath, readPath } from '../aggregate/field-path';
import { compileFilter } from '../query/matcher';
import type { Collection } from '../storage/catalog';
import { selectAll } from '../storage/selection-spec';
import type { WriteSteps } from '../storage/writer';
import { compileUpdate } from '../update/update';
import type { CommandContext } from './command';
import { checkCollectionName, checkDatabaseName } from './namespaces';
import { EMPTY } from './reading';
import type { WriteScope } from './write-scope';
import { runWrite } from './run-write';
import { StoredDocument } from '../storage/stored-document';
import { changeMatching, ensureCollection, insertOne } from './writing';

/** Writes the output of a pipeline to the target of its $out or $merge, as one write. */
export async function writeOutput(
  context: CommandContext,
  output: Output,
  documents: readonly Document[],
): Promise<void> {
  const database = output.database ?? context.database;
  checkDatabaseName(database);
  checkCollectionName(database, output.collection);
  await runWrite(context, [], function* (scope): WriteSteps<Document> {
    const collection = ensureCollection(scope, database, output.collection);
    if (output.kind === 'out') yield* replaceAll(scope, collection, documents);
    else yield* mergeAll(scope, collection, output, documents);
    return new Map();
  });
}

function* replaceAll(
  scope: WriteScope,
  collection: Collection,
  documents: readonly Document[],
): WriteSteps<void> {
  const everything = selectAll(EMPTY, compileFilter(EMPTY));
  yield* changeMatching(scope, collection, everything, true, () => undefined);
  for (const document of documents) yield* insertOne(scope, collection, encode(document));
}

function* mergeAll(
  scope: WriteScope,
  collection: Collection,
  output: MergeOutput,
  documents: readonly Document[],
): WriteSteps<void> {
  checkUniqueIndex(collection, output.on);
  for (const document of documents) yield* mergeOne(scope, collection, output, document);
}

function checkUniqueIndex(collection: Collection, on: readonly string[]): void {
  const wanted = new Set(on);
  const fits = collection.indexes.some(({ compiled }, i) => {
    const { definition } = compiled;
    const plain = (i === 0 || definition.unique === true) && compiled.partial === undefined;
    const fields = definition.key.map(([field]) => field);
    return plain && fields.length === wanted.size && fields.every((field) => wanted.has(field));
  });
  if (!fits) {
    throw new StoreError(51183, 'Cannot find index to verify that join fields will be unique');
  }
}

function* mergeOne(
  scope: WriteScope,
  collection: Collection,
  output: MergeOutput,
  document: Document,
): WriteSteps<void> {
  const filterDocument = joinFilter(output, document);
  const spec = selectAll(filterDocument, compileFilter(filterDocument));
  const outcome =
    filterDocument.size === 0
      ? undefined
      : yield* changeMatching(scope, collection, spec, false, ({ stored }) => {
          const after = merged(output, document, stored.document, scope.now);
          return after === stored.document ? stored : StoredDocument.of(stored.recordId, after);
        });
  if (outcome !== undefined && outcome.matched > 0) return;
  if (output.whenNotMatched === 'fail') {
    throw new StoreError(
      'MergeStageNoMatchingDocument',
      '$merge could not find a matching document in the target collection for at least one document in the source collection',
    );
  }
  if (output.whenNotMatched === 'insert') yield* insertOne(scope, collection, encode(document));
}

/**
 * The filter for the document to merge with; empty when this document has no `_id` yet, so that it matches none.
 */
function joinFilter(output: MergeOutput, document: Document): Document {
  const filter: Document = new Map();
  for (const field of output.on) {
    const value: Value | undefined = readPath(document, parsePath(field));
    if (value === undefined && field === '_id' && output.on.length === 1) return filter;
    if (value === undefined || value === null || Array.isArray(value)) {
      throw new StoreError(
        51132,
        `$merge write error: 'on' field '${field}' cannot be missing, null, undefined or an array`,
      );
    }
    filter.set(field, new Map([['$eq', value]]));
  }
  return filter;
}

function merged(output: MergeOutput, document: Document, target: Document, now: Date): Document {
  const id = target.get('_id') as Value;
  switch (output.whenMatched) {
    case 'keepExisting':
      return target;
    case 'fail':
      throw new StoreError('DuplicateKey', '$merge found a matching document, and whenMatched is "fail"');
    case 'replace':
      return new Map<string, Value>([['_id', document.get('_id') ?? id], ...document]);
    case 'merge': {
      const made = new Map(target);
      for (const [key, value] of document) made.set(key, value);
      return made;
    }
    case 'pipeline': {
      const variables = new Map<string, Value | undefined>([['new', document]]);
      for (const [name, compute] of output.bindings) variables.set(name, compute(document));
      return compileUpdate(output.update ?? [], { variables }).apply(target, { insert: false, now });
    }
  }
}
