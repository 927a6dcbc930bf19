import type { ClientSession, MongoClient } from 'mongodb';

/**
 * Runs several writes as one: all of them or none. Every operation in `work` must be given the session.
 * `work` runs again when another transaction was in the way, so it must have no effect but its writes.
 *
 * A standalone MongoDB server has no transactions: there `work` runs without a session, and writes in an order
 * in which a crash in between does no harm.
 */
export type RunTransaction = <Result>(
  work: (session: ClientSession | undefined) => Promise<Result>,
) => Promise<Result>;

export async function createTransactionRunner(client: MongoClient): Promise<RunTransaction> {
  const hello = await client.db('admin').command({ hello: 1 });
  const supported = 'setName' in hello || hello['msg'] === 'isdbgrid';
  if (!supported) return (work) => work(undefined);
  return (work) =>
    client.withSession((session) =>
      session.withTransaction(() => work(session), {
        readConcern: { level: 'snapshot' },
        writeConcern: { w: 'majority', journal: true },
      }),
    );
}
