import { Int32 } from 'bson';
import { decode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import { compileSort } from '../query/sort';
import type { Collection } from '../storage/catalog';
import type { SelectionSpec } from '../storage/selection-spec';
import { compileUpdate } from '../update/update';
import { refuseExprInUpsert } from '../update/upsert';
import { Arguments } from './arguments';
import type { Command, CommandContext } from './command';
import { readHint } from './find';
import { collectionName, type Namespace } from './namespaces';
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
  'sort',
  'upsertSupplied',
]);

/** https://www.mongodb.com/docs/manual/reference/command/update/ */
export const updateCommand: Command = {
  inTransaction: true,
  async run(context) {
    const { args, database } = context;
    args.allow(FIELDS);
    const name = collectionName(context, 'update');
    const statements = statementsOf(context, 'updates', STATEMENT_FIELDS);
    const variables = args.document('let');
    const upserts = statements.some((statement) => statement.boolean('upsert'));
    return runWrite(context, upserts ? [{ database, name }] : [], function* (scope) {
      yield* runStatements(scope, context, statements, function* (statement, index) {
        const result = yield* updateDocuments(
          scope,
          { database, name },
          {
            filter: statement.requiredDocument('q'),
            mods: readUpdate(statement, 'u'),
            multi: statement.boolean('multi'),
            upsert: statement.boolean('upsert'),
            arrayFilters: statement.array('arrayFilters'),
            collation: statement.document('collation'),
            hint: readHint(statement),
            sort: statement.document('sort'),
            variables,
            constants: statement.document('c'),
          },
        );
        recordUpdate(scope, result, index);
      });
      return writeReply(scope, true);
    });
  },
};

function recordUpdate({ progress }: WriteScope, result: UpdateResult, index: number): void {
  progress.matched += result.matched;
  progress.modified += result.modified;
  if (result.upsertedId === undefined) return;
  progress.matched++;
  progress.upserted.push(
    new Map<string, Value>([
      ['index', new Int32(index)],
      ['_id', result.upsertedId],
    ]),
  );
}

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

/** One update. */
export interface UpdateRequest {
  filter: Document;
  mods: Document | Value[];
  multi: boolean;
  upsert: boolean;
  arrayFilters: Value[] | undefined;
  collation: Document | undefined;
  hint: SelectionSpec['hint'];
  /** Which of the matching documents is updated. */
  sort: Document | undefined;
  /** The variables of the command, and those of this update, which only its pipeline sees. */
  variables: Document | undefined;
  constants: Document | undefined;
}

/** The result of an update. */
export interface UpdateResult {
  matched: number;
  modified: number;
  /** The `_id` of the document that it inserted; undefined if it inserted none. */
  upsertedId: Value | undefined;
}

/** Updates the first or (multi) all documents that match, or inserts a document (upsert) if none does. */
export function* updateDocuments(
  scope: WriteScope,
  { database, name }: Namespace,
  request: UpdateRequest,
): WriteSteps<UpdateResult> {
  const { filter, multi, variables } = request;
  if (multi && request.sort) {
    throw new StoreError('FailedToParse', 'Cannot specify sort with multi=true');
  }
  const existing: Collection | undefined = scope.find(database, name);
  const collator = compileCollation(collationOf(existing, request.collation));
  const update = compileUpdate(request.mods, {
    arrayFilters: request.arrayFilters,
    collator,
    variables: mergedVariables(variables, request.constants),
    multi,
  });
  if (request.upsert) refuseExprInUpsert(filter);
  const spec = statementSpec(filter, collator, variables, request.hint);
  if (request.sort?.size) {
    spec.sortDocument = request.sort;
    spec.sort = compileSort(request.sort, { collator });
  }
  if (existing) {
    const { matched, modified } = yield* changeMatching(
      scope,
      existing,
      spec,
      multi,
      updating(update, spec, scope.now),
    );
    if (matched > 0) return { matched, modified, upsertedId: undefined };
  }
  if (!request.upsert) return { matched: 0, modified: 0, upsertedId: undefined };
  const made = yield* upsert(scope, ensureCollection(scope, database, name), filter, update);
  return { matched: 0, modified: 0, upsertedId: made.get('_id') ?? null };
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
