import { Int32 } from 'bson';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import { compileProjection } from '../query/projection';
import { compileSort } from '../query/sort';
import type { WriteSteps } from '../storage/writer';
import { compileUpdate } from '../update/update';
import { refuseExprInUpsert } from '../update/upsert';
import type { Arguments } from './arguments';
import type { Command } from './command';
import { readHint } from './find';
import { collectionName } from './namespaces';
import { EMPTY } from './reading';
import { readUpdate } from './update';
import { runWrite } from './run-write';
import { changeMatching, collationOf, ensureCollection, statementSpec, updating, upsert } from './writing';
import type { WriteScope } from './write-scope';

const FIELDS = new Set(
  'findAndModify findandmodify query sort remove update new fields upsert bypassDocumentValidation collation arrayFilters hint let'.split(
    ' ',
  ),
);

/** https://www.mongodb.com/docs/manual/reference/command/findAndModify/ */
export const findAndModifyCommand: Command = {
  inTransaction: true,
  async run(context) {
    const { args, database } = context;
    args.allow(FIELDS);
    const name = collectionName(context, args.name);
    checkCombination(args);
    const created = args.boolean('upsert') ? [{ database, name }] : [];
    return runWrite(context, created, (scope) => modify(scope, args, database, name));
  },
};

function checkCombination(args: Arguments): void {
  const remove = args.boolean('remove');
  const refuse = (text: string) => {
    throw new StoreError('FailedToParse', text);
  };
  if (remove && args.has('update')) refuse('Cannot specify both an update and remove=true');
  if (!remove && !args.has('update')) refuse('Either an update or remove=true must be specified');
  if (remove && args.boolean('upsert')) refuse('Cannot specify both upsert=true and remove=true');
  if (remove && args.boolean('new')) {
    refuse("Cannot specify both new=true and remove=true; 'remove' always returns the deleted document");
  }
}

function* modify(scope: WriteScope, args: Arguments, database: string, name: string): WriteSteps<Document> {
  const collection = scope.find(database, name);
  const collator = compileCollation(collationOf(collection, args.document('collation')));
  const variables = args.document('let');
  const filterDocument = args.document('query') ?? EMPTY;
  const sortDocument = args.document('sort');
  const spec = {
    ...statementSpec(filterDocument, collator, variables, readHint(args)),
    sortDocument: sortDocument?.size ? sortDocument : undefined,
    sort: sortDocument?.size ? compileSort(sortDocument, { collator }) : undefined,
  };
  const projection = compileProjection(args.document('fields'), { filter: spec.filter, collator, variables });
  const show = (document: Document | undefined): Value => (document ? projection.apply(document) : null);
  if (args.boolean('remove')) {
    const outcome = collection && (yield* changeMatching(scope, collection, spec, false, () => undefined));
    const removed = outcome?.first?.before;
    return answer(new Map([['n', new Int32(removed ? 1 : 0)]]), show(removed?.document));
  }
  const wantsNew = args.boolean('new');
  const upserting = args.boolean('upsert');
  const update = compileUpdate(readUpdate(args, 'update'), {
    arrayFilters: args.array('arrayFilters'),
    collator,
    variables,
  });
  if (upserting) refuseExprInUpsert(filterDocument);
  const change = updating(update, spec, scope.now);
  const outcome = collection && (yield* changeMatching(scope, collection, spec, false, change));
  if (outcome?.first) {
    const { before, after } = outcome.first;
    return answer(updated(1, true), show((wantsNew ? after : before)?.document));
  }
  if (!upserting) return answer(updated(0, false), null);
  const made = yield* upsert(scope, ensureCollection(scope, database, name), filterDocument, update);
  const result = updated(1, false).set('upserted', made.get('_id') ?? null);
  return answer(result, wantsNew ? show(made) : null);
}

function updated(n: number, existing: boolean): Document {
  return new Map<string, Value>([
    ['n', new Int32(n)],
    ['updatedExisting', existing],
  ]);
}

function answer(lastErrorObject: Document, value: Value): Document {
  return new Map<string, Value>([
    ['lastErrorObject', lastErrorObject],
    ['value', value],
  ]);
}
