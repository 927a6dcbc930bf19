import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import type { SelectionSpec } from '../storage/selection-spec';
import type { WriteSteps } from '../storage/writer';
import type { Arguments } from './arguments';
import type { Command } from './command';
import { readHint } from './find';
import { collectionName, type Namespace } from './namespaces';
import { runStatements, writeReply } from './statements';
import { statementsOf } from './update';

import { runWrite } from './run-write';
import type { WriteScope } from './write-scope';
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
    return runWrite(context, [], function* (scope) {
      yield* runStatements(scope, context, statements, function* (statement) {
        scope.progress.matched += yield* deleteDocuments(
          scope,
          { database, name },
          {
            filter: statement.requiredDocument('q'),
            multi: readLimit(statement) === 0,
            collation: statement.document('collation'),
            hint: readHint(statement),
            variables,
          },
        );
      });
      return writeReply(scope, false);
    });
  },
};

/** One delete. */
export interface DeleteRequest {
  filter: Document;
  multi: boolean;
  collation: Document | undefined;
  hint: SelectionSpec['hint'];
  variables: Document | undefined;
}

/** Deletes the first or (multi) all documents that match, and returns their number. */
export function* deleteDocuments(
  scope: WriteScope,
  { database, name }: Namespace,
  { filter, multi, collation, hint, variables }: DeleteRequest,
): WriteSteps<number> {
  const collection = scope.find(database, name);
  const collator = compileCollation(collationOf(collection, collation));
  const spec = statementSpec(filter, collator, variables, hint);
  if (!collection) return 0;
  const outcome = yield* changeMatching(scope, collection, spec, multi, () => undefined);
  return outcome.matched;
}

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
