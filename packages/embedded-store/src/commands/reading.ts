import type { Document } from '../bson/types';
import type { Selection } from '../storage/selection';
import type { Source } from '../storage/selection-spec';
import type { Selected } from '../storage/selection-spec';
import type { Batch, BatchSource } from '../session/cursors';
import type { Operation } from '../session/operations';
import type { Transaction } from '../session/transaction';
import type { Snapshot } from '../storage/environment';
import type { CommandContext } from './command';

/** Milliseconds that a scan runs before it lets other connections run. */
const SLICE_MS = 8;
/** Bytes of documents in one batch at most. */
const BATCH_BYTES = 16 * 1024 * 1024;

/** Resolves after the event loop has served other connections. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The time slices of a long read: when to let others run, and whether the client's time limit is reached. */
export class TimeSlice {
  #sliceEnd = performance.now() + SLICE_MS;

  constructor(private readonly operation: Operation) {}

  /** Whether the slice is over. Throws when the operation was killed or its time limit is reached. */
  get isOver(): boolean {
    const now = performance.now();
    this.operation.check(now);
    return now > this.#sliceEnd;
  }

  async next(): Promise<void> {
    await yieldToEventLoop();
    this.#sliceEnd = performance.now() + SLICE_MS;
  }
}

/** The parts of a context that decide what its reads see. */
type ReadContext = Pick<CommandContext, 'engine' | 'transaction' | 'held'>;

/**
 * Opens what a command or a batch reads from: the snapshot that the session holds, or a new one; undefined in a transaction,
 * which has its own. The caller releases it.
 */
export function openSnapshot({ engine, transaction, held }: ReadContext): Snapshot | undefined {
  if (transaction) return undefined;
  return held ? held.use() : engine.environment.snapshot();
}

/** Runs `read` on a snapshot, which is released afterwards; in a transaction on its snapshot. */
export async function withSource<T>(
  context: CommandContext,
  read: (source: Source) => Promise<T>,
): Promise<T> {
  const { transaction } = context;
  const snapshot = openSnapshot(context);
  try {
    return await read(snapshot ? { view: snapshot } : transactionSource(transaction as Transaction));
  } finally {
    snapshot?.release();
  }
}

/** The source that the commands of a transaction read from. */
export function transactionSource(transaction: Transaction): Source {
  return { view: transaction.snapshot, transaction };
}

/** Reads a selection to its end, or until `take` returns false. */
export async function readAll(
  selection: Selection,
  operation: Operation,
  take: (item: Selected) => boolean | void,
): Promise<void> {
  const timeSlice = new TimeSlice(operation);
  for (let item = selection.next(); item !== null; item = selection.next()) {
    if (item) {
      if (take(item) === false) return;
    } else if (timeSlice.isOver) await timeSlice.next();
  }
}

/** The batches of a selection. Outside of transactions it holds no snapshot of its own between batches. */
export class SelectionBatches implements BatchSource {
  /** A document that did not fit into the last batch. */
  #left: Uint8Array | undefined;

  constructor(
    private readonly context: ReadContext,
    private readonly selection: Selection,
    private readonly source: Source,
    private readonly shape: (item: Selected) => Uint8Array,
  ) {}

  async next(limit: number | undefined, operation: Operation): Promise<Batch> {
    const snapshot = openSnapshot(this.context);
    if (snapshot) this.source.view = snapshot;
    try {
      return await this.#fill(limit ?? Infinity, operation);
    } finally {
      this.selection.pause();
      snapshot?.release();
    }
  }

  close(): void {
    this.selection.pause();
  }

  async #fill(limit: number, operation: Operation): Promise<Batch> {
    const documents: Uint8Array[] = [];
    let bytes = 0;
    const timeSlice = new TimeSlice(operation);
    if (this.#left && limit > 0) {
      documents.push(this.#left);
      bytes += this.#left.length;
      this.#left = undefined;
    }
    while (documents.length < limit) {
      const item = this.selection.next();
      if (item === null) return { documents, ended: true };
      if (item === undefined) {
        if (timeSlice.isOver) await timeSlice.next();
        continue;
      }
      const shaped = this.shape(item);
      if (documents.length > 0 && bytes + shaped.length > BATCH_BYTES) {
        this.#left = shaped;
        return { documents, ended: false };
      }
      documents.push(shaped);
      bytes += shaped.length;
    }
    return { documents, ended: this.selection.ended && this.#left === undefined };
  }
}

/** An empty filter or document. */
export const EMPTY: Document = new Map();
