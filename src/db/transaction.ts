import { AsyncLocalStorage } from 'node:async_hooks';
import {
  MongoBulkWriteError,
  MongoClientBulkWriteError,
  MongoServerError,
  ObjectId,
  type AbstractCursor,
  type ClientSession,
  type Collection,
  type Document,
  type Filter,
  type MongoClient,
} from 'mongodb';
import { retryLostCommits, retryLostWork } from './lost-connections';
import {
  toClientModel,
  toCollectionModel,
  WriteRefused,
  type ListedWrite,
  type WriteList,
} from './write-list';

/** Runs after a write, when it is visible and before its caller continues. It must not fail. */
export type Watcher = () => void | Promise<void>;

/** One attempt of a transaction. */
interface Attempt {
  /** Undefined on a server without transactions. */
  session: ClientSession | undefined;
  /** False after its work is done: an operation that is still running then is no longer part of it. */
  open: boolean;
  /** Resolves when the operations so far have ended: a session runs one at a time. */
  lastOperation: Promise<unknown>;
  /** Writes to make after its work, before the commit. */
  endings: (() => Promise<void>)[];
  /** Callbacks that run as soon as the writes are visible, and before the caller continues. */
  watchers: Set<Watcher>;
  /** Effects to run after the commit. */
  effects: (() => Promise<void>)[];
  /** Resolves at the end of the whole transaction, after all of its attempts. */
  settled: Promise<void>;
}

/** The attempt that the current asynchronous context is part of, so that callers need not pass a session. */
const currentAttempt = new AsyncLocalStorage<Attempt | undefined>();

function current(): Attempt | undefined {
  const attempt = currentAttempt.getStore();
  return attempt?.open ? attempt : undefined;
}

/**
 * Runs several writes as one: all of them or none.
 *
 * A standalone MongoDB server has no transactions: there the writes are made one by one, in an order in which a
 * crash in between does no harm.
 */
export interface Transactions {
  /** False on a server without transactions. */
  readonly supported: boolean;
  /**
   * All operations of `work` on the collections belong to the transaction, however deep in the calls; a nested `run`
   * joins it. `work` runs again after a conflict with another transaction, so it must have no effect except its writes
   * and its `afterCommit` effects. It must not catch the error of an operation and continue: after a failed operation,
   * nothing can be committed.
   */
  run<Result>(work: () => Promise<Result>): Promise<Result>;
  /**
   * Runs a write as the last one of the transaction, or at once outside of a transaction. It is for a document that many
   * transactions write: written last, it is locked for the shortest time, and never while waiting for another lock.
   */
  beforeCommit(ending: () => Promise<void>): Promise<void>;
  /**
   * Runs an external effect (an event, a mail) after the commit, or at once outside of a transaction. A failed effect
   * does not prevent the others; `run` then rejects with its error, although the transaction is committed.
   */
  afterCommit(effect: () => Promise<void>): Promise<void>;
  /**
   * Writes to several collections: with one command, on a server that has `bulkWrite` (MongoDB 8.0 and the embedded
   * store), and otherwise with one or more for each collection. Part of the caller's transaction.
   * @throws WriteRefused for the first write that the server refuses.
   */
  write(list: WriteList<unknown>): Promise<void>;
  /** Runs work outside of the transaction of its caller. */
  outside<Result>(work: () => Result): Result;
  /**
   * Resolves when the transaction of the caller has ended, committed or not, and its effects have run; undefined outside
   * of a transaction.
   */
  settled(): Promise<void> | undefined;
}

/** @param useBulkWrite false writes lists with one command for each collection, as on servers without `bulkWrite`. */
export async function createTransactions(client: MongoClient, useBulkWrite = true): Promise<Transactions> {
  const hello = await client.db('admin').command({ hello: 1 });
  const supported = 'setName' in hello || hello['msg'] === 'isdbgrid';
  const hasBulkWrite = useBulkWrite && (await supportsBulkWrite(client, Number(hello['maxWireVersion'])));
  return {
    supported,
    run: async (work) => {
      if (current()) return work();
      let settle = () => {};
      const settled = new Promise<void>((resolve) => (settle = resolve));
      const watchers = new Set<Watcher>();
      try {
        const running = supported
          ? client.withSession((session) => commit({ session, settled, watchers }, work))
          : attempt({ session: undefined, settled, watchers }, work);
        // Also after a failure: the commit may have succeeded although its answer was lost.
        const { result, effects } = await running.finally(() => callAll(watchers));
        await doAll(effects);
        return result;
      } finally {
        settle();
      }
    },
    beforeCommit: async (ending) => {
      const attempt = current();
      if (attempt) attempt.endings.push(ending);
      else await ending();
    },
    afterCommit: (effect) => {
      const attempt = current();
      if (!attempt) return effect();
      attempt.effects.push(() => currentAttempt.run(undefined, effect));
      return Promise.resolve();
    },
    write: async (list) => {
      if (hasBulkWrite) await writeTogether(client, list.all);
      else for (const writes of list.collections) await writeToCollection(writes);
    },
    outside: (work) => currentAttempt.run(undefined, work),
    settled: () => current()?.settled,
  };
}

/** The wire version of MongoDB 8.0. */
const BULK_WRITE_WIRE_VERSION = 25;
const INVALID_LENGTH = 16;

/**
 * Whether the server has the `bulkWrite` command. A server of version 8.0 refuses it as long as its feature compatibility
 * version is an older one. Then the answer to a command without operations is another error.
 */
async function supportsBulkWrite(client: MongoClient, wireVersion: number): Promise<boolean> {
  if (!(wireVersion >= BULK_WRITE_WIRE_VERSION)) return false;
  try {
    await client.db('admin').command({ bulkWrite: 1, ops: [], nsInfo: [] });
    return true;
  } catch (error) {
    if (error instanceof MongoServerError) return error.code === INVALID_LENGTH;
    throw error;
  }
}

/** Sends writes to several collections as one command. */
async function writeTogether(client: MongoClient, writes: readonly ListedWrite<unknown>[]): Promise<void> {
  if (writes.length === 0) return;
  const models = writes.map(toClientModel);
  const attempt = current();
  const watchers = new Set(writes.flatMap(({ collection }) => watcherOf(collection) ?? []));
  for (const watcher of watchers) attempt?.watchers.add(watcher);
  const session = attempt?.session;
  try {
    if (session) await serialised(attempt, () => client.bulkWrite(models, { session }));
    else await client.bulkWrite(models);
  } catch (error) {
    if (!(error instanceof MongoClientBulkWriteError)) throw error;
    const [first] = error.writeErrors;
    const refused = first && writes[first[0]];
    if (refused) throw new WriteRefused(refused, first[1], error);
    // The driver wraps the error of a command. Only the error itself says whether the transaction may run again.
    throw error.cause ?? error;
  } finally {
    if (!session) await callAll(watchers);
  }
}

/** Sends writes to one collection. */
async function writeToCollection(writes: readonly ListedWrite<unknown>[]): Promise<void> {
  try {
    await writes[0]!.collection.bulkWrite(writes.map(toCollectionModel));
  } catch (error) {
    const [first] = error instanceof MongoBulkWriteError ? [error.writeErrors].flat() : [];
    const refused = first && writes[first.index];
    if (refused) throw new WriteRefused(refused, { code: first.code, message: first.errmsg ?? '' }, error);
    throw error;
  }
}

interface Done<Result> {
  result: Result;
  effects: Attempt['effects'];
}

type Frame = Pick<Attempt, 'settled' | 'watchers'>;

function commit<Result>(
  frame: Frame & { session: ClientSession },
  work: () => Promise<Result>,
): Promise<Done<Result>> {
  retryLostCommits(frame.session);
  return frame.session.withTransaction(() => retryLostWork(attempt(frame, work)), {
    readConcern: { level: 'snapshot' },
    writeConcern: { w: 'majority', journal: true },
  });
}

async function attempt<Result>(
  frame: Frame & { session: ClientSession | undefined },
  work: () => Promise<Result>,
): Promise<Done<Result>> {
  const one: Attempt = { ...frame, open: true, lastOperation: Promise.resolve(), endings: [], effects: [] };
  try {
    const result = await currentAttempt.run(one, async () => {
      const done = await work();
      for (const ending of one.endings) await ending();
      return done;
    });
    return { result, effects: one.effects };
  } finally {
    one.open = false;
    await one.lastOperation.catch(() => undefined);
  }
}

/** Calls watchers at once, and waits for those that are asynchronous. */
function callAll(watchers: ReadonlySet<Watcher>): Promise<unknown> | undefined {
  if (watchers.size === 0) return undefined;
  return Promise.all([...watchers].map(async (watcher) => watcher()));
}

async function doAll(effects: Attempt['effects']): Promise<void> {
  const failures: unknown[] = [];
  for (const effect of effects) await effect().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** The index of the options among the parameters of each operation of a collection. */
const OPTIONS_AT: Partial<Record<keyof Collection, number>> = {
  find: 1,
  findOne: 1,
  aggregate: 1,
  countDocuments: 1,
  distinct: 2,
  insertOne: 1,
  insertMany: 1,
  updateOne: 2,
  updateMany: 2,
  replaceOne: 2,
  deleteOne: 1,
  deleteMany: 1,
  findOneAndUpdate: 2,
  findOneAndReplace: 2,
  findOneAndDelete: 1,
  bulkWrite: 1,
};

/** The property of a collection that locks a document. */
const LOCK = Symbol('lock');
/** The property of a collection that runs after each write to it. */
const WRITTEN = Symbol('written');

function watcherOf(collection: Collection): (() => void) | undefined {
  return (collection as unknown as { [WRITTEN]?: () => void })[WRITTEN];
}

type Locking<Schema> = (filter: Filter<Schema>) => Promise<Schema | null>;

/**
 * Locks a document until the end of the caller's transaction. A decision requires it when it rests on a document that
 * the transaction does not write otherwise: of two transactions that lock or write the same document, one fails and
 * runs again, so that neither decides on a state that the other one has just changed.
 *
 * A lock is a write of a field without meaning (`lock`), which MongoDB's manual recommends in place of
 * `SELECT … FOR UPDATE`. It changes no rights, so cached rights stay valid. A document that does not exist cannot be
 * locked: lock or write another document that both transactions use.
 *
 * A server without transactions has no locks. There this is a plain read, and only the queue of the group or channel
 * serialises two writes of the same process.
 * @returns the current document; null if it does not exist.
 * @throws Error outside of a transaction
 */
export function lock<Schema extends Document>(
  collection: Collection<Schema>,
  filter: Filter<Schema>,
): Promise<Schema | null> {
  const { [LOCK]: locking } = collection as unknown as { [LOCK]: Locking<Schema> };
  return locking(filter);
}

function lockingOf(collection: Collection): Locking<Document> {
  return async (filter) => {
    const attempt = current();
    if (!attempt) throw new Error('A lock requires a transaction: it lasts until its end.');
    const { session } = attempt;
    if (!session) return collection.findOne(filter);
    return serialised(attempt, () =>
      collection.findOneAndUpdate(
        filter,
        { $set: { lock: new ObjectId() } },
        { returnDocument: 'after', session },
      ),
    );
  };
}

const READS = new Set<string | symbol>(['find', 'findOne', 'aggregate', 'countDocuments', 'distinct']);

/** Whether a write of a collection concerns whoever watches its writes. */
export type Concerns = (operation: string, parameters: readonly unknown[]) => boolean;

/**
 * Wraps a collection, so that its operations belong to the transaction of their caller.
 * @param written runs after each write, when it is visible and before the caller continues.
 * @param concerns returns whether `written` runs after a write; by default after all.
 */
export function inTransactions<Schema extends Document>(
  collection: Collection<Schema>,
  written?: Watcher,
  concerns: Concerns = () => true,
): Collection<Schema> {
  return new Proxy(collection, {
    get(target, name) {
      if (name === WRITTEN) return written;
      if (name === LOCK) return lockingOf(target as unknown as Collection);
      const value: unknown = Reflect.get(target, name, target);
      const optionsAt = OPTIONS_AT[name as keyof Collection];
      if (typeof value !== 'function' || optionsAt === undefined) return value;
      const operation = value as (...parameters: unknown[]) => unknown;
      return (...parameters: unknown[]) => {
        const attempt = current();
        const watcher = READS.has(name) || !concerns(name as string, parameters) ? undefined : written;
        if (watcher) attempt?.watchers.add(watcher);
        if (!attempt?.session) {
          const result = operation.apply(target, parameters);
          return watcher ? (result as Promise<unknown>).finally(watcher) : result;
        }
        parameters[optionsAt] = {
          ...(parameters[optionsAt] as object | undefined),
          session: attempt.session,
        };
        if (name === 'find' || name === 'aggregate') {
          return serialisedCursor(operation.apply(target, parameters) as AbstractCursor, attempt);
        }
        return serialised(attempt, () => operation.apply(target, parameters) as Promise<unknown>);
      };
    },
  });
}

const READS_OF_CURSOR = new Set<string | symbol>(['toArray', 'next', 'tryNext', 'hasNext', 'close']);

/** Wraps a cursor, so that its reads wait for the other operations of the session. */
function serialisedCursor(cursor: AbstractCursor, attempt: Attempt): AbstractCursor {
  const proxy: AbstractCursor = new Proxy(cursor, {
    get(target, name) {
      if (name === Symbol.asyncIterator) {
        return async function* () {
          const documents = await serialised(attempt, () => target.toArray());
          yield* documents;
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const method = value as (...parameters: unknown[]) => unknown;
      if (READS_OF_CURSOR.has(name)) {
        return (...parameters: unknown[]) =>
          serialised(attempt, () => method.apply(target, parameters) as Promise<unknown>);
      }
      return (...parameters: unknown[]) => {
        const result = method.apply(target, parameters);
        return result === target ? proxy : result;
      };
    },
  });
  return proxy;
}

/** Runs an operation after the others of its session. */
function serialised<Result>(attempt: Attempt, operation: () => Promise<Result>): Promise<Result> {
  // The session may already run the next attempt, of which this operation is no part.
  if (!attempt.open) return Promise.reject(new Error('The transaction of this cursor has ended.'));
  const result = attempt.lastOperation.then(operation, operation);
  attempt.lastOperation = result;
  return result;
}
