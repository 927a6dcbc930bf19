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

/** Weight of the latest batch in the moving averages. */
const SMOOTHING = 0.2;
const MAX_WAIT_MS = 4;

/**
 * Decides how long a batch waits for more jobs before it starts. Writers whose jobs were in one batch submit the
 * next ones at about the same time; if the flush started with the first of them, the others would wait for the next
 * flush. A single writer does not wait.
 */
class BatchDelay {
  #expected = 1;
  #flushMs = 0;
  #deadline = 0;

  begin(): void {
    this.#deadline = performance.now() + Math.min(this.#flushMs / 2, MAX_WAIT_MS);
  }

  shouldWait(queued: number): boolean {
    return queued < this.#expected * 0.8 && performance.now() < this.#deadline;
  }

  observe(jobs: number, flushMs: number): void {
    // The expected number rises at once and falls slowly, so that one late writer does not end the waiting.
    this.#expected = Math.max(jobs, this.#expected + (jobs - this.#expected) * SMOOTHING);
    this.#flushMs += (flushMs - this.#flushMs) * SMOOTHING;
  }
}

/**
 * The write queue. Jobs that are queued when a batch starts share its write transaction and its flush (group
 * commit), and every promise settles after that flush.
 */
export class Writer {
  #queue: Job[] = [];
  #scheduled = false;
  #running = false;
  #changes = 0;
  #sliceEnd = 0;
  readonly #delay = new BatchDelay();
  #closed: Error | undefined;

  constructor(
    private readonly environment: Environment,
    private readonly hooks: {
      /** Runs inside the write transaction after the jobs, to store counters that they changed. */
      beforeCommit(): void;
      /** Runs when a batch is committed, before its jobs are acknowledged. */
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
    if (this.#scheduled || this.#running || this.#queue.length === 0) return;
    this.#scheduled = true;
    this.#delay.begin();
    const startWhenReady = () => {
      if (this.#delay.shouldWait(this.#queue.length)) setImmediate(startWhenReady);
      else this.#startBatch();
    };
    setImmediate(startWhenReady);
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
    let worked = 0;
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
        worked = performance.now();
      });
      this.#delay.observe(jobs.length, performance.now() - worked);
    } catch (failure) {
      this.hooks.afterAbort();
      this.#undo(jobs, failure);
      return;
    }
    this.hooks.afterCommit();
    for (const outcome of outcomes) this.#settle(outcome);
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

  #settle(outcome: Outcome): void {
    const { job } = outcome;
    if ('value' in outcome) job.resolve(outcome.value);
    else if ('error' in outcome) job.reject(outcome.error);
    else {
      job.partlyCommitted = true;
      const again = () => this.#enqueue(job);
      if (outcome.pause) outcome.pause.then(again, again);
      else again();
    }
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
