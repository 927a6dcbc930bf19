import fc from 'fast-check';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ObjectId } from 'mongodb';
import { hashThreads } from '../../../services/identity/hash-workers';
import { ImageProcessor } from '../../../services/files/image-processor';
import { PasswordHasher } from '../../../services/identity/password';
import { AppError } from '../../../utils/errors';
import { FairQueue, type FairQueueLimits, type JobOptions } from '../../../services/kernel/fair-queue';
import { noiseImage } from '../../fixtures/images';

/** Jobs of a queue that a test finishes explicitly. */
class Work {
  readonly queue: FairQueue;
  readonly started: string[] = [];
  readonly ended: string[] = [];
  readonly refused: { name: string; error: AppError }[] = [];
  private readonly running: { name: string; end: () => void }[] = [];

  constructor(limits: FairQueueLimits) {
    this.queue = new FairQueue(limits);
  }

  /** Adds a job; its key is the first letter of its name. */
  add(name: string, options?: JobOptions): void {
    const work = () =>
      new Promise<void>((resolve) => {
        this.started.push(name);
        this.running.push({ name, end: resolve });
      });
    this.queue.run(name[0]!, work, options).then(
      () => this.ended.push(name),
      (error: AppError) => this.refused.push({ name, error }),
    );
  }

  /** The error code of each refusal, by the name of the job. */
  get refusals(): Record<string, string> {
    return Object.fromEntries(this.refused.map(({ name, error }) => [name, error.code]));
  }

  get runs(): string[] {
    return this.running.map(({ name }) => name);
  }

  /** Finishes the oldest running job. */
  async endOne(): Promise<void> {
    this.running.shift()?.end();
    await settled();
  }

  async endAll(): Promise<void> {
    while (this.running.length > 0) await this.endOne();
  }
}

/** Resolves when all pending reactions have run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

const names = (key: string, count: number) => Array.from({ length: count }, (_, index) => `${key}${index}`);

describe('a fair queue', () => {
  it('alternates between the keys', async () => {
    const work = new Work({ active: 1, waiting: 100, waitingPerKey: 100 });
    for (const name of [...names('a', 5), ...names('b', 2), 'c0']) work.add(name);
    await work.endAll();
    expect(work.ended).toEqual(['a0', 'a1', 'b0', 'c0', 'a2', 'b1', 'a3', 'a4']);
  });

  it('keeps places free of one key', async () => {
    const work = new Work({ active: 2, activePerKey: 1, waiting: 10, waitingPerKey: 10 });
    for (const name of names('a', 3)) work.add(name);
    await settled();
    expect(work.runs).toEqual(['a0']);
    work.add('b0');
    await settled();
    expect(work.runs).toEqual(['a0', 'b0']);
    await work.endAll();
    expect(work.ended).toEqual(['a0', 'b0', 'a1', 'a2']);
  });

  it('refuses more jobs of one key, and says when to retry', async () => {
    const work = new Work({ active: 1, waiting: 100, waitingPerKey: 3 });
    for (const name of [...names('a', 6), 'b0']) work.add(name);
    await settled();
    expect(work.refused.map(({ name }) => name)).toEqual(['a4', 'a5']);
    for (const { error } of work.refused) {
      expect(error).toMatchObject({ code: 'rate_limited' });
      expect(error.retryAfter).toBeGreaterThanOrEqual(1);
    }
    await work.endAll();
    expect(work.ended).toEqual(['a0', 'a1', 'b0', 'a2', 'a3']);
  });

  it('when full, replaces the newest job of the key with the most jobs by one of a key with none', async () => {
    const work = new Work({ active: 1, waiting: 4, waitingPerKey: 4 });
    for (const name of [...names('a', 5), 'b0', 'c0', 'd0', 'e0']) work.add(name);
    await settled();
    // When e0 arrives, no key has more than one job.
    expect(work.refusals).toEqual({
      a2: 'unavailable',
      a3: 'unavailable',
      a4: 'unavailable',
      e0: 'unavailable',
    });
    await work.endAll();
    expect(work.ended).toEqual(['a0', 'a1', 'b0', 'c0', 'd0']);
  });

  it('drops waiting jobs of a disconnected client, and nothing else', async () => {
    const work = new Work({ active: 1, waiting: 10, waitingPerKey: 10 });
    const controller = new AbortController();
    const { signal } = controller;
    work.add('a0', { signal });
    work.add('a1', { signal });
    work.add('b0');
    // This one has already used some processing time.
    work.add('b1', { signal, continues: true });
    controller.abort();
    work.add('b2', { signal });
    await work.endAll();
    expect(work.ended).toEqual(['a0', 'b0', 'b1']);
    expect(Object.keys(work.refusals).sort()).toEqual(['a1', 'b2']);
  });

  it('when closed, refuses waiting and new jobs, and finishes running ones', async () => {
    const work = new Work({ active: 1, waiting: 10, waitingPerKey: 10 });
    for (const name of ['a0', 'a1', 'b0']) work.add(name);
    work.queue.close();
    work.add('c0');
    await work.endAll();
    expect(work.ended).toEqual(['a0']);
    expect(work.refusals).toEqual({ a1: 'unavailable', b0: 'unavailable', c0: 'unavailable' });
    expect(work.queue.size).toBe(0);
  });

  it('keeps its limits, loses no job and starves no key, in any order of events', async () => {
    const limits = fc.record({
      active: fc.integer({ min: 1, max: 3 }),
      activePerKey: fc.integer({ min: 1, max: 3 }),
      waiting: fc.integer({ min: 1, max: 8 }),
      waitingPerKey: fc.integer({ min: 1, max: 5 }),
    });
    const steps = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom('a', 'a', 'a', 'b', 'c', 'd') },
        fc.constantFrom('end' as const, 'gone' as const),
      ),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(limits, steps, async (bounds, sequence) => {
        const work = new Work(bounds);
        let controller = new AbortController();
        let added = 0;
        for (const step of sequence) {
          if (step === 'end') await work.endOne();
          else if (step === 'gone') {
            controller.abort();
            controller = new AbortController();
          } else {
            const before = work.refused.length;
            const name = `${step}${added++}`;
            const waits = added - 1 - work.started.length - work.refused.length;
            work.add(name, { signal: controller.signal });
            await settled();
            const refusal = work.refused.slice(before).find((each) => each.name === name);
            // No job is refused while there is space.
            if (refusal) expect(waits).toBeGreaterThanOrEqual(Math.min(bounds.waiting, bounds.waitingPerKey));
          }
          await settled();
          const { runs } = work;
          const waiting = added - work.started.length - work.refused.length;
          expect(work.queue.size).toBe(waiting);
          expect(waiting).toBeLessThanOrEqual(bounds.waiting);
          expect(runs.length).toBeLessThanOrEqual(bounds.active);
          for (const key of 'abcd') {
            const own = runs.filter((name) => name.startsWith(key));
            expect(own.length).toBeLessThanOrEqual(bounds.activePerKey);
          }
        }
        await work.endAll();
        expect(work.queue.size).toBe(0);
        expect(work.ended.length + work.refused.length).toBe(added);
      }),
    );
  });
});

describe('hashing passwords', () => {
  const COST = 8;
  const at = (address: string) => ({ address });
  let hasher: PasswordHasher;

  beforeEach(() => (hasher = new PasswordHasher(COST, 1)));
  afterEach(() => hasher.stop());

  it('uses half of the processors, at least one', () => {
    expect([1, 2, 3, 4, 8, 64].map((processors) => hashThreads(processors))).toEqual([1, 1, 1, 2, 4, 8]);
  });

  it('lets other users and files pass before most of a flood, of any address in one network', async () => {
    const order: string[] = [];
    const flood = Array.from({ length: 200 }, (_, index) =>
      hasher
        .matches('wrong', undefined, at(`2001:db8::${index.toString(16)}`))
        .then(() => order.push('flood'))
        .catch((error: AppError) => error),
    );
    const file = stat(tmpdir()).then(() => order.push('file'));
    const other = hasher.matches('wrong', undefined, at('203.0.113.1')).then(() => order.push('other'));
    const refusals = (await Promise.all(flood)).filter((result) => result instanceof AppError);
    await Promise.all([file, other]);
    expect(order.indexOf('file')).toBeLessThanOrEqual(2);
    expect(order.indexOf('other')).toBeLessThanOrEqual(3);
    // One runs, and 32 wait.
    expect(order).toHaveLength(33 + 2);
    expect(refusals).toHaveLength(200 - 33);
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ code: 'rate_limited', retryAfter: expect.any(Number) });
    }
  });

  it('continues after a failed job and after a thread that exits', async () => {
    await expect(hasher.matches('any', 'no hash at all', at('203.0.113.1'))).rejects.toThrow();
    const hash = await hasher.hash('correct horse battery', at('203.0.113.1'));
    expect(await hasher.matches('correct horse battery', hash, at('203.0.113.1'))).toBe(true);
    const workers = Reflect.get(hasher, 'workers') as { close(): Promise<void> };
    const unfinished = hasher.hash('another', at('203.0.113.1'));
    const ended = expect(unfinished).rejects.toThrow('ended');
    await new Promise((resolve) => setImmediate(resolve));
    await workers.close();
    await ended;
    expect(await hasher.matches('correct horse battery', hash, at('203.0.113.1'))).toBe(true);
    expect(await hasher.matches('wrong', hash, at('203.0.113.1'))).toBe(false);
  });
});

describe('processing images', () => {
  it("runs the jobs of others before most of one user's, and accepts a limited number from each", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'parley-images-'));
    const path = join(folder, 'picture');
    await writeFile(path, await noiseImage(200, 200));
    const images = new ImageProcessor();
    const order: string[] = [];
    const [one, other] = [new ObjectId(), new ObjectId()];
    const flood = Array.from({ length: 30 }, () =>
      images
        .reencode(path, one)
        .then(() => order.push('flood'))
        .catch((error: AppError) => error.code),
    );
    await Promise.all([...flood, images.reencode(path, other).then(() => order.push('other'))]);
    expect(order.indexOf('other')).toBeLessThanOrEqual(3);
    const results = await Promise.all(flood);
    expect(results.filter((result) => result === 'rate_limited')).toHaveLength(30 - 21);
    await rm(folder, { recursive: true });
  });
});
