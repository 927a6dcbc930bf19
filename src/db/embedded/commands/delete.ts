import { Int32 } from 'bson';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import type { Command } from './command';
import { readHint } from './find';
import { collectionName } from './namespaces';
import { statementsOf } from './update';
import { WriteErrors } from './write-errors';
import { changeMatching, collationOf, runWrite, statementSpec } from './writing';

const FIELDS = new Set(['delete', 'deletes', 'ordered', 'bypassDocumentValidation', 'let']);
const STATEMENT_FIELDS = new Set(['q', 'limit', 'collation', 'hint']);

/** https://www.mongodb.com/docs/manual/reference/command/delete/ */
export const deleteCommand: Command = {
  inTransaction: true,
  async run(context) {
    const { args, database } = context;
    args.allow(FIELDS);
    const name = collectionName(context, 'delete');
    const statements = statementsOf(context, 'deletes', STATEMENT_FIELDS);
    const variables = args.document('let');
    const ordered = args.boolean('ordered', true);
    return runWrite(context, name, false, function* (scope) {
      const errors = new WriteErrors(context, ordered);
      let removed = 0;
      for (const [index, statement] of statements.entries()) {
        const goOn = yield* errors.guard(index, function* () {
          const filter = statement.requiredDocument('q');
          const limit = statement.integer('limit');
          if (limit === undefined) {
            throw new StoreError(40414, "BSON field 'delete.deletes.limit' is missing but a required field");
          }
          if (limit !== 0 && limit !== 1) {
            throw new StoreError(
              'FailedToParse',
              `The limit field in delete objects must be 0 or 1. Got ${limit}`,
            );
          }
          const collection = scope.engine.catalog.find(database, name);
          const collator = compileCollation(collationOf(collection, statement.document('collation')));
          const spec = statementSpec(filter, collator, variables, readHint(statement));
          if (!collection) return;
          const outcome = yield* changeMatching(scope, collection, spec, limit === 0, () => undefined);
          removed += outcome.matched;
        });
        if (!goOn) break;
      }
      const reply: Document = new Map<string, Value>([['n', new Int32(removed)]]);
      return errors.addTo(reply);
    });
  },
};
