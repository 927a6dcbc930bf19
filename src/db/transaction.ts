import { AsyncLocalStorage } from 'node:async_hooks';
import {
  ObjectId,
  type AbstractCursor,
  type ClientSession,
  type Collection,
  type Document,
  type Filter,
  type MongoClient,
} from 'mongodb';

/** One try of a transaction. */
interface Attempt {
  /** Undefined on a server without transactions. */
  session: ClientSession | undefined;
  /** False from the moment its work is done: what runs on behind it is no longer part of it. */
  open: boolean;
  /** The end of the operations so far: a session takes one at a time. */
  turn: Promise<unknown>;
  /** What is left to write when its work is done. */
  endings: (() => Promise<void>)[];
  /** Those who are to be told that something has been written, as soon as it can be seen. */
  watchers: Set<() => void>;
  /** What is left to do when it has been committed. */
  effects: (() => Promise<void>)[];
  /** The end of the whole, over all of its tries. */
  settled: Promise<void>;
}

/** The attempt that a chain of calls is part of: passed along by Node.js, so that nobody has to. */
const chain = new AsyncLocalStorage<Attempt | undefined>();

function current(): Attempt | undefined {
  const attempt = chain.getStore();
  return attempt?.open ? attempt : undefined;
}

/**
 * Runs several writes as one: all of them or none.
 *
 * A standalone MongoDB server has no transactions: there the writes are made one by one, in an order in which a
 * crash in between does no harm.
 */
export interface Transactions {
  /** False on a server that has none. */
  readonly supported: boolean;
  /**
   * Whatever `work` does on the collections belongs to the transaction, however deep in the calls; `run` in a
   * transaction is part of that one. `work` runs again when another transaction was in the way, so it must have
   * no effect but its writes and what it leaves to `afterCommit`. It must not catch the error of an operation
   * and go on: after one failed, nothing can be committed.
   */
  run<Result>(work: () => Promise<Result>): Promise<Result>;
  /**
   * Writes something as the last part of the transaction; at once when there is none. It is for a document that
   * many transactions write: taken last, it is held for the shortest time, and by nobody who waits for others.
   */
  beforeCommit(ending: () => Promise<void>): Promise<void>;
  /**
   * Does something to the outside (events, mail) after the commit; at once when there is no transaction. One
   * that fails does not keep the others from being done; `run` then fails with its error, though it is committed.
   */
  afterCommit(effect: () => Promise<void>): Promise<void>;
  /** Runs work that is part of no transaction, whoever calls. */
  outside<Result>(work: () => Result): Result;
  /**
   * The end of the transaction that the caller is part of, with its effects done, committed or not; undefined
   * when there is none.
   */
  settled(): Promise<void> | undefined;
}

export async function createTransactions(client: MongoClient): Promise<Transactions> {
  const hello = await client.db('admin').command({ hello: 1 });
  const supported = 'setName' in hello || hello['msg'] === 'isdbgrid';
  return {
    supported,
    run: async (work) => {
      if (current()) return work();
      let settle = () => {};
      const settled = new Promise<void>((resolve) => (settle = resolve));
      const watchers = new Set<() => void>();
      try {
        const running = supported
          ? client.withSession((session) => commit({ session, settled, watchers }, work))
          : attempt({ session: undefined, settled, watchers }, work);
        // After a failure, too: it may have been on the way back.
        const { result, effects } = await running.finally(() => {
          for (const watcher of watchers) watcher();
        });
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
    afterCommit: async (effect) => {
      const attempt = current();
      if (attempt) attempt.effects.push(() => chain.run(undefined, effect));
      else await effect();
    },
    outside: (work) => chain.run(undefined, work),
    settled: () => current()?.settled,
  };
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
  return frame.session.withTransaction(() => attempt(frame, work), {
    readConcern: { level: 'snapshot' },
    writeConcern: { w: 'majority', journal: true },
  });
}

async function attempt<Result>(
  frame: Frame & { session: ClientSession | undefined },
  work: () => Promise<Result>,
): Promise<Done<Result>> {
  const one: Attempt = { ...frame, open: true, turn: Promise.resolve(), endings: [], effects: [] };
  try {
    const result = await chain.run(one, async () => {
      const done = await work();
      for (const ending of one.endings) await ending();
      return done;
    });
    return { result, effects: one.effects };
  } finally {
    one.open = false;
    await one.turn.catch(() => undefined);
  }
}

async function doAll(effects: Attempt['effects']): Promise<void> {
  const failures: unknown[] = [];
  for (const effect of effects) await effect().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** Where each operation of a collection takes its options. */
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

/** Names the operation of a collection that locks a document. */
const LOCK = Symbol('lock');

type Locking<Schema> = (filter: Filter<Schema>) => Promise<Schema | null>;

/**
 * Locks a document until the end of the transaction that the caller is part of. It is for a decision that rests on
 * a document which the transaction does not write otherwise: of two transactions that lock or write the same
 * document one fails and runs again, so neither decides by what the other one has just changed.
 *
 * A lock is a write of a field that means nothing (`lock`), as MongoDB's manual recommends it in place of
 * `SELECT … FOR UPDATE`. It changes nobody's rights, so what is kept in memory of them stays. A document that is not
 * there cannot be locked: whoever makes one has to lock or write another document that both sides know.
 *
 * A server without transactions has no locks. There this is a plain read, and only the queue of the group or channel
 * keeps two writes of the same process apart.
 * @returns the document as it is now; null if there is none.
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
    if (!attempt) throw new Error('A lock takes a transaction: it holds until the end of it.');
    const { session } = attempt;
    if (!session) return collection.findOne(filter);
    return inTurn(attempt, () =>
      collection.findOneAndUpdate(
        filter,
        { $set: { lock: new ObjectId() } },
        { returnDocument: 'after', session },
      ),
    );
  };
}

const READS = new Set<string | symbol>(['find', 'findOne', 'aggregate', 'countDocuments', 'distinct']);

/**
 * A collection whose operations belong to the transaction that their caller is part of.
 * @param written is called behind each write, when it can be seen and before its caller goes on.
 */
export function inTransactions<Schema extends Document>(
  collection: Collection<Schema>,
  written?: () => void,
): Collection<Schema> {
  return new Proxy(collection, {
    get(target, name) {
      if (name === LOCK) return lockingOf(target as unknown as Collection);
      const value: unknown = Reflect.get(target, name, target);
      const optionsAt = OPTIONS_AT[name as keyof Collection];
      if (typeof value !== 'function' || optionsAt === undefined) return value;
      const operation = value as (...parameters: unknown[]) => unknown;
      return (...parameters: unknown[]) => {
        const attempt = current();
        const watcher = READS.has(name) ? undefined : written;
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
          return takingTurns(operation.apply(target, parameters) as AbstractCursor, attempt);
        }
        return inTurn(attempt, () => operation.apply(target, parameters) as Promise<unknown>);
      };
    },
  });
}

const READS_OF_CURSOR = new Set<string | symbol>(['toArray', 'next', 'tryNext', 'hasNext', 'close']);

/** A cursor that waits for its turn in the session. */
function takingTurns(cursor: AbstractCursor, attempt: Attempt): AbstractCursor {
  const proxy: AbstractCursor = new Proxy(cursor, {
    get(target, name) {
      if (name === Symbol.asyncIterator) {
        return async function* () {
          const documents = await inTurn(attempt, () => target.toArray());
          yield* documents;
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const method = value as (...parameters: unknown[]) => unknown;
      if (READS_OF_CURSOR.has(name)) {
        return (...parameters: unknown[]) =>
          inTurn(attempt, () => method.apply(target, parameters) as Promise<unknown>);
      }
      return (...parameters: unknown[]) => {
        const result = method.apply(target, parameters);
        return result === target ? proxy : result;
      };
    },
  });
  return proxy;
}

function inTurn<Result>(attempt: Attempt, operation: () => Promise<Result>): Promise<Result> {
  // Its session may be in the next attempt by now, which this must not become part of.
  if (!attempt.open) return Promise.reject(new Error('The transaction of this cursor has ended.'));
  const result = attempt.turn.then(operation, operation);
  attempt.turn = result;
  return result;
}
