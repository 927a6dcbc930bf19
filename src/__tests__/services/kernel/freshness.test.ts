import { Freshness, FRESH_MS } from '../../../services/kernel/freshness';

/** A node with a clock that the test sets. */
function start(isAlone = false) {
  const clock = { now: 10_000 };
  const resumed: string[] = [];
  const freshness = new Freshness(isAlone, () => clock.now);
  return { clock, resumed, freshness, wait: (name: string) => freshness.whenFresh(() => resumed.push(name)) };
}

test('the only node is always fresh', () => {
  const { freshness, wait, resumed } = start(true);
  wait('at once');
  expect([freshness.isFresh, resumed]).toEqual([true, ['at once']]);
});

test('a node is fresh for a limited time after the beginning of its last proof', () => {
  const { clock, freshness } = start();
  expect(freshness.isFresh).toBe(false);
  freshness.prove(clock.now - 500);
  expect([freshness.isFresh, freshness.age]).toEqual([true, 500]);
  clock.now += FRESH_MS - 501;
  expect(freshness.isFresh).toBe(true);
  clock.now += 1;
  expect(freshness.isFresh).toBe(false);
});

test('what waits continues in order with the next proof, unless that came too late', async () => {
  const { clock, freshness, wait, resumed } = start();
  wait('one');
  wait('two');
  const waiting = freshness.untilFresh();
  freshness.prove(clock.now - FRESH_MS);
  expect(resumed).toEqual([]);
  freshness.prove(clock.now);
  expect(resumed).toEqual(['one', 'two']);
  await waiting;
  wait('three');
  expect(resumed).toEqual(['one', 'two', 'three']);
});

test('a caller does not wait for ever', async () => {
  jest.useFakeTimers();
  const { freshness } = start();
  const refused = expect(freshness.untilFresh()).rejects.toMatchObject({ code: 'unavailable' });
  jest.advanceTimersByTime(5000);
  await refused;
  jest.useRealTimers();
});
