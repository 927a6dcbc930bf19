import { Double } from 'bson';
import { encode } from '../bson/codec';
import type { Document } from '../bson/types';
import type { Engine } from '../engine';
import type { Collection } from '../storage/catalog';
import type { WriteTarget } from '../storage/records';
import type { Source } from '../storage/selection-spec';
import type { WriteSteps } from '../storage/writer';
import type { CommandContext } from './command';
import { yieldToEventLoop, transactionSource } from './reading';
import { WriteProgress } from './write-scope';
import type { WriteScope } from './write-scope';

/** The steps of a write command in a scope. */
type WriteWork = (scope: WriteScope) => WriteSteps<Document>;

/**
 * Runs a write command: in the open transaction, or as a job of the writer, where a retried command returns its
 * recorded reply. Resolves when the write is durable (in a transaction: when it is recorded in it).
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
    timeSliceIsOver: transaction ? turns() : () => engine.writer.timeSliceIsOver,
    find: (database, name) =>
      transaction ? transaction.find(database, name) : engine.catalog.find(database, name),
  };
}

/** Milliseconds that a write of a transaction runs before it lets others run; the writer does not measure it. */
const SLICE_MS = 8;

function turns(): () => boolean {
  let end = performance.now() + SLICE_MS;
  return () => {
    const now = performance.now();
    if (now <= end) return false;
    end = now + SLICE_MS;
    return true;
  };
}

/** A scope for changes that the store makes by itself, inside the writer. */
export function plainScope(engine: Engine): WriteScope {
  return {
    engine,
    target: engine.records,
    source: { view: {} },
    now: new Date(),
    bypassValidation: true,
    progress: new WriteProgress(),
    timeSliceIsOver: () => engine.writer.timeSliceIsOver,
    find: (database, name) => engine.catalog.find(database, name),
  };
}

/** The job of a write outside of transactions: executed once, however often it is sent with the same number. */
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
      engine.writer.markChanged();
      return bytes;
    }
    if (scope.progress.next > 0) {
      engine.retries.store(session.id, txnNumber, encode(scope.progress.toDocument()), false);
      engine.writer.markChanged();
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
      await (step.value ?? yieldToEventLoop());
    }
  } catch (error) {
    transaction?.abort();
    throw error;
  }
}

/** A collection that a transaction inserts into is created before, and removed again if the transaction aborts. */
async function createForTransaction(context: CommandContext, name: string): Promise<void> {
  const { engine, database, transaction } = context;
  if (transaction?.find(database, name)) return;
  const created = await engine.writer.submit(function* (): WriteSteps<Collection | undefined> {
    yield* [];
    return engine.catalog.find(database, name) ? undefined : engine.catalog.create(database, name, new Map());
  });
  if (created) transaction?.created.add(created);
}
