import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ServeOptions } from './serve';
import { releaseDirectory, runningStore } from './storage/lock';
import type { WorkerMessage } from './worker';

export { inspectStore, type StoreState } from './inspect';

/** How to start the store. */
export interface EmbeddedStoreOptions {
  /** Folder of the data file; created if it does not exist. */
  dataDir: string;
  /** A TCP port on the loopback interface (0 = any free one), in place of a Unix socket in `dataDir`. */
  port?: number;
  host?: '127.0.0.1';
  /**
   * Whether a write is flushed to the disk before it is acknowledged (default true). Without it, writes survive the end of
   * the process, but after a power failure the data file may be unusable: for databases of tests only.
   */
  flush?: boolean;
  /** Receives errors inside the store that clients see only as "internal error". */
  onError?: (message: string) => void;
}

/** A store that runs in a worker thread. */
export interface EmbeddedStore {
  /** Connection string for MongoDB drivers. */
  uri: string;
  /**
   * Finishes the queued writes and ends the worker. @throws the error that prevented this; the worker has ended all
   * the same
   */
  close(): Promise<void>;
  /** Calls back once if the worker ends without `close`; all connections are then broken. */
  onExit(callback: (error: Error) => void): void;
}

/**
 * Starts a durable single-node database on `dataDir` that speaks MongoDB's wire protocol. Rejects when the
 * folder is in use by another process, not writable, or holds a damaged data file.
 */
export async function startEmbeddedStore(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
  const lockToken = randomBytes(8).toString('hex');
  const { dataDir, port, flush } = options;
  const worker = startWorker({ dataDir, port, flush, lockToken });
  const exitCallbacks: ((error: Error) => void)[] = [];
  let failure: Error | undefined;
  let closing = false;
  let failedToClose: Error | undefined;
  const exited = new Promise<void>((resolve) => {
    worker.once('error', (error: Error) => {
      failure = error;
      if (closing) failedToClose = error;
    });
    worker.once('exit', (code) => {
      failure ??= new Error(`the embedded store ended with code ${code}`);
      releaseDirectory(options.dataDir, lockToken);
      if (!closing) for (const callback of exitCallbacks) callback(failure);
      resolve();
    });
  });
  worker.on('message', (message: WorkerMessage) => {
    if (message.kind === 'reported') options.onError?.(message.message);
  });
  const uri = await new Promise<string>((resolve, reject) => {
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'ready') resolve(message.uri);
      if (message.kind === 'failed') reject(new Error(message.message));
    });
    void exited.then(() => reject(failure ?? new Error('the embedded store did not start')));
  });
  return {
    uri,
    async close() {
      closing = true;
      worker.postMessage('close');
      await exited;
      if (failedToClose) throw failedToClose;
    },
    onExit: (callback) => void exitCallbacks.push(callback),
  };
}

/**
 * The connection string of the store that serves a folder now, in any process of this machine; undefined if none does. The
 * folder and the socket are accessible to the user of that process alone.
 */
export function findRunningStore(dataDir: string): string | undefined {
  return runningStore(dataDir);
}

/** The worker runs the built code, also when a test or a benchmark loads this file from its source. */
function startWorker(workerData: ServeOptions): Worker {
  return new Worker(join(__dirname, '..', 'dist', 'worker.js'), { workerData });
}
