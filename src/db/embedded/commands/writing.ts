import { Double, ObjectId } from 'bson';
import { encode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import type { Engine } from '../engine';
import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import { compileFilter } from '../query/matcher';
import { Locked } from '../session/locks';
import type { Collection } from '../storage/catalog';
import { Selection } from '../storage/selection';
import type { Selected, SelectionSpec, Source } from '../storage/selection-spec';
import { StoredDocument } from '../storage/records';
import type { WriteTarget } from '../storage/records';
import type { WriteSteps } from '../storage/writer';
import { checkSize, prepareInsert } from '../update/document';
import type { Update } from '../update/update';
import { upsertDocument } from '../update/upsert';
import { validateDocument } from '../update/validate-document';
import type { CommandContext } from './command';
import { WriteProgress } from './write-scope';
import type { WriteScope } from './write-scope';
import { breathe, EMPTY, transactionSource } from './reading';

/** Steps of a whole write command, on the scope that they are given. */
export type WriteWork = (scope: WriteScope) => WriteSteps<Document>;

/**
 * Runs a write command: in the open transaction, or as a job of the writer, where a retried command
 * answers what it answered before. Resolves when the write is durable (in a transaction: when it is noted).
 */
export async function runWrite(
  context: CommandContext,
  collectionName: string,
  createsCollection: boolean,
  work: WriteWork,
): Promise<Document | Uint8Array> {
  const { engine, transaction } = context;
  if (transaction) {
    if (createsCollection) await createForTransaction(context, collectionName);
    return runInTransaction(context, work(scopeOf(context, transaction, transactionSource(transaction))));
  }
  return engine.writer.submit(() => retryable(context, work));
}

function scopeOf(context: CommandContext, target: WriteTarget, source: Source): WriteScope {
  const { engine, transaction, args } = context;
  return {
    engine,
    target,
    source,
    now: new Date(),
    bypassValidation: args.boolean('bypassDocumentValidation'),
    progress: new WriteProgress(),
    find: (database, name) =>
      transaction ? transaction.find(database, name) : engine.catalog.find(database, name),
  };
}

/** A scope for what the store changes by itself, inside of the writer. */
export function plainScope(engine: Engine): WriteScope {
  return {
    engine,
    target: engine.records,
    source: { view: {} },
    now: new Date(),
    bypassValidation: true,
    progress: new WriteProgress(),
    find: (database, name) => engine.catalog.find(database, name),
  };
}

/** The job of a write outside of transactions: done once, however often it is sent with one number. */
function* retryable(context: CommandContext, work: WriteWork): WriteSteps<Document | Uint8Array> {
  const { engine, session, txnNumber } = context;
  const scope = scopeOf(context, engine.records, { view: {} });
  if (!session || txnNumber === undefined) return yield* work(scope);
  const known = engine.retries.find(session.id, txnNumber);
  if (known?.done) return known.reply;
  if (known) scope.progress = WriteProgress.read(known.progress);
  const steps = work(scope);
  for (;;) {
    const step = steps.next();
    if (step.done) {
      const bytes = encode(step.value.set('ok', new Double(1)));
      engine.retries.store(session.id, txnNumber, bytes);
      engine.writer.noteMutation();
      return bytes;
    }
    if (scope.progress.next > 0) {
      engine.retries.store(session.id, txnNumber, encode(scope.progress.toDocument()), false);
      engine.writer.noteMutation();
    }
    yield step.value;
  }
}

async function runInTransaction(context: CommandContext, steps: WriteSteps<Document>): Promise<Document> {
  const { transaction } = context;
  try {
    for (;;) {
      const step = steps.next();
      if (step.done) {
        if (step.value.has('writeErrors')) transaction?.abort();
        return step.value;
      }
      await (step.value ?? breathe());
    }
  } catch (error) {
    transaction?.abort();
    throw error;
  }
}

/** A collection that a transaction inserts into comes into being before, and goes again if it aborts. */
async function createForTransaction(context: CommandContext, name: string): Promise<void> {
  const { engine, database, transaction } = context;
  if (transaction?.find(database, name)) return;
  const created = await engine.writer.submit(function* (): WriteSteps<Collection | undefined> {
    yield* [];
    return engine.catalog.find(database, name) ? undefined : engine.catalog.create(database, name, new Map());
  });
  if (created) transaction?.created.add(created);
}

/** The collection of this name, made if it does not exist. Only inside of the writer or a transaction. */
export function ensureCollection(scope: WriteScope, database: string, name: string): Collection {
  return scope.find(database, name) ?? scope.engine.catalog.create(database, name, new Map());
}

/** Tries until no open transaction of others holds what `action` wants to change. */
export function* untilFree<T>(action: () => T): WriteSteps<T> {
  for (;;) {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof Locked)) throw error;
      yield error.released;
    }
  }
}

/** Inserts one document as it came; throws what MongoDB refuses. */
export function* insertOne(scope: WriteScope, collection: Collection, bytes: Uint8Array): WriteSteps<void> {
  const prepared = prepareInsert(bytes, scope.now);
  validate(scope, collection, () => new StoredDocument(0, prepared).document);
  yield* untilFree(() => scope.target.insert(collection, prepared));
}

/** A document that was changed or removed, before and after. */
export interface Touched {
  before: Document;
  after: Document | undefined;
}

/** What became of the documents that a statement matched. */
export interface Outcome {
  matched: number;
  modified: number;
  first: Touched | undefined;
}

/** What to do with a matching document: its new state, the same reference for no change, undefined to remove. */
export type Change = (selected: Selected) => Document | undefined;

/** Applies a change to the first or (multi) all documents of a selection, as they are when it gets to them. */
export function* changeMatching(
  scope: WriteScope,
  collection: Collection,
  spec: SelectionSpec,
  multi: boolean,
  change: Change,
): WriteSteps<Outcome> {
  const outcome: Outcome = { matched: 0, modified: 0, first: undefined };
  do {
    const { found, paused } = yield* gather(scope, collection, multi ? spec : { ...spec, limit: 1 });
    if (found.length === 0) break;
    let stale = paused;
    for (const item of found) {
      if (scope.engine.writer.sliceIsOver && multi) {
        yield undefined;
        stale = true;
      }
      for (;;) {
        const current = stale ? refresh(scope, collection, spec, item) : item;
        if (!current) break;
        try {
          applyChange(scope, collection, current, change, outcome);
          break;
        } catch (error) {
          if (!(error instanceof Locked)) throw error;
          yield error.released;
          stale = true;
        }
      }
    }
    // Whoever wanted one document and lost it to another writer looks again.
  } while (!multi && outcome.matched === 0);
  return outcome;
}

function* gather(
  scope: WriteScope,
  collection: Collection,
  spec: SelectionSpec,
): WriteSteps<{ found: Selected[]; paused: boolean }> {
  const selection = new Selection(scope.engine, collection, spec, scope.source);
  const found: Selected[] = [];
  let paused = false;
  for (let item = selection.next(); item !== null; item = selection.next()) {
    if (item) found.push(item);
    else if (scope.engine.writer.sliceIsOver) {
      selection.pause();
      yield undefined;
      paused = true;
    }
  }
  selection.pause();
  return { found, paused };
}

/** The document of an earlier look as it is now; undefined if it is gone or fits no more. */
function refresh(
  scope: WriteScope,
  collection: Collection,
  spec: SelectionSpec,
  item: Selected,
): Selected | undefined {
  const { recordId } = item.stored;
  const changes = scope.source.changes?.(collection);
  const stored = changes?.has(recordId)
    ? changes.get(recordId)
    : scope.engine.records.get(collection, recordId, scope.source.view);
  return stored && spec.filter.matches(stored.document) ? { ...item, stored } : undefined;
}

function applyChange(
  scope: WriteScope,
  collection: Collection,
  item: Selected,
  change: Change,
  outcome: Outcome,
): void {
  const before = item.stored.document;
  const after = change(item);
  if (after === undefined) scope.target.remove(collection, item.stored);
  else if (after !== before) {
    const stored = StoredDocument.of(item.stored.recordId, after);
    checkSize(stored.bytes);
    validate(scope, collection, () => after, before);
    scope.target.replace(collection, item.stored, stored);
  }
  outcome.matched++;
  if (after !== before) outcome.modified++;
  outcome.first ??= { before, after };
}

/** The change that an update makes. */
export function updating(update: Update, spec: SelectionSpec, now: Date): Change {
  return ({ stored }) => {
    const positional = update.positional ? spec.filter.positional(stored.document) : undefined;
    return update.apply(stored.document, { positional, insert: false, now });
  };
}

/** Inserts the document of an upsert that matched nothing, and gives it back. */
export function* upsert(
  scope: WriteScope,
  collection: Collection,
  filter: Document,
  update: Update,
): WriteSteps<Document> {
  const made = upsertDocument(filter, update, scope.now);
  const document = made.has('_id') ? made : new Map<string, Value>([['_id', new ObjectId()], ...made]);
  const bytes = encode(document);
  checkSize(bytes);
  validate(scope, collection, () => document);
  yield* untilFree(() => scope.target.insert(collection, bytes));
  return document;
}

function validate(
  scope: WriteScope,
  { options }: Collection,
  document: () => Document,
  before?: Document,
): void {
  if (options.has('validator') && !scope.bypassValidation) validateDocument(options, document(), before);
}

/** The collation of a statement, or else of its collection. */
export function collationOf(
  collection: Collection | undefined,
  own: Document | undefined,
): Document | undefined {
  const inherited = collection?.options.get('collation');
  return own ?? (inherited instanceof Map ? inherited : undefined);
}

/** A selection spec of a write statement. */
export function statementSpec(
  filterDocument: Document | undefined,
  collator: Collator | undefined,
  variables: Document | undefined,
  hint: SelectionSpec['hint'],
): SelectionSpec {
  const document = filterDocument ?? EMPTY;
  return {
    filterDocument: document,
    filter: compileFilter(document, { collator, variables }),
    sortDocument: undefined,
    sort: undefined,
    projection: undefined,
    skip: 0,
    limit: undefined,
    hint,
    min: undefined,
    max: undefined,
    collator,
    allowDiskUse: false,
  };
}

/** Refuses what can't be a write in this state of things. */
export function checkBatchSize(count: number): void {
  if (count < 1 || count > 100_000) {
    throw new StoreError(
      'InvalidLength',
      `Write batch sizes must be between 1 and 100000. Got ${count} operations.`,
    );
  }
}
