import { Double } from 'bson';
import { encode } from '../bson/codec';
import type { Document } from '../bson/types';
import type { Engine } from '../engine';
import type { Collection } from '../storage/catalog';
import type { WriteTarget } from '../storage/records';
import type { Source } from '../storage/selection-spec';
import type { WriteSteps } from '../storage/writer';
import type { Transaction } from '../session/transaction';
import type { CommandContext } from './command';
import type { Namespace } from './namespaces';
import { yieldToEventLoop, transactionSource } from './reading';
import { WriteProgress } from './write-scope';
import type { WriteScope } from './write-scope';

/** The steps of a write command in a scope. */
type WriteWork = (scope: WriteScope) => WriteSteps<Document>;

/**
 * Runs a write command: in the open transaction, or as a job of the writer, where a retried command returns its
 * recorded reply. Resolves when the write is durable (in a transaction: when it is recorded in it).
 * @param created the collections that it creates if they do not exist.
 */
export async function runWrite(
  context: CommandContext,
  created: readonly Namespace[],
  work: WriteWork,
): Promise<Document | Uint8Array> {
  const { engine, transaction } = context;
  if (transaction) {
    const missing = created.filter(({ database, name }) => !transaction.find(database, name));
    if (missing.length > 0) await createForTransaction(engine, transaction, missing);
    return runInTransaction(transaction, scopeOf(context, transaction, transactionSource(transaction)), work);
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

/** An error may be due to a write that is not durable yet, such as the other document with a unique key. */
async function runInTransaction(
  transaction: Transaction,
  scope: WriteScope,
  work: WriteWork,
): Promise<Document> {
  try {
    const steps = work(scope);
    for (;;) {
      const step = steps.next();
      if (step.done) {
        if (!scope.progress.hasErrors) return step.value;
        transaction.abort();
        await scope.engine.environment.flush();
        return step.value;
      }
      await (step.value ?? yieldToEventLoop());
    }
  } catch (error) {
    transaction.abort();
    await scope.engine.environment.flush();
    throw error;
  }
}

/** Collections that a transaction inserts into are created before, and removed again if the transaction aborts. */
async function createForTransaction(
  engine: Engine,
  transaction: Transaction,
  missing: readonly Namespace[],
): Promise<void> {
  const created = await engine.writer.submit(function* (): WriteSteps<Collection[]> {
    yield* [];
    const { catalog } = engine;
    return missing
      .filter(({ database, name }) => !catalog.find(database, name))
      .map(({ database, name }) => catalog.create(database, name, new Map()));
  });
  for (const collection of created) transaction.created.add(collection);
}
