import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

/** The work of a thread. */
export type HashJob =
  | { kind: 'hash'; password: string; cost: number }
  /** Compares. A mismatch takes as long as at `cost`, unless `hash` was created at a higher cost. */
  | { kind: 'matches'; password: string; hash: string; cost: number };

interface Pending {
  resolve: (result: string | boolean) => void;
  reject: (error: Error) => void;
}

const WORKER_FILE = join(__dirname, 'hash-worker.cjs');
const MAX_WORKERS = 8;

/** Returns the number of threads that hash: half of the processors, so that the others remain free for other requests. */
export function hashThreads(processors = availableParallelism()): number {
  return Math.min(MAX_WORKERS, Math.max(1, Math.floor(processors / 2)));
}

/**
 * Runs bcrypt in separate threads. bcrypt's asynchronous functions use the thread pool of libuv, where files, DNS and
 * images would wait for password hashes. A thread starts when a job finds none free, so there are as many threads as
 * concurrent jobs at most; free threads do not keep the process alive.
 */
export class HashWorkers {
  private readonly free: Worker[] = [];
  private readonly busy = new Map<Worker, Pending>();

  /** Runs a job. @throws Error when the thread ends before it answers, or bcrypt's error */
  run(job: HashJob & { kind: 'hash' }): Promise<string>;
  run(job: HashJob & { kind: 'matches' }): Promise<boolean>;
  run(job: HashJob): Promise<string | boolean> {
    const worker = this.free.pop() ?? this.startWorker();
    worker.ref();
    return new Promise((resolve, reject) => {
      this.busy.set(worker, { resolve, reject });
      worker.postMessage(job);
    });
  }

  /** Ends the threads; running jobs fail. */
  async close(): Promise<void> {
    await Promise.all([...this.free.splice(0), ...this.busy.keys()].map((worker) => worker.terminate()));
  }

  private startWorker(): Worker {
    const worker = new Worker(WORKER_FILE, { execArgv: [] });
    worker.on('message', (answer: { result: string | boolean } | { error: Error }) => {
      const pending = this.busy.get(worker);
      this.busy.delete(worker);
      worker.unref();
      this.free.push(worker);
      if ('error' in answer) pending?.reject(answer.error);
      else pending?.resolve(answer.result);
    });
    // An error ends the thread; `exit` follows.
    worker.on('error', (error) => this.fail(worker, error));
    worker.on('exit', (code) => this.fail(worker, new Error(`a hash worker ended with code ${code}`)));
    return worker;
  }

  private fail(worker: Worker, error: Error): void {
    this.busy.get(worker)?.reject(error);
    this.busy.delete(worker);
    const index = this.free.indexOf(worker);
    if (index >= 0) this.free.splice(index, 1);
  }
}
