import { MongoServerError, type ClientSession, type Db, type Document } from 'mongodb';

/**
 * How all documents are read as they were at one moment:
 *
 * - `snapshot`: reads of one point in time, on replica sets since MongoDB 5.0 and on the embedded store. MongoDB keeps the
 *   history for five minutes (`minSnapshotHistoryWindowInSeconds`), the embedded store for as long as the backup takes;
 * - `transaction`: one transaction, on replica sets of MongoDB 4.4, which may last a minute
 *   (`transactionLifetimeLimitSeconds`);
 * - `stopped`: a standalone server has neither, so no node may be running.
 */
export type Consistency = 'snapshot' | 'transaction' | 'stopped';

/** The wire version of MongoDB 5.0. */
const SNAPSHOT_WIRE_VERSION = 13;
const BATCH_SIZE = 1000;

const SNAPSHOT_TOO_OLD = 239;
const SNAPSHOT_UNAVAILABLE = 246;
const NO_SUCH_TRANSACTION = 251;

/** Reads documents as they were at one moment. */
export interface DocumentReader {
  /** Returns the documents of a collection as BSON. */
  documents(collection: string, filter: Document): AsyncIterable<Buffer>;
}

/** Chooses how to read. @param hello the answer of the server to `hello`. */
export function consistencyOf(hello: Document): Consistency {
  if (!('setName' in hello) && hello['msg'] !== 'isdbgrid') return 'stopped';
  return Number(hello['maxWireVersion']) >= SNAPSHOT_WIRE_VERSION ? 'snapshot' : 'transaction';
}

/**
 * Runs work that reads documents as they are now, whatever is written meanwhile.
 * @throws Error that says what to do, when a node is running without a snapshot, or the server no longer has the snapshot.
 */
export async function readConsistently<Result>(
  db: Db,
  consistency: Consistency,
  work: (reader: DocumentReader) => Promise<Result>,
): Promise<Result> {
  if (consistency === 'stopped') return readWhileStopped(db, work);
  const session = db.client.startSession(
    consistency === 'snapshot' ? { snapshot: true } : { causalConsistency: false },
  );
  try {
    if (consistency === 'transaction') session.startTransaction({ readConcern: { level: 'snapshot' } });
    return await work(readerOf(db, session));
  } catch (error) {
    throw explained(error, consistency);
  } finally {
    await release(db, session);
  }
}

/** Releases the snapshot or the transaction. Failures are left to the server, which releases both after a while. */
async function release(db: Db, session: ClientSession): Promise<void> {
  const { id } = session;
  await session.endSession().catch(() => undefined);
  // The driver keeps the session for later use, and with it a snapshot of the embedded store.
  if (id)
    await db
      .admin()
      .command({ endSessions: [id] })
      .catch(() => undefined);
}

function readerOf(db: Db, session: ClientSession | undefined): DocumentReader {
  return {
    documents: (collection, filter) => {
      // Without its own read concern, the one of the client would be used. The driver adds the time of the snapshot to it.
      const readConcern = session?.snapshotEnabled ? { readConcern: { level: 'snapshot' as const } } : {};
      const options = { raw: true, batchSize: BATCH_SIZE, ...(session && { session }), ...readConcern };
      return db.collection(collection).find<Buffer>(filter, options);
    },
  };
}

async function readWhileStopped<Result>(
  db: Db,
  work: (reader: DocumentReader) => Promise<Result>,
): Promise<Result> {
  await requireNoNodes(
    db,
    'This MongoDB server is not a replica set, so it has no snapshots: stop all nodes of Parley for the time of the backup, ' +
      'or convert the server to a replica set.',
  );
  const result = await work(readerOf(db, undefined));
  await requireNoNodes(
    db,
    'A node of Parley was started during the backup, which is therefore inconsistent.',
  );
  return result;
}

/** Checks that no node uses a database. @throws Error with the message when one does. */
export async function requireNoNodes(db: Db, message: string): Promise<void> {
  const alive = await db.collection('nodes').findOne({ $expr: { $gt: ['$aliveUntil', '$$NOW'] } });
  if (alive) throw new Error(message);
}

function explained(error: unknown, consistency: Consistency): unknown {
  if (!(error instanceof MongoServerError)) return error;
  const { code } = error;
  if (code === SNAPSHOT_UNAVAILABLE && consistency === 'snapshot') {
    return new Error('A collection or an index was changed during the backup. Run the backup again.', {
      cause: error,
    });
  }
  if (code === SNAPSHOT_TOO_OLD) {
    return new Error(
      'Reading the documents took longer than MongoDB keeps its history. Raise it, for example to an hour: ' +
        'db.adminCommand({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 3600 })',
      { cause: error },
    );
  }
  if (consistency === 'transaction' && code === NO_SUCH_TRANSACTION) {
    return new Error(
      'Reading the documents took longer than a transaction may last. Raise the limit, for example to an hour: ' +
        'db.adminCommand({ setParameter: 1, transactionLifetimeLimitSeconds: 3600 }). MongoDB 5.0 does not need it.',
      { cause: error },
    );
  }
  return error;
}
