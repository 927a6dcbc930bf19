import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

/** What a worker does. */
export type HashJob =
  | { kind: 'hash'; password: string; cost: number }
  /** Compares; a refusal takes as long as with a hash of `cost`, unless `hash` was made at a greater one. */
  | { kind: 'matches'; password: string; hash: string; cost: number };

interface Pending {
  resolve: (result: string | boolean) => void;
  reject: (error: Error) => void;
}

const WORKER_FILE = join(__dirname, 'hash-worker.cjs');
const MAX_WORKERS = 8;

/** How many threads hash: half of the processors, so that those who need no password find the others free. */
export function hashThreads(processors = availableParallelism()): number {
  return Math.min(MAX_WORKERS, Math.max(1, Math.floor(processors / 2)));
}

/**
 * Runs bcrypt in threads of its own. bcrypt's asynchronous functions take threads of libuv's pool, in which files,
 * DNS and images then wait behind password hashes. A thread starts when a job finds none free, at most as many as
 * jobs run at once; free threads do not keep the process alive.
 */
export class HashWorkers {
  private readonly free: Worker[] = [];
  private readonly busy = new Map<Worker, Pending>();

  /** @throws Error when the thread ends before it answers, or bcrypt's error */
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

  /** Ends the threads; jobs under way fail. */
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
    // An error ends the thread: `exit` follows.
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
