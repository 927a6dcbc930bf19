import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import type { Arguments } from './arguments';
import type { Command } from './command';
import { readHint } from './find';
import { collectionName } from './namespaces';
import { runStatements, writeReply } from './statements';
import { statementsOf } from './update';

import { runWrite } from './run-write';
import { changeMatching, collationOf, statementSpec } from './writing';

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
    return runWrite(context, name, false, function* (scope) {
      yield* runStatements(scope, context, statements, function* (statement) {
        const filter = statement.requiredDocument('q');
        const multi = readLimit(statement) === 0;
        const collection = scope.find(database, name);
        const collator = compileCollation(collationOf(collection, statement.document('collation')));
        const spec = statementSpec(filter, collator, variables, readHint(statement));
        if (!collection) return;
        const outcome = yield* changeMatching(scope, collection, spec, multi, () => undefined);
        scope.progress.matched += outcome.matched;
      });
      return writeReply(scope, false);
    });
  },
};

function readLimit(statement: Arguments): number {
  const limit = statement.integer('limit');
  if (limit === undefined) {
    throw new StoreError(40414, "BSON field 'delete.deletes.limit' is missing but a required field");
  }
  if (limit !== 0 && limit !== 1) {
    throw new StoreError('FailedToParse', `The limit field in delete objects must be 0 or 1. Got ${limit}`);
  }
  return limit;
}
