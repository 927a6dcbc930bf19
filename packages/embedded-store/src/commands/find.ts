import { Long, Timestamp } from 'bson';
import { encode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Plan } from '../index/plan';
import { compileCollation } from '../query/collation';
import { compileFilter } from '../query/matcher';
import { compileProjection } from '../query/projection';
import { compileSort, isNaturalOrder } from '../query/sort';
import type { Transaction } from '../session/transaction';
import { lookUp, uniqueLookup } from '../storage/lookup';
import { choosePlan } from '../storage/plan-scan';
import { Selection } from '../storage/selection';
import type { Selected, SelectionSpec, Source } from '../storage/selection-spec';
import type { Collection } from '../storage/catalog';
import { cursorReply } from '../wire/raw';
import type { Arguments } from './arguments';
import type { Command, CommandContext, Reply } from './command';
import { collectionName, findCollection } from './namespaces';
import { EMPTY, openSnapshot, SelectionBatches, transactionSource } from './reading';
import { collationOf } from './writing';
import type { BatchSource } from '../session/cursors';

const FIELDS = new Set(
  'find filter sort projection hint skip limit batchSize singleBatch allowDiskUse min max returnKey showRecordId tailable awaitData oplogReplay noCursorTimeout allowPartialResults collation let ntoreturn'.split(
    ' ',
  ),
);
const DEFAULT_FIRST_BATCH = 101;
const REFUSED = ['returnKey', 'showRecordId', 'tailable', 'awaitData'];

/** https://www.mongodb.com/docs/manual/reference/command/find/ */
export const findCommand: Command = {
  inTransaction: true,
  readsSnapshots: true,
  async run(context) {
    const { args, database } = context;
    args.allow(FIELDS);
    const name = collectionName(context, 'find');
    const batchSize = args.integer('batchSize', 0) ?? DEFAULT_FIRST_BATCH;
    const collection = findCollection(context, name);
    const query = readFind(args, collection);
    const namespace = `${database}.${name}`;
    if (!collection) {
      return emptyCursor(namespace, context.held);
    }
    const plan = query.spec.filter.text ? undefined : choosePlan(collection, query.spec);
    if (plan && batchSize > 0) {
      const found = findByKey(context, collection, query, plan);
      if (found) {
        const atClusterTime = context.held?.time;
        return cursorReply({ batch: 'firstBatch', documents: found, id: 0n, namespace, atClusterTime });
      }
    }
    const batches = openFind(context, collection, query, plan);
    return firstBatch(context, namespace, batches, batchSize, args.boolean('singleBatch'));
  },
};

/** The reply of a find on a collection that does not exist, with its fields in another order, as MongoDB's. */
function emptyCursor(namespace: string, held: CommandContext['held']): Document {
  return new Map([
    [
      'cursor',
      new Map<string, Value>([
        ['id', Long.ZERO],
        ['ns', namespace],
        ['firstBatch', []],
        ...(held ? [['atClusterTime', new Timestamp(held.time)] as const] : []),
      ]),
    ],
  ]);
}

/** The parsed fields of a find, for find and explain. */
export interface FindQuery {
  spec: SelectionSpec;
  shape: (item: Selected) => Uint8Array;
}

/** Reads and checks the fields of a find; errors do not depend on whether the collection exists. */
export function readFind(args: Arguments, collection: Collection | undefined): FindQuery {
  for (const field of REFUSED) {
    if (args.boolean(field))
      throw new StoreError('CommandNotSupported', `find option '${field}' is not supported`);
  }
  const collator = compileCollation(collationOf(collection, args.document('collation')));
  const variables = args.document('let');
  const filterDocument = args.document('filter') ?? EMPTY;
  const filter = compileFilter(filterDocument, { collator, variables });
  const sortDocument = args.document('sort');
  const projectionDocument = args.document('projection');
  const projection = compileProjection(projectionDocument, { filter, collator, variables });
  const sort =
    sortDocument?.size && !isNaturalOrder(sortDocument) ? compileSort(sortDocument, { collator }) : undefined;
  if (!filter.text && (sort?.usesTextScore || projection.usesTextScore)) {
    throw new StoreError(40218, 'query requires text score metadata, but it is not available');
  }
  const limit = args.integer('limit', 0) || undefined;
  return {
    spec: {
      filterDocument,
      filter,
      sortDocument: sortDocument?.size ? sortDocument : undefined,
      sort,
      projection: projectionDocument,
      skip: args.integer('skip', 0) ?? 0,
      limit,
      hint: readHint(args),
      min: args.document('min'),
      max: args.document('max'),
      collator,
      allowDiskUse: args.boolean('allowDiskUse'),
    },
    shape: projection.isIdentity
      ? ({ stored }) => stored.bytes
      : ({ stored, score }) => encode(projection.apply(stored.document, { textScore: score })),
  };
}

/** The `hint` of a command: an index name or key pattern. */
export function readHint(args: Arguments): SelectionSpec['hint'] {
  const hint = args.any('hint');
  if (hint === undefined || typeof hint === 'string') return hint;
  if (hint instanceof Map) return hint.size === 0 ? undefined : hint;
  throw new StoreError('FailedToParse', 'Hint must be a string or an object');
}

/** The result of a find that looks up one key of a unique index; undefined for any other. */
function findByKey(
  context: CommandContext,
  collection: Collection,
  { spec, shape }: FindQuery,
  plan: Plan,
): Uint8Array[] | undefined {
  if (spec.skip > 0 || !uniqueLookup(collection, plan)) return undefined;
  const { engine, transaction } = context;
  const snapshot = openSnapshot(context);
  try {
    const source: Source = snapshot ? { view: snapshot } : transactionSource(transaction as Transaction);
    const found = lookUp(engine, collection, plan, spec, source);
    return found && (found.item ? [shape(found.item)] : []);
  } finally {
    snapshot?.release();
  }
}

function openFind(
  context: CommandContext,
  collection: Collection,
  query: FindQuery,
  plan: Plan | undefined,
): BatchSource {
  const { engine, transaction, held } = context;
  const source: Source = transaction ? transactionSource(transaction) : { view: {} };
  const selection = new Selection(engine, collection, query.spec, source, plan);
  return new SelectionBatches({ engine, transaction, held }, selection, source, query.shape);
}

/** Returns the first batch, and registers a cursor if there is more. */
export async function firstBatch(
  context: CommandContext,
  namespace: string,
  source: BatchSource,
  batchSize: number,
  singleBatch: boolean,
): Promise<Reply> {
  const { documents, ended } = await source.next(batchSize, context.operation);
  let id = 0n;
  if (ended || singleBatch) source.close();
  else {
    id = context.engine.cursors.add({
      namespace,
      source,
      owner: context.session?.id,
      keepForever: context.args.boolean('noCursorTimeout'),
    });
  }
  const atClusterTime = context.held?.time;
  return cursorReply({ batch: 'firstBatch', documents, id, namespace, atClusterTime });
}
