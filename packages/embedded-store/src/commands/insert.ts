import { encode } from '../bson/codec';
import type { Command } from './command';
import { collectionName } from './namespaces';
import { runStatements, writeReply } from './statements';
import { runWrite } from './run-write';
import { checkBatchSize, ensureCollection, insertOne } from './writing';

const FIELDS = new Set(['insert', 'documents', 'ordered', 'bypassDocumentValidation']);

/** https://www.mongodb.com/docs/manual/reference/command/insert/ */
export const insertCommand: Command = {
  inTransaction: true,
  async run(context) {
    const { args, database } = context;
    args.allow(FIELDS);
    const name = collectionName(context, 'insert');
    const documents = context.sequences.get('documents') ?? (args.documents('documents') ?? []).map(encode);
    checkBatchSize(documents.length);
    return runWrite(context, [{ database, name }], function* (scope) {
      yield* runStatements(scope, context, documents, function* (bytes) {
        yield* insertOne(scope, ensureCollection(scope, database, name), bytes);
        scope.progress.matched++;
      });
      return writeReply(scope, false);
    });
  },
};
