import { StoreError } from './errors';
import { Cursors } from './session/cursors';
import { HeldSnapshots } from './session/held-snapshot';
import { LockTable } from './session/locks';
import { Operations } from './session/operations';
import { Retries } from './session/retries';
import { Sessions } from './session/sessions';
import { Transaction } from './session/transaction';
import { Catalog } from './storage/catalog';
import { removeUnfinished } from './storage/index-build';
import { openEnvironment } from './storage/environment';
import type { EnvironmentOptions } from './storage/environment';
import { lockDirectory } from './storage/lock';
import type { DirectoryLock } from './storage/lock';
import type { Environment } from './storage/environment';
import { Records } from './storage/records';
import { TextBuffer } from './storage/text-buffer';
import { Writer } from './storage/writer';

/** The store without the network: everything that commands work with. */
export class Engine {
  readonly environment: Environment;
  readonly catalog: Catalog;
  readonly records: Records;
  readonly textBuffer: TextBuffer;
  readonly writer: Writer;
  readonly locks = new LockTable();
  readonly sessions = new Sessions();
  readonly heldSnapshots = new HeldSnapshots();
  readonly cursors = new Cursors();
  readonly operations = new Operations();
  readonly retries: Retries;
  readonly startedAt = Date.now();
  /** The address of the listener, as clients write it; set when it listens. */
  address = '';

  readonly #lock: DirectoryLock;
  #structure: Promise<void> | undefined;
  #structureVersion = 0;

  /** Opens the data file in `dataDir` and locks the folder; `lockToken` identifies the lock. */
  constructor(
    readonly dataDir: string,
    lockToken: string,
    options: EnvironmentOptions = { flush: true },
  ) {
    this.#lock = lockFolder(dataDir, lockToken);
    try {
      this.environment = openEnvironment(dataDir, options);
    } catch (error) {
      this.#lock.release();
      throw error;
    }
    const markChanged = () => this.writer.markChanged();
    this.catalog = new Catalog(this.environment, markChanged);
    this.textBuffer = new TextBuffer(this.environment);
    this.records = new Records(this.environment, this.catalog, markChanged, this.locks, this.textBuffer);
    this.retries = new Retries(this.environment.meta);
    this.writer = new Writer(this.environment, {
      beforeCommit: () => this.catalog.storeCounters(),
      afterCommit: () => {
        this.textBuffer.committed();
        if (this.catalog.version !== this.#structureVersion) this.#structureChanged();
      },
      afterAbort: () => {
        this.catalog.load();
        this.textBuffer.aborted();
      },
    });
    this.catalog.load();
    this.environment.write(() => removeUnfinished(this.catalog));
    this.#structureChanged();
  }

  /**
   * Settles when the last change of collections or indexes is durable; undefined when it is. The catalog in memory has such
   * a change before the snapshots that readers use, so a command must wait for it.
   */
  get structure(): Promise<void> | undefined {
    return this.#structure;
  }

  #structureChanged(): void {
    this.#structureVersion = this.catalog.version;
    const flushed = this.environment.flush();
    this.#structure = flushed;
    flushed.then(
      () => {
        if (this.#structure === flushed) this.#structure = undefined;
      },
      // The commands that wait for it fail, too.
      () => undefined,
    );
  }

  /** Begins a multi-document transaction on a new snapshot. */
  beginTransaction(): Transaction {
    return new Transaction(this);
  }

  /**
   * Finishes queued writes, aborts open transactions and closes the data file. Rejects when the disk has failed; the file is
   * closed all the same.
   */
  async close(): Promise<void> {
    this.sessions.endAll();
    try {
      await this.writer.close();
    } finally {
      await this.environment.close().finally(() => this.#lock.release());
    }
  }
}

/** Locks the folder. Throws an error with its name when it cannot be written. */
function lockFolder(dataDir: string, lockToken: string): DirectoryLock {
  try {
    return lockDirectory(dataDir, lockToken);
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const cause = error instanceof Error ? error.message : String(error);
    throw new StoreError('OperationFailed', `the data folder ${dataDir} can't be written: ${cause}`);
  }
}
