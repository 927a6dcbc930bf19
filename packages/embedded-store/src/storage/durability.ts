import { StoreError } from '../errors';
import { PART_BYTES } from './commit-log';
import type { CommitLog } from './commit-log';
import { LogRecords } from './log-records';
import { sameSnapshot } from './snapshot';
import type { Snapshot } from './snapshot';

/** Bytes in a part of the log above which a checkpoint is begun: half of it, so that writers rarely wait for one. */
const CHECKPOINT_BYTES = 1024 * 1024;
/**
 * Pages that may have been written since the last checkpoint above which the next one is begun. None of the pages that they
 * replaced can be used again before, so the data file grows by so many.
 */
const CHECKPOINT_PAGES = 16_384;
/** Pages that a batch changes beside those of its keys: the roots and branches of the trees. */
const PAGES_OF_BATCH = 12;

interface Waiting {
  batch: number;
  resolve(): void;
  reject(error: Error): void;
}

/**
 * Makes committed batches durable, and keeps the latest durable state for readers. The records of all batches that were
 * committed while the log was being written are written together.
 */
export class Durability {
  #records: LogRecords;
  #committed = 0;
  #durable = 0;
  /** The latest batch without a record in the log; it needs a checkpoint. */
  #unlogged = 0;
  #waiting: Waiting[] = [];
  /** The records that are being written. */
  #spare: LogRecords;
  #running: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;
  #failure: StoreError | undefined;
  #pages = 0;
  /** What readers see. */
  #visible: Snapshot;
  /** The state of the last checkpoint: while it is held, LMDB overwrites none of its pages. */
  #held: Snapshot;

  constructor(
    private readonly log: CommitLog,
    private readonly latest: () => Snapshot,
    /** Called once when data cannot be made durable. */
    private readonly onFailure: (error: Error) => void,
  ) {
    this.#records = new LogRecords(log.identity);
    this.#spare = new LogRecords(log.identity);
    this.#visible = latest();
    this.#held = latest();
  }

  /** Where the running batch records its changes. */
  get records(): LogRecords {
    return this.#records;
  }

  /** A snapshot of the latest durable state. */
  snapshot(): Snapshot {
    return sameSnapshot(this.#visible);
  }

  /** Throws when an earlier batch could not be made durable: what was committed after it would be lost with it. */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** To be called when a batch is committed. */
  committed(): void {
    const { changes, isTooLarge } = this.#records.end(this.#committed + 1);
    if (changes === 0) return;
    this.#committed++;
    this.#pages += PAGES_OF_BATCH + changes;
    if (isTooLarge) this.#unlogged = this.#committed;
  }

  /** Resolves when all committed batches are durable. Rejects when this fails; then the store has to be started again. */
  flush(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#durable === this.#committed) return Promise.resolve();
    const batch = this.#committed;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Ends the use of the log, after a flush and with a complete data file if possible. */
  async close(): Promise<void> {
    try {
      await this.flush();
      await this.#running;
      await this.#checkpoint();
      this.log.remove();
    } catch (error) {
      this.log.leave();
      throw error;
    } finally {
      this.#visible.release();
      this.#held.release();
    }
  }

  async #run(): Promise<void> {
    try {
      while (this.#durable < this.#committed) await this.#flushOnce();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running = undefined;
    }
  }

  async #flushOnce(): Promise<void> {
    const batch = this.#committed;
    const snapshot = this.latest();
    try {
      await this.#makeDurable();
    } catch (error) {
      snapshot.release();
      throw error;
    }
    this.#visible.release();
    this.#visible = snapshot;
    this.#durable = batch;
    const done = this.#waiting.filter((waiting) => waiting.batch <= batch);
    this.#waiting = this.#waiting.filter((waiting) => waiting.batch > batch);
    for (const waiting of done) waiting.resolve();
  }

  async #makeDurable(): Promise<void> {
    if (this.#unlogged > this.#durable) {
      this.#records.reset();
      return this.#checkpoint();
    }
    // At the end of a part, and before an earlier checkpoint has made the other part free.
    if (this.#records.length > this.log.room) await this.#checkpointing;
    const records = this.#records;
    if (records.length > this.log.room) return this.#checkpoint();
    this.#records = this.#spare;
    this.#spare = records;
    try {
      await this.log.append(records.bytes);
    } catch {
      // The data file may be on the part of the disk that still works.
      await this.#checkpoint();
    } finally {
      records.reset();
    }
    const isDue = PART_BYTES - this.log.room > CHECKPOINT_BYTES || this.#pages > CHECKPOINT_PAGES;
    if (isDue && !this.#checkpointing) this.#checkpoint().catch((error: unknown) => this.#fail(error));
  }

  /** Completes the data file on the disk, with all batches that are committed when it begins; one at a time. */
  async #checkpoint(): Promise<void> {
    while (this.#checkpointing) await this.#checkpointing;
    this.#checkpointing = this.#runCheckpoint();
    try {
      await this.#checkpointing;
    } finally {
      this.#checkpointing = undefined;
    }
  }

  async #runCheckpoint(): Promise<void> {
    const held = this.latest();
    this.#pages = 0;
    try {
      await this.log.checkpoint(this.#committed);
    } catch (error) {
      held.release();
      throw error;
    }
    this.#held.release();
    this.#held = held;
  }

  #fail(error: unknown): void {
    if (this.#failure) return;
    const cause = error instanceof Error ? error.message : String(error);
    this.#failure = new StoreError(
      'InternalError',
      `a write to the disk of the store failed: ${cause}. Writes that were not acknowledged are undone when the store is started again.`,
    );
    for (const waiting of this.#waiting) waiting.reject(this.#failure);
    this.#waiting = [];
    this.onFailure(this.#failure);
  }
}
