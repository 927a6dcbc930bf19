import fc from 'fast-check';
import type { BackgroundJob, JobOptions, Lease } from '../../../services/kernel/background-job';
import { Jobs } from '../../../services/kernel/jobs';
import { Lifecycle } from '../../../services/kernel/lifecycle';
import { Telemetry } from '../../../services/kernel/telemetry';
import { ManualClock } from '../../fixtures/manual-clock';

const settled = () => new Promise((resolve) => setImmediate(resolve));

let clock: ManualClock;
let random: number;
let logged: unknown[];
let lifecycle: Lifecycle;
let jobs: Jobs;
/** Whether the current code runs outside of the transaction of the caller that woke the job. */
let isOutside = false;
/** The start times of the runs, in milliseconds since the start of the test. */
let runs: number[];

beforeEach(() => prepare());
afterEach(() => lifecycle.stop());

function prepare(lease?: Lease): void {
  clock = new ManualClock();
  random = 0;
  logged = [];
  runs = [];
  const logger = { error: (entry: unknown) => void logged.push(entry) } as never;
  lifecycle = new Lifecycle(logger);
  jobs = new Jobs({
    lifecycle,
    logger,
    clock,
    random: () => random,
    telemetry: new Telemetry(),
    outside: (work) => {
      isOutside = true;
      const result = work();
      isOutside = false;
      return result;
    },
    ...(lease && { lease }),
  });
}

/** Adds a job that records its runs and does some work. */
function add(options: Partial<JobOptions>, work: JobOptions['run'] = () => {}): BackgroundJob {
  const start = clock.now();
  const run: JobOptions['run'] = (signal) => {
    runs.push(clock.now() - start);
    return work(signal);
  };
  return jobs.add({ name: 'work', scope: 'node', ...options, run });
}

/** A promise, and the function that resolves it. */
function gate() {
  let open = () => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open: () => open() };
}

const at = (milliseconds: number) => new Date(clock.now() + milliseconds);
const fail = (): Promise<never> => Promise.reject(new Error('broken'));

describe('the runs of a job', () => {
  it('do not occur before it is started or after it is stopped', async () => {
    const job = add({ intervalMs: 1000 });
    job.wake();
    await clock.advance(5000);
    expect(clock.waiting).toBe(0);
    await lifecycle.start();
    await clock.advance(0);
    await lifecycle.stop();
    job.wake();
    await clock.advance(5000);
    expect([runs.length, clock.waiting]).toEqual([1, 0]);
  });

  it.each<[string, Partial<JobOptions>, number[]]>([
    ['at the start and at its interval', { intervalMs: 1000 }, [0, 1000, 2000, 3000]],
    ['at its interval only', { intervalMs: 1000, atStart: false }, [1000, 2000, 3000]],
    ['only when it is woken', {}, []],
  ])('occur %s', async (_, options, expected) => {
    add(options);
    await lifecycle.start();
    await clock.advance(3500);
    expect(runs).toEqual(expected);
  });

  it.each([
    ['an earlier time', 300, [0, 300]],
    ['a later time, but no later than at the interval', 1700, [0, 1000]],
    ['a time in the past', -50, [0, 0]],
  ])('occur at %s that a run returned', async (_, wait, expected) => {
    const due = at(wait);
    add({ intervalMs: 1000 }, () => Promise.resolve(runs.length === 1 ? due : undefined));
    await lifecycle.start();
    await clock.advance(1100);
    expect(runs.slice(0, 2)).toEqual(expected);
  });

  it('move to an earlier time by a wake-up, but not to a later one', async () => {
    const job = add({ intervalMs: 1000 });
    await lifecycle.start();
    await clock.advance(100);
    job.wake(at(200));
    job.wake(at(5000));
    job.wake(at(400));
    await clock.advance(350);
    expect(runs).toEqual([0, 300]);
    job.wake();
    job.wake();
    await clock.advance(0);
    expect(runs).toEqual([0, 300, 450]);
  });

  it('are outside of the transaction of the caller that woke the job', async () => {
    const found: boolean[] = [];
    const job = add({}, () => void found.push(isOutside));
    await lifecycle.start();
    job.wake();
    await clock.advance(0);
    expect(found).toEqual([true]);
  });

  it('wait for the due time even if the timer fires too early', async () => {
    const job = add({});
    await lifecycle.start();
    clock.early = 100;
    job.wake(at(500));
    await clock.advance(499);
    expect(runs).toEqual([]);
    await clock.advance(1);
    expect(runs).toEqual([500]);
    // Node.js fires timers of more than 2^31 - 1 ms at once.
    job.wake(at(40 * 24 * 3600_000));
    await clock.advance(39 * 24 * 3600_000);
    expect(runs).toHaveLength(1);
    await clock.advance(24 * 3600_000);
    expect(runs).toHaveLength(2);
  });

  it('are brought forward by at most a tenth of the interval', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), async (chance) => {
        prepare();
        random = chance;
        add({ intervalMs: 1000, atStart: false });
        await lifecycle.start();
        await clock.advance(899);
        expect(runs).toEqual([]);
        await clock.advance(101);
        expect(runs).toHaveLength(1);
        await lifecycle.stop();
      }),
    );
  });
});

describe('runs of one job never overlap:', () => {
  it('a wake-up during a run causes one more run', async () => {
    const { passed, open } = gate();
    const job = add({ intervalMs: 1000 }, () => passed);
    await lifecycle.start();
    await clock.advance(10);
    for (let each = 0; each < 3; each++) job.wake();
    await clock.advance(50);
    expect(runs).toEqual([0]);
    open();
    await clock.advance(0);
    expect(runs).toEqual([0, 60]);
    await clock.advance(999);
    expect(runs).toHaveLength(2);
  });

  it('a wake-up by its own synchronous work causes one more run', async () => {
    const { passed, open } = gate();
    const job: BackgroundJob = add({}, () => {
      if (runs.length === 1) job.wake();
      return passed;
    });
    await lifecycle.start();
    job.wake();
    await clock.advance(100);
    expect(runs).toEqual([0]);
    open();
    await clock.advance(0);
    expect(runs).toEqual([0, 100]);
  });

  it('every wake-up is followed by a run, and no two runs overlap, in any order of events', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('wake' as const), wait: fc.integer({ min: -10, max: 3000 }) }),
      fc.record({ kind: fc.constant('pass' as const), wait: fc.integer({ min: 0, max: 1500 }) }),
      fc.record({ kind: fc.constant('end' as const), wait: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.boolean(), async (steps, works) => {
        prepare();
        let running = 0;
        let most = 0;
        let end = () => {};
        const job = add({}, async () => {
          most = Math.max(most, ++running);
          await new Promise<void>((resolve) => (end = resolve));
          running--;
          if (!works) throw new Error('broken');
        });
        await lifecycle.start();
        let runsAtLastWake = -1;
        for (const { kind, wait } of steps) {
          if (kind === 'wake') {
            job.wake(at(wait));
            runsAtLastWake = runs.length;
          } else if (kind === 'pass') await clock.advance(wait);
          else end();
        }
        for (let each = 0; each < 10; each++) {
          end();
          await clock.advance(1000);
        }
        expect(most).toBeLessThan(2);
        expect(runs.length).toBeGreaterThan(runsAtLastWake);
        const stopped = lifecycle.stop();
        end();
        await stopped;
      }),
      { numRuns: 200 },
    );
  });
});

describe('a failed run', () => {
  it('is retried after a delay that doubles up to the interval and is reset by a success', async () => {
    let isBroken = true;
    add({ intervalMs: 5000 }, () => (isBroken ? fail() : undefined));
    await lifecycle.start();
    await clock.advance(12_000);
    expect(runs).toEqual([0, 1000, 3000, 7000, 12_000]);
    expect(logged).toHaveLength(5);
    expect(logged[4]).toMatchObject({ job: 'work', failuresInRow: 5, err: { message: 'broken' } });
    isBroken = false;
    await clock.advance(5000);
    isBroken = true;
    await clock.advance(6000);
    expect(runs.slice(5)).toEqual([17_000, 22_000, 23_000]);
  });

  it('of a job without an interval is retried, too, at least every five minutes', async () => {
    const job = add({}, fail);
    await lifecycle.start();
    job.wake();
    await clock.advance(3600_000);
    const waits = runs.slice(1).map((time, index) => time - runs[index]!);
    expect(waits.slice(0, 10)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300].map((each) => each * 1000));
    expect(new Set(waits.slice(9))).toEqual(new Set([300_000]));
  });

  it('delays every wake-up by a second', async () => {
    const job = add({ intervalMs: 60_000 }, () => {
      job.wake();
      throw new Error('broken');
    });
    await lifecycle.start();
    await clock.advance(10);
    job.wake();
    await clock.advance(2500);
    expect(runs).toEqual([0, 1000, 2000]);
  });

  it('is shown in the status without the data that caused it', async () => {
    let isBroken = true;
    const job = add({ intervalMs: 60_000 }, async () => {
      await clock.advance(20);
      if (isBroken) throw new Error('of "somebody"');
    });
    const never = { runs: 0, failures: 0, lastSuccessAt: null, lastFailure: null, lastDurationMs: null };
    expect(jobs.status()).toMatchObject([{ name: 'work', scope: 'node', intervalMs: 60_000, ...never }]);
    await lifecycle.start();
    expect(job.status.nextRunAt).toBe(at(0).toISOString());
    await clock.advance(0);
    await settled();
    await settled();
    const failed = { runs: 1, failures: 1, failuresInRow: 1, lastSuccessAt: null, running: false };
    expect(job.status).toMatchObject({
      ...failed,
      lastFailure: { at: at(0).toISOString() },
      lastDurationMs: 20,
    });
    expect(job.status.lastFailure?.message).toMatch(/^Error: of "…"/);
    isBroken = false;
    await clock.advance(1000);
    const done = { runs: 2, failures: 1, failuresInRow: 0, lastFailure: { message: expect.any(String) } };
    expect(job.status).toMatchObject(done);
    expect(job.status.lastSuccessAt).not.toBeNull();
  });
});

describe('stopping a job', () => {
  it('signals the current run, and waits for it', async () => {
    const { passed, open } = gate();
    let signal: AbortSignal | undefined;
    add({ intervalMs: 1000 }, (given) => {
      signal = given;
      return passed;
    });
    await lifecycle.start();
    await clock.advance(0);
    expect(signal?.aborted).toBe(false);
    let hasStopped = false;
    const stopped = lifecycle.stop().then(() => (hasStopped = true));
    await settled();
    expect([signal?.aborted, hasStopped]).toEqual([true, false]);
    open();
    await stopped;
    await clock.advance(10_000);
    expect([runs.length, clock.waiting]).toEqual([1, 0]);
  });

  it('leaves no timer when the current run fails or returns a time', async () => {
    const works: (() => Promise<Date | undefined>)[] = [fail, () => Promise.resolve(at(10))];
    for (const work of works) {
      prepare();
      const { passed, open } = gate();
      add({ intervalMs: 1000 }, async () => {
        await passed;
        return work();
      });
      await lifecycle.start();
      await clock.advance(0);
      const stopped = lifecycle.stop();
      open();
      await stopped;
      expect(clock.waiting).toBe(0);
    }
  });

  it('can be followed by another start', async () => {
    const { passed, open } = gate();
    const job = add({ intervalMs: 1000 }, () => passed);
    job.start();
    await clock.advance(0);
    const stopped = job.stop();
    job.start();
    open();
    await stopped;
    await clock.advance(0);
    expect(runs).toHaveLength(2);
    await job.stop();
  });
});

describe('the lease', () => {
  it('decides whether this node does the shared work; each node does its own work', async () => {
    const asked: string[] = [];
    let isOurs = false;
    prepare(async (job, work) => {
      asked.push(job);
      if (isOurs) await work();
      return isOurs;
    });
    const shared = add({ name: 'shared', scope: 'cluster', intervalMs: 1000 });
    const own = jobs.add({ name: 'own', scope: 'node', intervalMs: 1000, run: () => {} });
    await lifecycle.start();
    await clock.advance(0);
    expect([asked, runs, shared.status.runs, own.status.runs]).toEqual([['shared'], [], 0, 1]);
    expect(shared.status).toMatchObject({ lastSuccessAt: null, failures: 0 });
    isOurs = true;
    await clock.advance(1000);
    expect([runs, shared.status.runs]).toEqual([[1000], 1]);
  });

  it('counts as a failure of the job when it cannot be requested', async () => {
    prepare(fail);
    const shared = add({ scope: 'cluster', intervalMs: 60_000 });
    await lifecycle.start();
    await clock.advance(1000);
    expect([runs, shared.status.failures]).toEqual([[], 2]);
  });
});

it('two jobs cannot have one name', () => {
  add({});
  expect(() => add({})).toThrow('There is another job with the name work.');
});
