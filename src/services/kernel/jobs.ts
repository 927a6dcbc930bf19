import type { JobStatus } from '../../models/operations/diagnostics.model';
import type { Logger } from '../../utils/logger';
import { BackgroundJob, type JobDeps, type JobOptions } from './background-job';
import type { Lifecycle } from './lifecycle';
import type { Telemetry } from './telemetry';

/** The dependencies of Jobs. By default, randomness is real, and this node does all the work. */
export interface JobsDeps extends Partial<Pick<JobDeps, 'random' | 'lease' | 'tracing'>> {
  lifecycle: Lifecycle;
  telemetry: Telemetry;
  clock: JobDeps['clock'];
  outside: JobDeps['outside'];
  logger: Logger;
}

/** All background jobs of this process. */
export class Jobs {
  private readonly jobs = new Map<string, BackgroundJob>();
  private readonly deps: JobDeps & Pick<JobsDeps, 'lifecycle'>;

  constructor(deps: JobsDeps) {
    const lease: JobDeps['lease'] = async (_job, work) => {
      await work();
      return true;
    };
    this.deps = { random: Math.random, lease, ...deps };
  }

  /**
   * Adds a job. It starts after the parts that are already registered with the lifecycle, and stops before them.
   * @throws Error when a job with this name exists.
   */
  add(options: JobOptions): BackgroundJob {
    const { name } = options;
    if (this.jobs.has(name)) throw new Error(`There is another job with the name ${name}.`);
    const job = new BackgroundJob(options, this.deps);
    this.jobs.set(name, job);
    this.deps.lifecycle.register(`job ${name}`, job);
    return job;
  }

  /** Returns the status of each job, in the order of their names. */
  status(): JobStatus[] {
    const all = [...this.jobs.values()].map(({ status }) => status);
    return all.sort((one, other) => (one.name < other.name ? -1 : 1));
  }
}
