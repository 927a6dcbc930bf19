import { decode, decodeFields, encode } from '../bson/codec';
import { setTextScore } from '../aggregate/metadata';
import type { Output } from '../aggregate/output';
import type { Access, Steps } from '../aggregate/stage';
import { integral } from '../bson/numbers';
import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import type { Batch, BatchSource } from '../session/cursors';
import type { Operation } from '../session/operations';
import type { Collection } from '../storage/catalog';
import { Selection } from '../storage/selection';
import type { Selected, SelectionSpec, Source } from '../storage/selection-spec';
import { checkSize } from '../update/document';
import { numberOf } from './arguments';
import { writeOutput } from './aggregate-output';
import { cursorReply } from '../wire/raw';
import { type AggregateQuery, readAggregate, selectionOf } from './aggregate-query';
import { runningOperations } from './diagnostics';
import { explain } from './explain';
import type { Command, CommandContext, Reply } from './command';
import { firstBatch } from './find';
import { collectionName, findCollection } from './namespaces';
import { EMPTY, openSnapshot, TimeSlice, transactionSource } from './reading';
import { namedStatistics } from './statistics';

const FIELDS = new Set([
  'aggregate',
  'pipeline',
  'cursor',
  'explain',
  'allowDiskUse',
  'bypassDocumentValidation',
  'hint',
  'collation',
  'let',
]);
/** Stages that may begin the pipeline of an aggregate without a collection. */
const OWN_SOURCES = new Set(['$documents', '$currentOp']);
const DEFAULT_FIRST_BATCH = 101;
/** Documents that are counted between two pauses. */
const TICK = 256;
const BATCH_BYTES = 16 * 1024 * 1024;

/** https://www.mongodb.com/docs/manual/reference/command/aggregate/ */
export const aggregateCommand: Command = {
  inTransaction: true,
  readsSnapshots: true,
  async run(context) {
    const { args, database } = context;
    args.allow(FIELDS);
    const name = integral(args.any('aggregate')) === 1n ? undefined : collectionName(context, 'aggregate');
    if (args.boolean('explain')) return explain(context, args, 'queryPlanner');
    const cursor = args.document('cursor');
    if (cursor === undefined) {
      throw new StoreError(
        'FailedToParse',
        "The 'cursor' option is required, except for aggregate with the explain argument",
      );
    }
    const collection = name === undefined ? undefined : findCollection(context, name);
    const query = readAggregate(context, collection);
    checkSource(query, name, database);
    const namespace = `${database}.${name ?? '$cmd.aggregate'}`;
    const { output } = query.pipeline;
    const batches = new PipelineBatches(context, collection, query);
    if (output !== undefined) return writeOut(context, output, batches, namespace);
    return firstBatch(context, namespace, batches, batchSizeOf(cursor), false);
  },
};

/** Refuses a pipeline that needs a collection and has none, and one that has a collection and must not. */
function checkSource({ pipeline }: AggregateQuery, collection: string | undefined, database: string): void {
  const first = pipeline.prefix.stages === 0 ? pipeline.stages[0] : undefined;
  if (first === '$currentOp' && (collection !== undefined || database !== 'admin')) {
    throw new StoreError(
      'InvalidNamespace',
      "$currentOp must be run against the 'admin' database with {aggregate: 1}",
    );
  }
  if (collection === undefined && !(first !== undefined && OWN_SOURCES.has(first))) {
    throw new StoreError(
      'InvalidNamespace',
      `{aggregate: 1} is not valid for '${first ?? 'this pipeline'}'; a collection is required.`,
    );
  }
}

async function writeOut(
  context: CommandContext,
  output: Output,
  batches: PipelineBatches,
  namespace: string,
): Promise<Reply> {
  if (context.transaction) {
    throw new StoreError(
      'OperationNotSupportedInTransaction',
      'Stage not supported inside of a multi-document transaction: $out and $merge',
    );
  }
  const documents: Document[] = [];
  for (let ended = false; !ended;) {
    const batch = await batches.next(undefined, context.operation);
    for (const bytes of batch.documents) documents.push(decode(bytes));
    ended = batch.ended;
  }
  await writeOutput(context, output, documents);
  return cursorReply({ batch: 'firstBatch', documents: [], id: 0n, namespace });
}

function batchSizeOf(cursor: Document): number {
  for (const key of cursor.keys()) {
    if (key !== 'batchSize') {
      throw new StoreError('BadValue', `cursor object can't contain fields other than batchSize`);
    }
  }
  const given = cursor.get('batchSize');
  if (given === undefined || given === null) return DEFAULT_FIRST_BATCH;
  const size = numberOf(given);
  if (size === undefined) throw new StoreError('TypeMismatch', 'cursor.batchSize field must be a number');
  if (size < 0) throw new StoreError('BadValue', 'cursor.batchSize must not be negative');
  return Math.trunc(size);
}

/** The batches of a pipeline's result. Outside of transactions it holds no snapshot of its own between batches. */
class PipelineBatches implements BatchSource {
  readonly largeId = true;
  readonly #source: Source;
  readonly #open = new Set<Selection>();
  readonly #results: Iterator<Uint8Array | undefined, undefined>;
  /** A document that did not fit into the last batch. */
  #left: Uint8Array | undefined;

  constructor(
    private readonly context: CommandContext,
    private readonly collection: Collection | undefined,
    private readonly query: AggregateQuery,
  ) {
    const { transaction } = context;
    this.#source = transaction ? transactionSource(transaction) : { view: {} };
    this.#results = this.#run();
  }

  async next(limit: number | undefined, operation: Operation): Promise<Batch> {
    const snapshot = openSnapshot(this.context);
    if (snapshot) this.#source.view = snapshot;
    try {
      return await this.#fill(limit ?? Infinity, operation);
    } finally {
      this.#pause();
      snapshot?.release();
    }
  }

  close(): void {
    this.#pause();
  }

  #pause(): void {
    for (const selection of this.#open) selection.pause();
  }

  async #fill(limit: number, operation: Operation): Promise<Batch> {
    const documents: Uint8Array[] = [];
    let bytes = 0;
    const timeSlice = new TimeSlice(operation);
    while (documents.length < limit) {
      const step = this.#step();
      if (step.done === true) return { documents, ended: true };
      const document = step.value;
      if (document === undefined) {
        if (timeSlice.isOver) await timeSlice.next();
        continue;
      }
      if (documents.length > 0 && bytes + document.length > BATCH_BYTES) {
        this.#left = document;
        break;
      }
      documents.push(document);
      bytes += document.length;
    }
    return { documents, ended: false };
  }

  #step(): IteratorResult<Uint8Array | undefined, undefined> {
    const left = this.#left;
    this.#left = undefined;
    return left === undefined ? this.#results.next() : { done: false, value: left };
  }

  *#run(): Iterator<Uint8Array | undefined, undefined> {
    const { pipeline, spec } = this.query;
    const found = this.collection === undefined ? [] : this.#select(this.collection, spec);
    if (pipeline.stages.length === 0) {
      for (const item of found) yield item?.stored.bytes;
      return undefined;
    }
    const counts = this.collection !== undefined && pipeline.fields?.size === 0;
    const source =
      counts && this.collection ? this.#counted(this.collection, spec) : documentsOf(found, pipeline.fields);
    for (const document of pipeline.steps(source, this.#access())) {
      if (document === undefined) {
        yield undefined;
        continue;
      }
      const bytes = encode(document);
      checkSize(bytes);
      yield bytes;
    }
    return undefined;
  }

  /** An empty document for each selected one: enough for a pipeline that only counts. */
  *#counted(collection: Collection, spec: SelectionSpec): Steps {
    const selection = new Selection(this.context.engine, collection, spec, this.#source);
    if (!selection.canSkip || spec.skip > 0) {
      selection.pause();
      yield* documentsOf(this.#select(collection, spec), new Set());
      return;
    }
    this.#open.add(selection);
    try {
      for (let seen = 1; selection.skipOne(); seen++) {
        yield EMPTY;
        if (seen % TICK === 0) yield undefined;
      }
    } finally {
      selection.pause();
      this.#open.delete(selection);
    }
  }

  *#select(collection: Collection, spec: SelectionSpec): Iterable<Selected | undefined> {
    const selection = new Selection(this.context.engine, collection, spec, this.#source);
    this.#open.add(selection);
    try {
      for (let item = selection.next(); item !== null; item = selection.next()) yield item;
    } finally {
      selection.pause();
      this.#open.delete(selection);
    }
  }

  #access(): Access {
    const { engine, database } = this.context;
    return {
      find: (name, filter, options) => {
        const collection = engine.catalog.find(database, name);
        if (collection === undefined) return [];
        const { collator } = this.query;
        const spec = selectionOf({ filter, ...options }, { collator, variables: options.variables });
        return documentsOf(this.#select(collection, spec), undefined);
      },
      operations: () => runningOperations(engine),
      statistics: (scale) => namedStatistics(this.context, collectionName(this.context, 'aggregate'), scale),
    };
  }
}

function* documentsOf(found: Iterable<Selected | undefined>, fields: ReadonlySet<string> | undefined): Steps {
  for (const item of found) {
    if (item === undefined) {
      yield undefined;
      continue;
    }
    const { stored, score } = item;
    const document = fields === undefined ? stored.document : decodeFields(stored.bytes, fields);
    if (score !== undefined) setTextScore(document, score);
    yield document;
  }
}
