import { ObjectId } from 'bson';
import { encode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import { compileFilter } from '../query/matcher';
import { Locked } from '../session/locks';
import type { Collection } from '../storage/catalog';
import { lookUp } from '../storage/lookup';
import { choosePlan } from '../storage/plan-scan';
import { Selection } from '../storage/selection';
import type { Selected, SelectionSpec } from '../storage/selection-spec';
import { StoredDocument } from '../storage/stored-document';
import type { WriteSteps } from '../storage/writer';
import { checkSize, prepareInsert } from '../update/document';
import type { Update } from '../update/update';
import { upsertDocument } from '../update/upsert';
import { validateDocument } from '../update/validate-document';
import type { WriteScope } from './write-scope';
import { EMPTY } from './reading';

/** The collection of this name, created if it does not exist. Only inside the writer or a transaction. */
export function ensureCollection(scope: WriteScope, database: string, name: string): Collection {
  return scope.find(database, name) ?? scope.engine.catalog.create(database, name, new Map());
}

/** Retries until no other open transaction has locked what `action` changes. */
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

/** Inserts one document as the client sent it. Throws for a document that MongoDB refuses. */
export function* insertOne(scope: WriteScope, collection: Collection, bytes: Uint8Array): WriteSteps<void> {
  const prepared = prepareInsert(bytes, scope.now);
  validate(scope, collection, new StoredDocument(0, prepared));
  yield* untilFree(() => scope.target.insert(collection, prepared));
}

/** A document that was changed or removed, before and after. */
export interface Touched {
  before: StoredDocument;
  after: StoredDocument | undefined;
}

/** The result of a statement for the documents that it matched. */
export interface Outcome {
  matched: number;
  modified: number;
  first: Touched | undefined;
}

/** What to do with a matching document: its new state, the same reference for no change, undefined to remove. */
export type Change = (selected: Selected) => StoredDocument | undefined;

/**
 * Applies a change to the first or (multi) all documents of a selection, each in its state at the time of the
 * change.
 */
export function* changeMatching(
  scope: WriteScope,
  collection: Collection,
  spec: SelectionSpec,
  multi: boolean,
  change: Change,
): WriteSteps<Outcome> {
  const outcome: Outcome = { matched: 0, modified: 0, first: undefined };
  do {
    const { found, rest, paused } = yield* gather(scope, collection, multi ? spec : { ...spec, limit: 1 });
    if (found.length === 0) break;
    let stale = paused;
    for (const item of chain(found, rest)) {
      if (multi && scope.timeSliceIsOver()) {
        yield undefined;
        stale = true;
      }
      for (;;) {
        const fresh = !stale && typeof item !== 'number';
        const current = fresh ? item : refresh(scope, collection, spec, item);
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
    // If another writer changed the only document, the search starts again.
  } while (!multi && outcome.matched === 0);
  return outcome;
}

/**
 * Number of documents that are kept in memory between finding and changing them; of others only the record id is
 * kept.
 */
const KEPT_DOCUMENTS = 1_000;

interface Gathered {
  found: Selected[];
  /** Record ids of the other documents found. */
  rest: number[];
  paused: boolean;
}

function* chain(found: Selected[], rest: number[]): Iterable<Selected | number> {
  yield* found;
  yield* rest;
}

function* gather(scope: WriteScope, collection: Collection, spec: SelectionSpec): WriteSteps<Gathered> {
  const plan = spec.filter.text ? undefined : choosePlan(collection, spec);
  const known = plan && lookUp(scope.engine, collection, plan, spec, scope.source);
  if (known) return { found: known.item ? [known.item] : [], rest: [], paused: false };
  const selection = new Selection(scope.engine, collection, spec, scope.source, plan);
  const found: Selected[] = [];
  const rest: number[] = [];
  let paused = false;
  for (let item = selection.next(); item !== null; item = selection.next()) {
    if (item) {
      if (found.length < KEPT_DOCUMENTS) found.push(item);
      else rest.push(item.stored.recordId);
    } else if (scope.timeSliceIsOver()) {
      selection.pause();
      yield undefined;
      paused = true;
    }
  }
  selection.pause();
  return { found, rest, paused };
}

/** The current state of a document that was found before; undefined if it was removed or no longer matches. */
function refresh(
  scope: WriteScope,
  collection: Collection,
  spec: SelectionSpec,
  item: Selected | number,
): Selected | undefined {
  const recordId = typeof item === 'number' ? item : item.stored.recordId;
  const changes = scope.source.transaction?.changes(collection);
  const stored = changes?.has(recordId)
    ? changes.get(recordId)
    : scope.engine.records.get(collection, recordId, scope.source.view);
  return stored && spec.filter.matches(stored.document) ? { stored, score: undefined } : undefined;
}

function applyChange(
  scope: WriteScope,
  collection: Collection,
  item: Selected,
  change: Change,
  outcome: Outcome,
): void {
  const before = item.stored;
  const after = change(item);
  if (after === undefined) scope.target.remove(collection, before);
  else if (after !== before) {
    checkSize(after.bytes);
    validate(scope, collection, after, before);
    scope.target.replace(collection, before, after);
  }
  outcome.matched++;
  if (after !== before) outcome.modified++;
  outcome.first ??= { before, after };
}

/** The change that an update makes. */
export function updating(update: Update, spec: SelectionSpec, now: Date): Change {
  return ({ stored }) => {
    if (update.applyToBytes) {
      const result = update.applyToBytes(stored.bytes, now);
      return result ? StoredDocument.updated(stored, result.bytes, result.changed) : stored;
    }
    const before = stored.document;
    const positional = update.positional ? spec.filter.positional(before) : undefined;
    const after = update.apply(before, { positional, insert: false, now });
    return after === before ? stored : StoredDocument.of(stored.recordId, after);
  };
}

/** Inserts the document of an upsert that matched nothing, and returns it. */
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
  validate(scope, collection, new StoredDocument(0, bytes, document));
  yield* untilFree(() => scope.target.insert(collection, bytes));
  return document;
}

function validate(
  scope: WriteScope,
  { options }: Collection,
  stored: StoredDocument,
  before?: StoredDocument,
): void {
  if (!options.has('validator') || scope.bypassValidation) return;
  validateDocument(options, stored.document, before?.document);
}

/** The collation of a statement; the default is that of its collection. */
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

/** Refuses a write that is not possible on this namespace or in this transaction. */
export function checkBatchSize(count: number): void {
  if (count < 1 || count > 100_000) {
    throw new StoreError(
      'InvalidLength',
      `Write batch sizes must be between 1 and 100000. Got ${count} operations.`,
    );
  }
}
