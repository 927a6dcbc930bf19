import type { RootDatabase, Transaction } from 'lmdb';

/** What a read sees: a snapshot, or (without one) the running write transaction. */
export interface View {
  transaction?: Transaction;
}

/** A snapshot of the data file. It must be released, because its pages cannot be reused before. */
export interface Snapshot extends View {
  transaction: Transaction;
  release(): void;
}

/** The opposite of `done`; the published types lack it. */
interface CountedTransaction extends Transaction {
  use(): void;
}

/** A snapshot of the latest committed state. */
export function latestSnapshot(root: RootDatabase<Buffer, Buffer>): Snapshot {
  return released(root.useReadTransaction());
}

/** Another snapshot of the same state, to be released by itself. */
export function sameSnapshot({ transaction }: Snapshot): Snapshot {
  (transaction as CountedTransaction).use();
  return released(transaction);
}

function released(transaction: Transaction): Snapshot {
  let isOpen = true;
  return {
    transaction,
    release() {
      if (isOpen) transaction.done();
      isOpen = false;
    },
  };
}
