import { StoreError } from '../errors';
import type { Environment } from './environment';

/**
 * What a write job yields to let others run: undefined to continue in the next batch, or a promise to wait for (a
 * transaction that has locked a document). Its changes so far are committed then.
 */
export type Pause = Promise<unknown> | undefined;
export type WriteSteps<T> = Generator<Pause, T, void>;

interface Job {
  make(): WriteSteps<unknown>;
  steps: WriteSteps<unknown> | undefined;
  /** Whether an earlier batch has committed a part of it, so that it cannot be restarted. */
  partlyCommitted: boolean;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** The outcome of one job in one batch. */
type Outcome = { job: Job } & ({ value: unknown } | { error: unknown } | { pause: Pause });

/** A job that failed after it had changed something, so that the batch cannot be committed. */
class DirtyFailure extends Error {
  constructor(
    readonly job: Job,
    override readonly cause: unknown,
  ) {
    super('a job failed half-way');
  }
}

/** Milliseconds after which a batch takes no more jobs, so that readers can run. */
const BATCH_MS = 25;
/**
 * Batches that may be committed and not yet durable: one that is being flushed, and one that was committed meanwhile. Jobs
 * that arrive then wait for the next batch, so that they share its transaction and its flush.
 */
const MAX_UNFLUSHED = 2;

/**
 * The write queue. Jobs that are queued when a batch starts share its write transaction and its flush (group commit). The
 * next batch runs while the last one is flushed. Every promise settles, with a value or an error, when everything that its
 * job may have seen is durable.
 */
export class Writer {
  #queue: Job[] = [];
  #scheduled = false;
  #running = false;
  #changes = 0;
  #sliceEnd = 0;
  /** Batches that are committed and not yet durable. */
  #unflushed = 0;
  #closed: Error | undefined;

  constructor(
    private readonly environment: Environment,
    private readonly hooks: {
      /** Runs inside the write transaction after the jobs, to store counters that they changed. */
      beforeCommit(): void;
      /** Runs when a batch is committed, before it is flushed and its jobs are acknowledged. */
      afterCommit(): void;
      /** Runs when a batch was aborted, to discard what jobs changed in memory. */
      afterAbort(): void;
    },
  ) {}

  /** Records that the running job has changed something, so that its failure aborts the batch. */
  markChanged(): void {
    this.#changes++;
  }

  /** Whether the time slice of the running job is over, so that it should yield. */
  get timeSliceIsOver(): boolean {
    return performance.now() > this.#sliceEnd;
  }

  /**
   * Queues a job. `make` starts it, and is called again when the batch is aborted because another job failed, so it
   * must keep no state outside of the generator. The promise settles when the job's changes are durable.
   */
  submit<T>(make: () => WriteSteps<T>): Promise<T> {
    if (this.#closed) return Promise.reject(this.#closed);
    return new Promise<T>((resolve, reject) => {
      this.#enqueue({
        make,
        steps: undefined,
        partlyCommitted: false,
        resolve: resolve,
        reject,
      });
    });
  }

  /** Refuses new jobs and waits for those in the queue. */
  async close(): Promise<void> {
    const last = this.submit(function* () {
      yield undefined;
    });
    this.#closed = new StoreError('ShutdownInProgress', 'the store is closing');
    await last;
  }

  #enqueue(job: Job): void {
    this.#queue.push(job);
    this.#schedule();
  }

  #schedule(): void {
    const isBusy = this.#scheduled || this.#running || this.#unflushed >= MAX_UNFLUSHED;
    if (isBusy || this.#queue.length === 0) return;
    this.#scheduled = true;
    // Commands that have arrived together are read in the same turn of the event loop; their jobs share a batch.
    setImmediate(() => this.#startBatch());
  }

  #startBatch(): void {
    this.#scheduled = false;
    this.#running = true;
    try {
      this.#runBatch();
    } finally {
      this.#running = false;
      this.#schedule();
    }
  }

  #runBatch(): void {
    const jobs: Job[] = [];
    let outcomes: Outcome[] = [];
    try {
      this.environment.write(() => {
        outcomes = [];
        this.#sliceEnd = performance.now() + BATCH_MS;
        while (this.#queue.length > 0 && !(jobs.length > 0 && this.timeSliceIsOver)) {
          const job = this.#queue.shift();
          if (!job) break;
          jobs.push(job);
          outcomes.push(this.#step(job));
        }
        this.hooks.beforeCommit();
      });
    } catch (failure) {
      this.hooks.afterAbort();
      // No write transaction could begin: none of the jobs can succeed.
      if (jobs.length === 0) jobs.push(...this.#queue.splice(0));
      this.#undo(jobs, failure);
      return;
    }
    this.hooks.afterCommit();
    void this.#flush(outcomes);
  }

  /** Acknowledges the jobs of a batch when it is durable, and continues those that have paused. */
  async #flush(outcomes: Outcome[]): Promise<void> {
    for (const outcome of outcomes) if ('pause' in outcome) this.#continue(outcome.job, outcome.pause);
    this.#unflushed++;
    try {
      await this.environment.flush();
      for (const outcome of outcomes) {
        if ('value' in outcome) outcome.job.resolve(outcome.value);
        else if ('error' in outcome) outcome.job.reject(outcome.error);
      }
    } catch (failure) {
      for (const { job } of outcomes) job.reject(failure);
    } finally {
      this.#unflushed--;
      this.#schedule();
    }
  }

  #step(job: Job): Outcome {
    const before = this.#changes;
    try {
      job.steps ??= job.make();
      const step = job.steps.next();
      return step.done ? { job, value: step.value } : { job, pause: step.value };
    } catch (error) {
      if (this.#changes === before) return { job, error };
      throw new DirtyFailure(job, error);
    }
  }

  #continue(job: Job, pause: Pause): void {
    job.partlyCommitted = true;
    const again = () => this.#enqueue(job);
    if (pause) pause.then(again, again);
    else again();
  }

  /** Handles an aborted batch: the failed job is rejected, the others are restarted if possible. */
  #undo(jobs: Job[], failure: unknown): void {
    const culprit = failure instanceof DirtyFailure ? failure.job : undefined;
    const cause = failure instanceof DirtyFailure ? failure.cause : failure;
    const again: Job[] = [];
    for (const job of jobs) {
      if (job === culprit || culprit === undefined || job.partlyCommitted) job.reject(cause);
      else {
        job.steps = undefined;
        again.push(job);
      }
    }
    this.#queue.unshift(...again);
  }
}
