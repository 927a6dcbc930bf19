import type { JobStatus } from '../../models/operations/diagnostics.model';
import { describeError } from '../../utils/error-text';
import type { Logger } from '../../utils/logger';
import { METRICS } from './metrics';
import type { Counter, Histogram, Telemetry } from './telemetry';
import type { Tracing } from './tracing';

/**
 * The share of an interval by which a wait is shortened at random, so that jobs and nodes that were started together do not
 * keep running at the same moment.
 */
const JITTER = 0.1;
/** The wait before the first retry. It doubles with each further failure in a row. */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 5 * 60_000;
/** The longest wait that Node.js accepts is 2^31 - 1 milliseconds; a timer that ends before the job is due is set again. */
const LONGEST_TIMER_MS = 24 * 3600_000;

/** The work of a job and its schedule. */
export interface JobOptions {
  /** Names the job in the log, in metrics and to administrators, in snake_case. */
  name: string;
  /**
   * The longest time between two runs in milliseconds; it is shortened by up to a tenth at random. Without it, the job
   * runs only when it is woken.
   */
  intervalMs?: number;
  /** Whether a job with an interval also runs as soon as it is started; by default it does. */
  atStart?: boolean;
  /**
   * Whether every node needs a run of its own, because the work is about what that node holds or because nodes share
   * it out among themselves (`node`), or one node does the work of all (`cluster`).
   */
  scope: JobStatus['scope'];
  /**
   * Does what is due now. A failed run is repeated, so what is left to do must be in the database, or not matter.
   * @param signal is aborted when the job is stopped: long work looks at it between its steps.
   * @returns when something is due next; nothing if that is not known, so that the interval decides.
   */
  run: (signal: AbortSignal) => Promise<Date | undefined> | Promise<void> | void;
}

/**
 * Decides whether this node does the work of a job with the scope `cluster` now, and keeps other nodes from doing it
 * until the work has ended.
 * @returns false when another node does it, so that nothing was done here.
 */
export type Lease = (job: string, work: () => Promise<void>) => Promise<boolean>;

/** The source of the time and of timers. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once. The timer must not keep the process alive. @returns a function that clears the timer. */
  setTimer(callback: () => void, milliseconds: number): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer: (callback, milliseconds) => {
    const timer = setTimeout(callback, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};

/** The dependencies of BackgroundJob. */
export interface JobDeps {
  clock: Clock;
  /** Returns a number from 0 up to 1, as Math.random does. */
  random: () => number;
  lease: Lease;
  /** Runs work outside of the caller's transaction: a job is often woken inside one. */
  outside: <Result>(work: () => Result) => Result;
  telemetry: Telemetry;
  tracing?: Tracing | undefined;
  logger: Pick<Logger, 'error'>;
}

/**
 * Work that the server does by itself: at an interval, at the time that the last run returned, or when it is woken.
 * Runs never overlap. A failure is logged, counted and retried with a growing wait. What is due is in the
 * database, so nothing is lost when the process ends.
 */
export class BackgroundJob {
  private readonly outcomes: Counter<'job_name' | 'outcome'>;
  private readonly durations: Histogram<'job_name'>;
  /** Aborted when the job is stopped; undefined while it is not started. */
  private stopping: AbortController | undefined;
  private running = false;
  /** Resolves at the end of the current run, or is resolved after the last one. */
  private current: Promise<void> = Promise.resolve();
  private clearTimer = () => {};
  /** When the next run is due, in milliseconds since 1970; Infinity when none is. */
  private dueAt = Infinity;
  /** After a failure, the job does not run before this time. */
  private restUntil = 0;
  private readonly ended = { success: 0, failure: 0 };
  private failuresInRow = 0;
  private lastSuccessAt: JobStatus['lastSuccessAt'] = null;
  private lastFailure: JobStatus['lastFailure'] = null;
  private lastDurationMs: number | null = null;

  constructor(
    private readonly options: JobOptions,
    private readonly deps: JobDeps,
  ) {
    const { telemetry } = deps;
    this.outcomes = telemetry.counter(METRICS.jobRuns);
    this.durations = telemetry.histogram(METRICS.jobDurations);
    const labels = { job_name: options.name };
    telemetry.gauge(METRICS.jobFailuresInRow).observe(labels, () => this.failuresInRow);
    telemetry
      .gauge(METRICS.jobLastSuccess)
      .observe(labels, () => (this.lastSuccessAt === null ? 0 : Date.parse(this.lastSuccessAt) / 1000));
  }

  /** Starts the schedule. Repeated calls have no effect. */
  start(): void {
    if (this.stopping) return;
    this.stopping = new AbortController();
    const { intervalMs, atStart = true } = this.options;
    if (intervalMs !== undefined) this.schedule(atStart ? this.now() : this.intervalFrom(this.now()));
  }

  /** Stops the schedule, and resolves when the current run has ended. Due work is left to the next start. */
  async stop(): Promise<void> {
    this.stopping?.abort();
    this.stopping = undefined;
    this.clearTimer();
    this.dueAt = Infinity;
    await this.current;
  }

  /**
   * Requests a run at a time, by default now. If an earlier run is due already, that run does the work or returns when it is
   * due. A wake during a run leads to another run. A job that is not started ignores it: due work is found at the next
   * start, or by another node.
   */
  wake(at?: Date): void {
    if (!this.stopping) return;
    this.schedule(Math.max(at?.getTime() ?? this.now(), this.restUntil));
  }

  get status(): JobStatus {
    const { name, scope, intervalMs = null } = this.options;
    return {
      name,
      scope,
      intervalMs,
      running: this.running,
      nextRunAt: this.running || this.dueAt === Infinity ? null : new Date(this.dueAt).toISOString(),
      runs: this.ended.success + this.ended.failure,
      failures: this.ended.failure,
      failuresInRow: this.failuresInRow,
      lastSuccessAt: this.lastSuccessAt,
      lastFailure: this.lastFailure,
      lastDurationMs: this.lastDurationMs,
    };
  }

  private now(): number {
    return this.deps.clock.now();
  }

  private time(): string {
    return new Date(this.now()).toISOString();
  }

  /** Ensures that a run begins at a time or earlier. */
  private schedule(at: number): void {
    if (!this.stopping || at >= this.dueAt) return;
    this.dueAt = at;
    // The current run sets the timer at its end.
    if (!this.running) this.setTimer();
  }

  private setTimer(): void {
    this.clearTimer();
    if (this.dueAt === Infinity) return;
    const wait = Math.min(Math.max(this.dueAt - this.now(), 0), LONGEST_TIMER_MS);
    this.clearTimer = this.deps.clock.setTimer(() => this.fire(), wait);
  }

  private fire(): void {
    if (this.now() < this.dueAt) {
      this.setTimer();
      return;
    }
    this.dueAt = Infinity;
    // Set first, since the work may wake its own job synchronously.
    this.running = true;
    const { signal } = this.stopping!;
    this.current = this.deps
      .outside(() => this.runOnce(signal))
      .finally(() => {
        this.running = false;
        if (this.stopping) this.setTimer();
      });
  }

  private async runOnce(signal: AbortSignal): Promise<void> {
    const { name: job, scope, run } = this.options;
    const startedAt = this.now();
    const { tracing } = this.deps;
    const work = async () => {
      const next = await (tracing
        ? tracing.run(`job ${job}`, {}, async () => run(signal), true)
        : run(signal));
      if (next) this.schedule(next.getTime());
    };
    try {
      const done = scope === 'node' ? (await work(), true) : await this.deps.lease(job, work);
      this.failuresInRow = 0;
      if (done) {
        this.lastSuccessAt = this.time();
        this.note('success', startedAt);
      }
      this.schedule(this.intervalFrom(startedAt));
    } catch (error) {
      this.lastFailure = { at: this.time(), message: describeError(error) };
      this.note('failure', startedAt);
      this.failuresInRow++;
      this.deps.logger.error(
        { err: error, job, failuresInRow: this.failuresInRow },
        'a background job failed',
      );
      this.restUntil = this.now() + this.shortened(FIRST_RETRY_MS);
      // A wake during the failed run waits as well.
      this.dueAt = Math.max(this.dueAt, this.restUntil);
      this.schedule(Math.max(this.now() + this.shortened(this.retryWait()), this.restUntil));
    }
  }

  private note(outcome: 'success' | 'failure', startedAt: number): void {
    const { name: job_name } = this.options;
    this.lastDurationMs = this.now() - startedAt;
    this.ended[outcome]++;
    this.outcomes.add({ job_name, outcome });
    // A clock that was set back during the run must not make it fail.
    this.durations.record({ job_name }, Math.max(0, this.lastDurationMs / 1000));
  }

  private retryWait(): number {
    const longest = Math.min(LONGEST_RETRY_MS, this.options.intervalMs ?? Infinity);
    return Math.min(FIRST_RETRY_MS * 2 ** (this.failuresInRow - 1), longest);
  }

  /** Returns the end of an interval that began at a time. A run that took longer is followed by another at once. */
  private intervalFrom(time: number): number {
    const { intervalMs } = this.options;
    return intervalMs === undefined ? Infinity : time + this.shortened(intervalMs);
  }

  private shortened(milliseconds: number): number {
    return milliseconds * (1 - JITTER * this.deps.random());
  }
}
