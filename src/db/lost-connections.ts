import { MongoError, MongoNetworkError, MongoServerError, type ClientSession } from 'mongodb';

/*
 * `withTransaction` runs a transaction or its commit again after the connection was lost, if the driver has labelled the
 * error. The driver omits the label if several connections are lost at the same time, or if none can be had because
 * another one was lost a moment ago. Without it a message could be stored although its sender gets an error, and nobody
 * would be told of it.
 */

/** Lets the transaction run again if its work has failed because the connection was lost. */
export function retryLostWork<Result>(work: Promise<Result>): Promise<Result> {
  return labelled(work, 'TransientTransactionError');
}

/** Lets the commits of a session be repeated until their outcome is known if the connection is lost. */
export function retryLostCommits(session: ClientSession): void {
  const commitTransaction = session.commitTransaction.bind(session);
  session.commitTransaction = (options) =>
    labelled(commitTransaction(options), 'UnknownTransactionCommitResult');
}

async function labelled<Result>(work: Promise<Result>, label: string): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof MongoError && isConnectionLost(error)) error.addErrorLabel(label);
    throw error;
  }
}

/** Whether an error is that of a lost connection, or contains it, as the error of a bulk write does. */
function isConnectionLost(error: MongoError): boolean {
  if (error instanceof MongoNetworkError) return true;
  return error instanceof MongoServerError && error.errorResponse instanceof MongoNetworkError;
}
