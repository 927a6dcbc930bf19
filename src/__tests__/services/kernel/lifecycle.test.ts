import { Lifecycle, StartError, type Part } from '../../../services/kernel/lifecycle';

/** The actions of the parts, in order, and the logged errors. */
let done: string[];
let logged: unknown[];
let warned: unknown[];
let lifecycle: Lifecycle;

beforeEach(() => {
  done = [];
  logged = [];
  warned = [];
  lifecycle = new Lifecycle({
    warn: (...entry: unknown[]) => void warned.push(entry[0]),
    error: (...entry: unknown[]) => void logged.push(entry[0]),
  });
});

/** Registers a part that records its actions. */
function add(name: string, part: Part = {}): void {
  const note = (what: 'start' | 'stop') => async () => {
    done.push(`${what} ${name}`);
    await part[what]?.();
  };
  lifecycle.register(name, { start: note('start'), stop: note('stop') });
}

const fail = (message: string) => () => Promise.reject(new Error(message));

it('starts parts in order, one after the other, and stops them in reverse', async () => {
  add('a', { start: () => new Promise((resolve) => setImmediate(resolve)) });
  add('b');
  add('c', { stop: () => new Promise((resolve) => setImmediate(resolve)) });
  await lifecycle.start();
  await lifecycle.stop();
  expect(done).toEqual(['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a']);
});

it('starts and stops once, however often it is called', async () => {
  add('a');
  await Promise.all([lifecycle.start(), lifecycle.start()]);
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  await lifecycle.stop();
  expect(done).toEqual(['start a', 'stop a']);
});

it('stops everything when a part cannot be started, including what its start had begun', async () => {
  add('a');
  add('b', { start: fail('refused') });
  add('c');
  const error: unknown = await lifecycle.start().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StartError);
  expect(error).toMatchObject({ part: 'b', message: 'b: refused', cause: { message: 'refused' } });
  expect(done).toEqual(['start a', 'start b', 'stop c', 'stop b', 'stop a']);
  // Closing it nevertheless is not an error.
  await lifecycle.stop();
});

it('reports why it did not start, not what failed in the following stop', async () => {
  add('a', { stop: fail('stuck') });
  add('b', { start: fail('refused') });
  await expect(lifecycle.start()).rejects.toThrow('b: refused');
  expect(logged).toMatchObject([{ part: 'a', err: { message: 'stuck' } }]);
});

it('stops the rest when parts cannot be stopped, logs each error, and reports all of them', async () => {
  add('a', { stop: fail('first') });
  add('b');
  add('c', { stop: fail('second') });
  await lifecycle.start();
  const error: unknown = await lifecycle.stop().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(AggregateError);
  expect(error).toMatchObject({
    message: 'These parts could not be stopped: c, a.',
    errors: [{ cause: { message: 'second' } }, { cause: { message: 'first' } }],
  });
  expect(logged).toMatchObject([{ part: 'c' }, { part: 'a' }]);
  expect(done.slice(3)).toEqual(['stop c', 'stop b', 'stop a']);
});

it('stops what was never started: a part may hold resources from its construction on', async () => {
  add('a');
  await lifecycle.stop();
  expect(done).toEqual(['stop a']);
});

it('starts no further part while it is being stopped', async () => {
  add('a', { start: () => lifecycle.stop() });
  add('b');
  await expect(lifecycle.start()).rejects.toThrow('b: it was stopped before it had started');
  expect(done).toEqual(['start a', 'stop b', 'stop a']);
});

it('lets a part that hangs use half of the time, and stops the others in the rest', async () => {
  const never = () => new Promise<void>(() => undefined);
  add('a');
  add('b', { stop: never });
  add('c', { stop: never });
  lifecycle.register('d', {
    stop: () => new Promise((resolve) => setTimeout(resolve, 150)),
    stopsAtLeisure: true,
  });
  add('e', { stop: never });
  const start = performance.now();
  await lifecycle.stop(100);
  expect(done).toEqual(['stop e', 'stop c', 'stop b', 'stop a']);
  expect(warned).toEqual(['e', 'c', 'b'].map((part) => ({ part })));
  expect(performance.now() - start).toBeGreaterThan(150);
});

it('is not ended by a part that fails after its time', async () => {
  add('late', { stop: () => new Promise((_, reject) => setTimeout(() => reject(new Error('late')), 30)) });
  await lifecycle.stop(2);
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(logged).toEqual([]);
});
