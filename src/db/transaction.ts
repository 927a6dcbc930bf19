import { AsyncLocalStorage } from 'node:async_hooks';
import type { AbstractCursor, ClientSession, Collection, Document, MongoClient } from 'mongodb';

/** One try of a transaction. */
interface Unit {
  session: ClientSession;
  /** False from the moment its work is done: what runs on behind it is no longer part of it. */
  open: boolean;
  /** The end of the operations so far: a session takes one at a time. */
  turn: Promise<unknown>;
}

/** What a call of `run` leaves behind it, over all of its tries. */
interface Scope {
  effects: (() => Promise<void>)[];
  settled: Promise<void>;
}

/** The transaction that a chain of calls is part of: passed along by Node.js, so that nobody has to. */
const current = new AsyncLocalStorage<{ scope: Scope; unit: Unit | undefined } | undefined>();

/**
 * Runs several writes as one: all of them or none.
 *
 * A standalone MongoDB server has no transactions: there the writes are made one by one, in an order in which a
 * crash in between does no harm.
 */
export interface Transactions {
  /**
   * Whatever `work` does on the collections belongs to the transaction, however deep in the calls; `run` in a
   * transaction is part of that one. `work` runs again when another transaction was in the way, so it must have
   * no effect but its writes and what it leaves to `afterCommit`. It must not catch the error of an operation
   * and go on: after one failed, nothing can be committed.
   */
  run<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Does something to the outside (events, mail) after the commit; at once when there is no transaction. */
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
    run: async (work) => {
      if (current.getStore()) return work();
      let settle = () => {};
      const settled = new Promise<void>((resolve) => (settle = resolve));
      const scope: Scope = { effects: [], settled };
      try {
        const result = supported
          ? await client.withSession((session) => commit(session, scope, work))
          : await current.run({ scope, unit: undefined }, work);
        for (const effect of scope.effects) await effect();
        return result;
      } finally {
        settle();
      }
    },
    afterCommit: async (effect) => {
      const scope = current.getStore()?.scope;
      if (scope) scope.effects.push(() => current.run(undefined, effect));
      else await effect();
    },
    outside: (work) => current.run(undefined, work),
    settled: () => current.getStore()?.scope.settled,
  };
}

function commit<Result>(session: ClientSession, scope: Scope, work: () => Promise<Result>): Promise<Result> {
  const attempt = async () => {
    const unit: Unit = { session, open: true, turn: Promise.resolve() };
    scope.effects = [];
    try {
      return await current.run({ scope, unit }, work);
    } finally {
      unit.open = false;
      await unit.turn.catch(() => undefined);
    }
  };
  return session.withTransaction(attempt, {
    readConcern: { level: 'snapshot' },
    writeConcern: { w: 'majority', journal: true },
  });
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

/** A collection whose operations belong to the transaction that their caller is part of. */
export function inTransactions<Schema extends Document>(collection: Collection<Schema>): Collection<Schema> {
  return new Proxy(collection, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      const optionsAt = OPTIONS_AT[name as keyof Collection];
      if (typeof value !== 'function' || optionsAt === undefined) return value;
      const operation = value as (...parameters: unknown[]) => unknown;
      return (...parameters: unknown[]) => {
        const unit = openUnit();
        if (!unit) return operation.apply(target, parameters);
        parameters[optionsAt] = { ...(parameters[optionsAt] as object | undefined), session: unit.session };
        if (name === 'find' || name === 'aggregate') {
          return takingTurns(operation.apply(target, parameters) as AbstractCursor, unit);
        }
        return inTurn(unit, () => operation.apply(target, parameters) as Promise<unknown>);
      };
    },
  });
}

function openUnit(): Unit | undefined {
  const unit = current.getStore()?.unit;
  return unit?.open ? unit : undefined;
}

const READS_OF_CURSOR = new Set<string | symbol>(['toArray', 'next', 'tryNext', 'hasNext', 'close']);

/** A cursor that waits for its turn in the session. */
function takingTurns(cursor: AbstractCursor, unit: Unit): AbstractCursor {
  const proxy: AbstractCursor = new Proxy(cursor, {
    get(target, name) {
      if (name === Symbol.asyncIterator) {
        return async function* () {
          const documents = await inTurn(unit, () => target.toArray());
          yield* documents;
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const method = value as (...parameters: unknown[]) => unknown;
      if (READS_OF_CURSOR.has(name)) {
        return (...parameters: unknown[]) =>
          inTurn(unit, () => method.apply(target, parameters) as Promise<unknown>);
      }
      return (...parameters: unknown[]) => {
        const result = method.apply(target, parameters);
        return result === target ? proxy : result;
      };
    },
  });
  return proxy;
}

function inTurn<Result>(unit: Unit, operation: () => Promise<Result>): Promise<Result> {
  const result = unit.turn.then(operation, operation);
  unit.turn = result;
  return result;
}
