import { Int32 } from 'bson';
import { decode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import type { Collection } from '../storage/catalog';
import { compileUpdate } from '../update/update';
import { refuseExprInUpsert } from '../update/upsert';
import { Arguments } from './arguments';
import type { Command, CommandContext } from './command';
import { readHint } from './find';
import { collectionName } from './namespaces';
import { runStatements, writeReply } from './statements';
import { runWrite } from './run-write';
import {
  changeMatching,
  checkBatchSize,
  collationOf,
  ensureCollection,
  statementSpec,
  updating,
  upsert,
} from './writing';
import type { WriteScope } from './write-scope';
import type { WriteSteps } from '../storage/writer';

const FIELDS = new Set(['update', 'updates', 'ordered', 'bypassDocumentValidation', 'let']);
const STATEMENT_FIELDS = new Set([
  'q',
  'u',
  'c',
  'upsert',
  'multi',
  'collation',
  'arrayFilters',
  'hint',
  'upsertSupplied',
]);

/** https://www.mongodb.com/docs/manual/reference/command/update/ */
export const updateCommand: Command = {
  inTransaction: true,
  async run(context) {
    const { args } = context;
    args.allow(FIELDS);
    const name = collectionName(context, 'update');
    const statements = statementsOf(context, 'updates', STATEMENT_FIELDS);
    const variables = args.document('let');
    const upserts = statements.some((statement) => statement.boolean('upsert'));
    return runWrite(context, name, upserts, function* (scope) {
      yield* runStatements(scope, context, statements, (statement, index) =>
        runStatement(scope, { database: context.database, name, variables, statement, index }),
      );
      return writeReply(scope, true);
    });
  },
};

/** The statements of an update or delete, from the command or from another section of the message. */
export function statementsOf(
  context: CommandContext,
  field: string,
  fields: ReadonlySet<string>,
): Arguments[] {
  const { args, sequences } = context;
  const documents = sequences.get(field)?.map(decode) ?? args.documents(field) ?? [];
  checkBatchSize(documents.length);
  return documents.map((document) => {
    const statement = new Arguments(document, `${args.name}.${field}`);
    statement.allow(fields);
    return statement;
  });
}

interface UpdateStatement {
  database: string;
  name: string;
  variables: Document | undefined;
  statement: Arguments;
  index: number;
}

function* runStatement(scope: WriteScope, request: UpdateStatement): WriteSteps<void> {
  const { database, name, variables, statement } = request;
  const existing: Collection | undefined = scope.find(database, name);
  const collator = compileCollation(collationOf(existing, statement.document('collation')));
  const filterDocument = statement.requiredDocument('q');
  const multi = statement.boolean('multi');
  const upserting = statement.boolean('upsert');
  const update = compileUpdate(readUpdate(statement, 'u'), {
    arrayFilters: statement.array('arrayFilters'),
    collator,
    variables: mergedVariables(variables, statement.document('c')),
    multi,
  });
  if (upserting) refuseExprInUpsert(filterDocument);
  const spec = statementSpec(filterDocument, collator, variables, readHint(statement));
  if (existing) {
    const outcome = yield* changeMatching(scope, existing, spec, multi, updating(update, spec, scope.now));
    scope.progress.matched += outcome.matched;
    scope.progress.modified += outcome.modified;
    if (outcome.matched > 0) return;
  }
  if (!upserting) return;
  const made = yield* upsert(scope, ensureCollection(scope, database, name), filterDocument, update);
  scope.progress.matched++;
  scope.progress.upserted.push(
    new Map<string, Value>([
      ['index', new Int32(request.index)],
      ['_id', made.get('_id') ?? null],
    ]),
  );
}

/** The update of a statement: operators, a replacement or a pipeline. */
export function readUpdate(args: Arguments, field: string): Document | Value[] {
  const update = args.any(field);
  if (update instanceof Map || Array.isArray(update)) return update;
  throw new StoreError('FailedToParse', 'Update argument must be either an object or an array');
}

function mergedVariables(outer: Document | undefined, own: Document | undefined): Document | undefined {
  return outer && own ? new Map([...outer, ...own]) : (own ?? outer);
}
