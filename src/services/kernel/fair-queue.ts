import { AppError } from '../../utils/errors';

/** The limits of a queue. */
export interface FairQueueLimits {
  /** The number of jobs that run at the same time. */
  active: number;
  /** Of them, jobs of one key. Default: all. */
  activePerKey?: number;
  /** The number of jobs that may wait. */
  waiting: number;
  /** Of them, jobs of one key. */
  waitingPerKey: number;
}

export interface JobOptions {
  /** Aborts when the client has closed its connection: a job that still waits is then dropped. */
  signal?: AbortSignal | undefined;
  /**
   * Set for the second job of a request whose first one was admitted and has already spent something, such as a
   * one-time code: it waits in the queue, but is never refused or dropped.
   */
  continues?: boolean;
}

interface Job {
  start: () => void;
  refuse: (error: Error) => void;
  continues: boolean;
}

/** The weight of the last job in the moving average of durations. */
const AVERAGE_WEIGHT = 0.2;
/** The longest Retry-After. */
const MAX_RETRY_SECONDS = 60;

/**
 * Runs expensive work a few jobs at a time. Waiting jobs are queued by key (an address, a user), and the keys are served in
 * rotation, so a hundred jobs of one key delay another key by one job only. The number of waiting jobs is bounded, in all
 * and by key. When the queue is full, a new job replaces the newest one of the key with the most jobs, so many jobs of one
 * key never prevent the first job of another key.
 */
export class FairQueue {
  private active = 0;
  private readonly activeByKey = new Map<string, number>();
  /** The waiting jobs, oldest first, of each key that has any. The first key is the next one. */
  private readonly waitingByKey = new Map<string, Job[]>();
  private waiting = 0;
  private closed = false;
  private refused = 0;
  /** The moving average of the duration of jobs. */
  private averageDurationMs = 0;

  constructor(private readonly limits: FairQueueLimits) {}

  /** How many jobs wait. */
  get size(): number {
    return this.waiting;
  }

  get running(): number {
    return this.active;
  }

  get limit(): number {
    return this.limits.waiting;
  }

  /** How many jobs were refused because too many were waiting. */
  get refusals(): number {
    return this.refused;
  }

  /**
   * Runs `work` when a place is free and `key` is next.
   * @throws AppError rate_limited when too many jobs of this key wait, unavailable when too many wait in all or the
   *   queue is closed, both with the seconds after which to try again; bad_request when the client has
   *   disconnected; the errors of `work`
   */
  async run<Result>(key: string, work: () => Promise<Result>, options: JobOptions = {}): Promise<Result> {
    if (this.closed) throw this.overloaded();
    if (options.signal?.aborted) throw clientDisconnected();
    if (this.waiting === 0 && this.mayStart(key)) this.occupy(key);
    else await this.wait(key, options);
    const begin = performance.now();
    try {
      return await work();
    } finally {
      this.averageDurationMs += (performance.now() - begin - this.averageDurationMs) * AVERAGE_WEIGHT;
      this.release(key);
      this.startNext();
    }
  }

  /** Refuses the jobs that wait and all new ones. Those that run are not affected. */
  close(): void {
    this.closed = true;
    const jobs = [...this.waitingByKey.values()].flat();
    for (const job of jobs) job.refuse(this.overloaded());
    this.waitingByKey.clear();
    this.waiting = 0;
  }

  private mayStart(key: string): boolean {
    const { active, activePerKey = active } = this.limits;
    return this.active < active && (this.activeByKey.get(key) ?? 0) < activePerKey;
  }

  private occupy(key: string): void {
    this.active++;
    this.activeByKey.set(key, (this.activeByKey.get(key) ?? 0) + 1);
  }

  private release(key: string): void {
    this.active--;
    const left = (this.activeByKey.get(key) ?? 0) - 1;
    if (left > 0) this.activeByKey.set(key, left);
    else this.activeByKey.delete(key);
  }

  /** Resolves when the job may run and is counted as active. */
  private wait(key: string, { signal, continues = false }: JobOptions): Promise<void> {
    if (!continues) this.makeRoom(key);
    return new Promise((resolve, reject) => {
      const drop = () => {
        this.remove(key, job);
        reject(clientDisconnected());
      };
      const job: Job = {
        start: () => {
          signal?.removeEventListener('abort', drop);
          this.occupy(key);
          resolve();
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', drop);
          reject(error);
        },
        continues,
      };
      if (!continues) signal?.addEventListener('abort', drop, { once: true });
      const jobs = this.waitingByKey.get(key);
      if (jobs) jobs.push(job);
      else this.waitingByKey.set(key, [job]);
      this.waiting++;
      // A place may be free although other jobs wait: each of those may be waiting for the limit of its key.
      this.startNext();
    });
  }

  /** @throws AppError rate_limited, unavailable when there is no room for one more job of this key */
  private makeRoom(key: string): void {
    const own = this.waitingByKey.get(key)?.length ?? 0;
    if (own >= this.limits.waitingPerKey) {
      this.refused++;
      throw new AppError(
        'rate_limited',
        'Too many of your requests are waiting already. Try again later.',
        undefined,
        this.retryAfter(),
      );
    }
    if (this.waiting < this.limits.waiting) return;
    this.refused++;
    const [longest, jobs] = [...this.waitingByKey].reduce((most, each) =>
      each[1].length > most[1].length ? each : most,
    );
    const newest = jobs.length > own + 1 ? jobs.findLast((job) => !job.continues) : undefined;
    if (!newest) throw this.overloaded();
    this.remove(longest, newest);
    newest.refuse(this.overloaded());
  }

  private startNext(): void {
    for (const [key, jobs] of this.waitingByKey) {
      if (this.active >= this.limits.active) return;
      if (!this.mayStart(key)) continue;
      const [job] = jobs;
      if (!job) continue;
      this.remove(key, job);
      // Moves the key to the end of the rotation.
      if (this.waitingByKey.delete(key)) this.waitingByKey.set(key, jobs);
      job.start();
      return;
    }
  }

  private remove(key: string, job: Job): void {
    const jobs = this.waitingByKey.get(key) ?? [];
    const index = jobs.indexOf(job);
    if (index < 0) return;
    jobs.splice(index, 1);
    this.waiting--;
    if (jobs.length === 0) this.waitingByKey.delete(key);
  }

  private overloaded(): AppError {
    return new AppError('unavailable', 'The server is busy. Try again later.', undefined, this.retryAfter());
  }

  /** Estimates the seconds that the current jobs will take. */
  private retryAfter(): number {
    const milliseconds = ((this.waiting + this.active) / this.limits.active) * this.averageDurationMs;
    return Math.min(MAX_RETRY_SECONDS, milliseconds / 1000);
  }
}

/** Nobody receives this error, since the connection is closed. */
function clientDisconnected(): AppError {
  return new AppError('bad_request', 'The client has closed the connection.');
}
