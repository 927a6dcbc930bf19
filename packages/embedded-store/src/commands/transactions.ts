import { Double } from 'bson';
import { encode } from '../bson/codec';
import { StoreError } from '../errors';
import { noSuchTransaction } from '../session/transaction';
import type { Command, CommandContext, Reply } from './command';

function number(context: CommandContext): bigint {
  const { session, txnNumber } = context;
  if (!session || txnNumber === undefined) {
    throw new StoreError('InvalidOptions', 'the command must be run within a transaction');
  }
  return txnNumber;
}

/** https://www.mongodb.com/docs/manual/reference/command/commitTransaction/ */
export const commitTransactionCommand: Command = {
  adminOnly: true,
  async run(context) {
    const txnNumber = number(context);
    const { session, engine } = context;
    if (!session) throw noSuchTransaction(txnNumber);
    await session.committing;
    const transaction = session.last(txnNumber);
    if (!transaction) return committedBefore(context, session.id, txnNumber);
    if (transaction.state === 'committed') return new Map();
    if (transaction.state === 'aborted') throw noSuchTransaction(txnNumber);
    const reply = encode(new Map([['ok', new Double(1)]]));
    const commit = transaction.commit(() => {
      engine.retries.store(session.id, txnNumber, reply);
      engine.writer.markChanged();
    });
    session.committing = commit.catch(() => undefined);
    await commit;
    return new Map();
  },
};

/** A commit that is retried after a restart: it is in the table of retries, or it did not happen. */
async function committedBefore(context: CommandContext, session: string, txnNumber: bigint): Promise<Reply> {
  const stored = context.engine.retries.find(session, txnNumber);
  await context.engine.environment.flush();
  if (!stored?.done) throw noSuchTransaction(txnNumber);
  return new Map();
}

/** https://www.mongodb.com/docs/manual/reference/command/abortTransaction/ */
export const abortTransactionCommand: Command = {
  adminOnly: true,
  async run(context) {
    const txnNumber = number(context);
    await context.session?.committing;
    const transaction = context.session?.last(txnNumber);
    if (transaction?.state === 'committed') {
      throw new StoreError('TransactionCommitted', `Transaction ${txnNumber} has been committed.`);
    }
    if (transaction?.state !== 'open') throw noSuchTransaction(txnNumber);
    transaction.abort();
    return new Map();
  },
};
