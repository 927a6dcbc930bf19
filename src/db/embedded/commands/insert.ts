import { Int32 } from 'bson';
import { encode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import type { Command } from './command';
import { collectionName } from './namespaces';
import { WriteErrors } from './write-errors';
import { checkBatchSize, ensureCollection, insertOne, runWrite } from './writing';

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
    const ordered = args.boolean('ordered', true);
    return runWrite(context, name, true, function* (scope) {
      const collection = ensureCollection(scope, database, name);
      const errors = new WriteErrors(context, ordered);
      let inserted = 0;
      for (const [index, bytes] of documents.entries()) {
        const goOn = yield* errors.guard(index, function* () {
          yield* insertOne(scope, collection, bytes);
          inserted++;
        });
        if (!goOn) break;
      }
      const reply: Document = new Map<string, Value>([['n', new Int32(inserted)]]);
      return errors.addTo(reply);
    });
  },
};
